"""Secrets that are planted around every scene, and the search for them in whatever was sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import quote, quote_plus

# Known by where they stand: hidden in any dress.
KNOWN = {
    "variable": "c4nary-of-a-variable/with+signs",
    "remote": "c4nary-of-the-remote",
    "netrc": "c4nary-of-netrc-file",
}
# Known by their looks alone.
SHAPES = {
    "github": "ghp_" + "a1B2c3D4e5F6" * 3,
    "aws": "AKIAIOSFODNN7EXAMPL2",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5MTIz",
    "gitlab": "glpat-" + "x1Y2z3A4b5C6d7E8f9G0",
    "url": "pa55w0rd-c4nary",
    "pem": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
}
# Never to be shown, whatever it looks like.
FILES = {"file": "plain-words-of-the-env-file"}
ALL = KNOWN | SHAPES | FILES


def printed() -> str:
    """Return what a careless test prints: every secret, and the known ones in other dress."""
    lines = [f"token {KNOWN['variable']}", f"\x1b[31m{KNOWN['variable'][:9]}\x1b[0m{KNOWN['variable'][9:]}"]
    for value in KNOWN.values():
        raw = value.encode()
        coded = [base64.b64encode(b"x" * shift + raw + b"yz").decode() for shift in range(3)]
        coded += [one.replace("+", "-").replace("/", "_") for one in coded]
        lines += [f"sent {word}" for word in (value, quote(value, safe=""), quote_plus(value), raw.hex(), raw.hex().upper(), *coded)]
    lines += [
        f"remote: {SHAPES['github']}", f"id {SHAPES['aws']} used", f"cookie {SHAPES['jwt']}", f"got {SHAPES['gitlab']}",
        f"postgres://app:{SHAPES['url']}@db/app",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SHAPES['pem']}\nq7Rw2Lx9Vb==\n-----END RSA PRIVATE KEY-----",
    ]  # fmt: skip
    return "\n".join(lines)


def dresses(value: str) -> Iterator[str]:
    """Yield a value as programs write it: as it is, as JSON, in base64 at each alignment, percent-encoded, in hex."""
    raw = value.encode()
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    yield quote_plus(value)
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        # The letters at either end belong to the neighbours, too.
        whole = (shift + len(raw)) // 3 * 4
        coded = base64.b64encode(b"x" * shift + raw)[(0, 2, 3)[shift] : whole]
        yield coded.decode()
        yield coded.decode().replace("+", "-").replace("/", "_")


def find_leaks(sent: Iterable[bytes]) -> list[str]:
    """Return the names of the secrets that stand in what was sent, in any dress, plain or within JSON texts."""
    wanted = [(name, dress) for name, value in ALL.items() for dress in {*dresses(value)}]
    found = set()
    for raw in sent:
        words = raw.decode("utf-8", "replace")
        with suppress(ValueError):
            words += "\n".join(_texts(json.loads(words)))
        found |= {name for name, dress in wanted if dress in words}
    return sorted(found)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
