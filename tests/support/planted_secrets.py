"""Secrets as logs hold them, each with the part that must not be seen; and text that only looks like one."""

from __future__ import annotations

import base64
import json
import random
import string
from urllib.parse import quote

ALPHABET = string.ascii_letters + string.digits


def letters(seed: int, count: int, alphabet: str = ALPHABET) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=count))


KNOWN = "correct horse/battery+staple"
GITHUB, AWS, ANTHROPIC = f"ghp_{letters(1, 36)}", f"AKIA{letters(2, 16, string.ascii_uppercase)}", f"sk-ant-api03-{letters(3, 60)}"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{letters(4, 20)}.{letters(5, 43)}"
PASSWORD = "hunter2-hunter3"
RANDOM = base64.b64encode(random.Random(6).randbytes(33)).decode()
KEY = "\n".join(base64.b64encode(random.Random(at).randbytes(48)).decode() for at in range(20))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----"

LEAKS = {
    "as it is": (f"login with {KNOWN} failed", KNOWN),
    "base64": (f"header {base64.b64encode(b'user:' + KNOWN.encode()).decode()}", base64.b64encode(b"xxuser:" + KNOWN.encode()).decode()[12:30]),
    "percent": (f"GET /?q={quote(KNOWN, safe='')}", quote(KNOWN, safe="")),
    "json": (json.dumps({"a": KNOWN}).replace("/", "\\/"), "battery"),
    "hex": (KNOWN.encode().hex(), KNOWN.encode().hex()),
    "pem": (f"loading\n{PEM}\ndone", KEY.split("\n")[7]),
    "pem without its end": (f"loading\n{PEM[:700]}", KEY.split("\n")[5]),
    "pem without its begin": (f"{PEM[300:]}", KEY.split("\n")[7]),
    "pem in one line": (json.dumps({"key": PEM}), KEY.split("\n")[3]),
    "github": (f"remote: x{GITHUB}y", GITHUB[4:]),
    "github after an escape": (f"\x1b[32m{GITHUB}\x1b[0m", GITHUB[4:]),
    "aws": (f"id={AWS}", AWS),
    "anthropic": (f"x-api-key: {ANTHROPIC}", ANTHROPIC[14:]),
    "jwt": (f"cookie: session={JWT}", JWT[40:]),
    "url": (f"postgres://shop:{PASSWORD}@db.example.test:5432/shop", PASSWORD),
    "url with a token": (f"https://{letters(8, 24)}@github.example.test/x.git", letters(8, 24)),
    "header": (f"Authorization: Bearer {letters(9, 22)}", letters(9, 22)),
    "assigned": ("DB_PASSWORD=Tr0ub4dor&3", "Tr0ub4dor"),
    "assigned in yaml": ("  api_key: 'ab12-cd34-ef56'", "ab12-cd34"),
    "random": (f"got {RANDOM}", RANDOM[:20]),
    "slack": ("xoxb-123456789012-" + letters(10, 24), letters(10, 24)),
    "stripe": ("sk_live_" + letters(11, 24), letters(11, 24)),
    "gitlab": ("glpat-" + letters(12, 20), letters(12, 20)),
}  # fmt: skip

READABLE = (
    "SyntaxError: Unexpected token: identifier",
    "error: expected ';' before '}' token",
    "test_that_nothing_happens_when_a_token_is_missing_from_the_header_1",
    "TestThatNothingHappensWhenATokenIsMissingFromTheHeader",
    "/home/ada/venv/lib/python3.11/site-packages/_pytest/assertion/rewrite.py:176",
    "commit 3f2a9c1d5e6b7a8c9d0e1f2a3b4c5d6e7f8a9b0c",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "id 123e4567-e89b-12d3-a456-426614174000",
    "password = get_password(user)",
    "token: os.environ['TOKEN']",
    "assert response.headers['Authorization'] == expected_authorization",
    "git clone https://github.example.test/ada/shop.git",
    "http://127.0.0.1:8080/path?x=1",
    "E       KeyError: 'secret_key'",
    "src/components/authentication/LoginFormWithPasswordResetAndTwoFactor.test.tsx",
    "node_modules/@babel/plugin-transform-react-jsx-development/lib/index.js",
    "Downloading regex-2024.11.6-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (792 kB)",
    "0123456789012345678901234567890123456789",
    "=" * 80 + " FAILURES " + "-" * 80,
)
