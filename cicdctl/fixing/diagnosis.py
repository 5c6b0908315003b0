"""What kind of failure it is: the first rule that fits decides whether a patch can help at all."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Sequence

from cicdctl.model import StageResult, Verdict
from cicdctl.model.fixing import Diagnostic, FailureCategory

_DISK = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC")
_MEMORY = re.compile(r"Cannot allocate memory|std::bad_alloc|Out of memory|heap out of memory|MemoryError\b|oom-kill")
_INSTALLING = re.compile(
    r"\b(?:pip|pip3|npm|npx|yarn|pnpm|cargo|maven|mvn|gradle|apt|apt-get|apk|dnf|poetry|uv|curl|wget|docker|go: |git|bundle|composer"
    r"|https?://|download\w*|fetch\w*|registry|install\w*|clon\w+|pull\w*|resolv\w+)\b",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"Temporary failure in name resolution|Could not resolve host|getaddrinfo|EAI_AGAIN|ENOTFOUND|NameResolutionError"
    r"|Name or service not known|no such host|certificate verify failed|SSL(?:Error|: CERTIFICATE)|TLS handshake|ECONNRESET|ECONNREFUSED"
    r"|Connection reset by peer|Connection refused|Connection timed out|ETIMEDOUT|Read timed out|Network is unreachable|No route to host"
    r"|\b429\b.{0,40}Too Many Requests|\b50[0234]\b.{0,40}(?:Bad Gateway|Service|Internal|Gateway)|rate limit(?:ed| exceeded)",
    re.IGNORECASE,
)
_NEAR = 5  # lines before a network's error in which something is said to be fetched
_TAIL_LINES = 400
_LOCK = "lock"
_CODE_KINDS = frozenset({"test", "type", "compile", "crash"})
_NOT_THERE = re.compile(
    r"command not found|No such file or directory$|Permission denied$|cannot execute|bad interpreter|Exec format"
)


def diagnose(
    result: StageResult, diagnostics: Sequence[Diagnostic], lines: Sequence[str]
) -> tuple[FailureCategory, str]:
    """Return the category of a failed stage and the reason in words. `lines` are the clean log, not yet redacted."""
    if result.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT):
        return "unknown", result.reason or f"it is {result.verdict}: no stage said what is wrong"
    tail = [line[:2000] for line in lines[-_TAIL_LINES:]]
    attempt = result.attempts[-1] if result.attempts else None
    said = f"{result.reason or ''} {(attempt and attempt.reason) or ''}"
    is_killed = result.verdict is Verdict.FAILED and (result.exit_code == 137 or "signal 9" in said)
    exhausted = _first(tail, _DISK) or _first(tail, _MEMORY)
    if exhausted or is_killed:
        return "infra", exhausted or "it was killed (signal 9), mostly for want of memory"
    kinds = {one.kind for one in diagnostics}
    network = _network(tail)
    # A test of networking says such things, too: only where something is being fetched it is the network.
    if network is not None and not kinds & _CODE_KINDS:
        return "infra", network
    if result.verdict is Verdict.TIMED_OUT and not diagnostics:
        return "infra", result.reason or "it did not end in time, and said nothing that explains it"
    lost = next((one for one in diagnostics if one.kind == "shell" and _NOT_THERE.search(one.message)), None)
    if lost is not None and kinds == {"shell"}:
        return "config", _summary([lost])
    lock = [one for one in diagnostics if one.tool == _LOCK]
    if kinds and kinds <= {"lint", "format"} and len(lock) < len(diagnostics):
        return "lint", _summary([one for one in diagnostics if one.tool != _LOCK])
    if lock:
        return "lock", _summary(lock)
    if kinds & _CODE_KINDS:
        return "code", _summary([one for one in diagnostics if one.kind in _CODE_KINDS])
    if diagnostics:
        return "unknown", _summary(diagnostics)
    return "unknown", result.reason or "nothing in the log says what is wrong"


def _network(lines: Sequence[str]) -> str | None:
    for at, line in enumerate(lines):
        if _NETWORK.search(line) and any(_INSTALLING.search(near) for near in lines[max(0, at - _NEAR) : at + 1]):
            return line.strip()[:200]
    return None


def _first(lines: Sequence[str], pattern: re.Pattern[str]) -> str | None:
    return next((line.strip()[:200] for line in lines if pattern.search(line)), None)


def _summary(diagnostics: Sequence[Diagnostic]) -> str:
    first = diagnostics[0]
    place = f"{first.file}:{first.line}: " if first.file and first.line else f"{first.file}: " if first.file else ""
    more = f" (and {len(diagnostics) - 1} more)" if len(diagnostics) > 1 else ""
    what = first.message or first.test_id or first.tool
    return f"{place}{what[:160]}{more}"
