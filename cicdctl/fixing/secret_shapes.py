"""What secrets look like, beside the rules of gitleaks: formats with a prefix, URLs, assignments, keys, randomness."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from cicdctl.fixing.gitleaks import entropy

# Variables whose values are secrets whatever they hold.
SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|api_?key|private|credential|auth|cookie|session|dsn|conn_str", re.IGNORECASE
)

# Formats with a prefix of their own. No leading \b: the last letter of an escape may touch the value. A prefix is
# looked for as plain text first. Sources: the services' own documentation, RFC 7519 for JWT.
_FORMATS = tuple(
    (rule, prefixes, re.compile(pattern))
    for rule, prefixes, pattern in (
        ("anthropic", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{16,}"),
        ("openai", ("sk-",), r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
        ("github", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"),
        ("gitlab", ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-"), r"gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_.-]{16,}"),
        ("aws", ("AKIA", "ASIA", "ABIA", "ACCA"), r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
        ("slack", ("xox", "hooks.slack.com/"), r"xox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}"),
        ("google", ("AIza", "ya29."), r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}"),
        ("stripe", ("k_live_", "k_test_"), r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("npm", ("npm_",), r"npm_[A-Za-z0-9]{30,}"),
        ("pypi", ("pypi-",), r"pypi-[A-Za-z0-9_-]{50,}"),
        ("cicdctl", ("cicd_",), r"cicd_[a-z0-9]{4,32}_[A-Za-z0-9_-]{20,}"),
        ("jwt", ("eyJ",), r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    )
)  # fmt: skip
# From "://" on, since a scheme can be looked for from each letter of a long line.
_USERINFO = re.compile(r"://(?P<user>[^\s/@:'\"<>]{0,200}):(?P<value>[^\s/@'\"<>]{1,500})@")
_USER_ALONE = re.compile(r"://(?P<value>[A-Za-z0-9_.~-]{16,500})@")
_NAMES = ("token", "secret", "passw", "passphrase", "api_key", "apikey", "api-key", "private_key", "credential")
_ASSIGNED = re.compile(
    r"[\w-]{0,40}['\"]?\s{0,3}(?:=>|:=|=|:)\s{0,3}(?:['\"](?P<quoted>[^\s'\"]{6,500})|(?P<plain>[^\s'\",;<>{}()\[\]]{6,500}))"
)
_HEADER = re.compile(r"\b(?:[Bb]earer|[Bb]asic|BEARER|BASIC)\s{1,3}(?P<value>[A-Za-z0-9._~+/-]{12,4000}={0,2})")
_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = "-----END "
_KEY_LINES = re.compile(r"(?:(?:\s|\\n)*[A-Za-z0-9+/=]{16,})*")
_MOST_KEY_CHARS = 32_768
_RANDOM = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}")
_HEX = re.compile(r"[0-9a-fA-F-]+")
ENTROPY_FLOOR = 4.0
# Of the pairs of neighbours in random letters about one half are of different kinds, of those in words one in six.
_LEAST_CHANGES = 0.28


def find_formats(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and rule: prefixes, userinfo of URLs, headers, and what is assigned to a telling name."""
    for rule, prefixes, pattern in _FORMATS:
        if any(prefix in text for prefix in prefixes):
            yield from ((*match.span(), rule) for match in pattern.finditer(text))
    at = text.find("://")
    while at >= 0:
        found = _USERINFO.match(text, at) or _USER_ALONE.match(text, at)
        if found is not None and found["value"] != "***":
            yield (*found.span("value"), "userinfo")
        at = text.find("://", at + 3)
    for match in _HEADER.finditer(text):
        if any(letter.isdigit() for letter in match["value"]):
            yield (*match.span("value"), "header")
    lowered = text.lower()
    if len(lowered) == len(text):
        for name in _NAMES:
            at = lowered.find(name)
            while at >= 0:
                yield from _assigned(text, at + len(name))
                at = lowered.find(name, at + len(name))


def _assigned(text: str, at: int) -> Iterator[tuple[int, int, str]]:
    found = _ASSIGNED.match(text, at)
    if found is None:
        return
    group = "quoted" if found["quoted"] is not None else "plain"
    value = found[group]
    letters = sum(letter.isalpha() for letter in value)
    has_mixture = 0 < letters < len(value) and any(letter.isdigit() or letter in "!@#$%^&*+~" for letter in value)
    is_reference = value.startswith(("$", "/", "./", "${", "%", "http://", "https://", "os.", "process."))
    if has_mixture and len(set(value)) > 4 and not is_reference:
        yield (*found.span(group), "assigned")


def find_private_keys(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield PEM blocks of private keys; one whose end is missing goes as far as there is base64."""
    at = text.find("-----BEGIN ")
    while at >= 0:
        begin = _KEY_BEGIN.match(text, at)
        until = at + 11
        if begin is not None:
            end = text.find(_KEY_END, begin.end(), begin.end() + _MOST_KEY_CHARS)
            if end >= 0:
                closing = text.find("-----", end + len(_KEY_END), end + 100)
                until = closing + 5 if closing >= 0 else end + len(_KEY_END)
            else:
                rest = _KEY_LINES.match(text, begin.end())
                until = rest.end() if rest else begin.end()
            yield at, until, "private-key"
        at = text.find("-----BEGIN ", until)


def find_random(text: str) -> Iterator[tuple[int, int]]:
    """Yield what is too random to be words, a path, a UUID or the id of a git object."""
    for match in _RANDOM.finditer(text):
        value = match.group()
        if _HEX.fullmatch(value) or entropy(value) <= ENTROPY_FLOOR or _change_rate(value) < _LEAST_CHANGES:
            continue
        if value.count("/") > 1 and not _is_base64(value):
            continue
        # Of random letters one in 32 is one of these; the names of files and packages are joined by them.
        if value.count("_") + value.count("-") >= max(3, len(value) // 10):
            continue
        yield match.span()


def _is_base64(value: str) -> bool:
    """Whether none of the parts between slashes reads like the name of a file."""
    parts = [part for part in value.split("/") if part]
    return sum(_change_rate(part) >= _LEAST_CHANGES for part in parts if len(part) > 3) * 2 > len(parts)


def _change_rate(value: str) -> float:
    """How often a letter is of another kind than the one before it; a capital before a small letter begins a word."""
    kinds = [
        "d" if letter.isdigit() else "u" if letter.isupper() else "l" if letter.islower() else "s" for letter in value
    ]
    changes = sum(1 for one, two in pairwise(kinds) if one != two and (one, two) != ("u", "l"))
    return changes / (len(value) - 1) if len(value) > 1 else 0.0
