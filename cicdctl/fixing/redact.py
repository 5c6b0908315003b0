"""Takes secrets out of text before it is stored, shown or sent; what looks like one counts as one."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from cicdctl.errors import CicdError
from cicdctl.masking import MASK, Masker

ENTROPY_FLOOR = 4.0
LEAST_ENTROPY_CHARS = 32

# Variables whose values are secrets whatever they hold.
SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|api_?key|private|credential|auth|cookie|session|dsn|conn_str", re.IGNORECASE
)

# Formats with a prefix of their own. No leading \b: the last letter of an escape may touch the value.
# Sources: docs.github.com (token formats), docs.anthropic.com, AWS IAM identifiers, api.slack.com, RFC 7519, RFC 7468.
_PREFIXED = (
    (
        "pem",
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    ),
    ("anthropic", re.compile(r"sk-ant-[A-Za-z0-9_-]{16,}")),
    ("openai", re.compile(r"sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,}")),
    ("github", re.compile(r"(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})")),
    ("gitlab", re.compile(r"gl(?:pat|ptt|dt|rt|cbt|soat|ft|imt|agent|oas)-[A-Za-z0-9_-]{16,}")),
    ("aws", re.compile(r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}")),
    (
        "slack",
        re.compile(r"xox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{20,}"),
    ),
    ("google", re.compile(r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}")),
    ("stripe", re.compile(r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}")),
    ("npm", re.compile(r"npm_[A-Za-z0-9]{30,}")),
    ("pypi", re.compile(r"pypi-[A-Za-z0-9_-]{50,}")),
    ("sendgrid", re.compile(r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")),
    ("huggingface", re.compile(r"hf_[A-Za-z0-9]{30,}")),
    ("digitalocean", re.compile(r"do[opr]_v1_[a-f0-9]{64}")),
    ("cicdctl", re.compile(r"cicd_[a-z0-9]{4,}_[A-Za-z0-9_-]{20,}")),
    ("jwt", re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")),
)
_USERINFO = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,20}://)(?P<value>[^\s/@:'\"]{0,200}:[^\s/@'\"]{1,500})(?=@)"
)
_ASSIGNED = re.compile(
    r"(?P<name>[A-Za-z_][\w.-]{0,60}?(?:token|secret|passw(?:or)?d?|passphrase|api[_-]?key|private[_-]?key|credentials?|auth)"
    r"[\w-]{0,20})(?P<between>['\"]?\s{0,5}(?:=>|:=|=|:)\s{0,5}['\"]?)(?P<value>[^\s'\",;<>{}()\[\]]{8,500})",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?P<name>\b(?:Bearer|Basic)\s+)(?P<value>[A-Za-z0-9._~+/=-]{12,})", re.IGNORECASE)
_CANDIDATE = re.compile(r"[A-Za-z0-9+/_=-]{32,500}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MARK = re.compile(r"\[REDACTED:[\w-]+#\d+\]")
_BORING = re.compile(r"(?:null|none|true|false|undefined|\*+|x+|\$\{?\w+\}?|<[^>]*>|\.\.\.)", re.IGNORECASE)


class RedactionFailed(CicdError):
    """Text could not be looked through; it is not used then."""


class Redactor:
    """Numbers each value, so that equal ones stay recognisable: `[REDACTED:rule#2]`. One per failure; any thread.

    `values` are those that are known: secrets, and variables that are named like some. `is_tracked` says of a text
    whether it stands in a file of the repository, which is no secret.
    """

    def __init__(
        self,
        values: Mapping[str, str] | None = None,
        *,
        is_tracked: Callable[[str], bool] = lambda text: False,
        rules: Iterable[tuple[str, re.Pattern[str], tuple[str, ...], float]] | None = None,
    ) -> None:
        self._masker = Masker(dict(values or {}))
        self._is_tracked = is_tracked
        self._numbers: dict[str, int] = {}
        self._rules = tuple(_table() if rules is None else rules)
        self.counts: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """Return the text without secrets. Raises RedactionFailed."""
        try:
            return self._text(text)
        except (RecursionError, MemoryError, re.error, ValueError) as error:
            raise RedactionFailed(f"a log could not be looked through for secrets: {error!r}") from error

    def holds_secret(self, text: str) -> bool:
        """Whether `text()` would change it; numbers and counts stay as they are."""
        numbers, counts = dict(self._numbers), Counter(self.counts)
        try:
            return self.text(text) != text
        finally:
            self._numbers, self.counts = numbers, counts

    def _text(self, text: str) -> str:
        masked = self._masker.text(text) if self._masker else text
        if masked != text:
            self.counts["value"] += masked.count(MASK.decode()) - text.count(MASK.decode())
            text = masked
        for rule, pattern in _PREFIXED:
            text = pattern.sub(lambda found, rule=rule: self._mark(rule, found.group()), text)  # type: ignore[misc]
        text = _USERINFO.sub(lambda found: found["scheme"] + self._mark("userinfo", found["value"]), text)
        lowered = text.lower()
        for rule, pattern, keywords, floor in self._rules:
            if not keywords or any(word in lowered for word in keywords):
                text = pattern.sub(lambda found, r=rule, f=floor: self._by_rule(r, f, found), text)  # type: ignore[misc]
        text = _HEADER.sub(lambda found: found["name"] + self._unless_boring("header", found["value"]), text)
        text = _ASSIGNED.sub(
            lambda found: found["name"] + found["between"] + self._unless_boring("assigned", found["value"]), text
        )
        return _CANDIDATE.sub(self._by_entropy, text)

    def _mark(self, rule: str, value: str) -> str:
        if _MARK.search(value) or value == MASK.decode():
            return value
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        number = self._numbers.setdefault(digest, len(self._numbers) + 1)
        self.counts[rule] += 1
        return f"[REDACTED:{rule}#{number}]"

    def _by_rule(self, rule: str, floor: float, found: re.Match[str]) -> str:
        value = next((group for group in found.groups() if group), found.group())
        if _MARK.search(found.group()) or entropy(value) < floor or _BORING.fullmatch(value) or self._is_tracked(value):
            return found.group()
        return found.group().replace(value, self._mark(rule, value))

    def _unless_boring(self, rule: str, value: str) -> str:
        is_boring = _BORING.fullmatch(value) or len(set(value)) < 5 or self._is_tracked(value)
        return value if is_boring else self._mark(rule, value)

    def _by_entropy(self, found: re.Match[str]) -> str:
        value = found.group()
        if _HEX.fullmatch(value) or _UUID.search(value) or "REDACTED" in value or value.count("/") > 2:
            return value
        if not any(letter.isdigit() for letter in value) or entropy(value) <= ENTROPY_FLOOR or self._is_tracked(value):
            return value
        if re.fullmatch(r"[a-z0-9_-]+", value) and ("_" in value or "-" in value):
            return value  # a name with words, not base64
        return self._mark("entropy", value)


def entropy(text: str) -> float:
    """Return Shannon's entropy in bits per character."""
    if not text:
        return 0.0
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _table() -> Iterable[tuple[str, re.Pattern[str], tuple[str, ...], float]]:
    from cicdctl.fixing.gitleaks import load_rules

    return load_rules()
