"""What kind of failure it is: the first rule that fits decides whether a patch can help at all."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Sequence

from cicdctl.model import StageResult, Verdict
from cicdctl.model.fixing import Diagnostic, FailureCategory

_DISK = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC")
_MEMORY = re.compile(r"Cannot allocate memory|std::bad_alloc|Out of memory|OOM|JavaScript heap out of memory")
_INSTALLING = re.compile(
    r"pip|npm|yarn|pnpm|cargo|maven|mvn|gradle|go: |apt|poetry|uv |curl|wget|git clone|download|fetch|index|registry|install",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"Temporary failure in name resolution|Could not resolve host|getaddrinfo|EAI_AGAIN|ENOTFOUND|NameResolutionError"
    r"|Name or service not known|no such host|certificate verify failed|SSLError|TLS handshake|ECONNRESET|ECONNREFUSED"
    r"|Connection reset by peer|Connection timed out|ETIMEDOUT|Read timed out|Network is unreachable|No route to host"
    r"|\b(?:429 Too Many Requests|50[0234] (?:Bad Gateway|Service|Internal|Gateway)|rate limit)",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(r"command not found|: not found$|No such file or directory$")
_LOCK = "lock"
_CODE_KINDS = frozenset({"test", "type", "compile", "crash"})


def diagnose(
    result: StageResult, diagnostics: Sequence[Diagnostic], lines: Sequence[str]
) -> tuple[FailureCategory, str]:
    """Return the category of a failed stage and the reason in words. `lines` are the clean log."""
    signal = next((attempt for attempt in reversed(result.attempts)), None)
    tail = lines[-400:]
    found = _first(tail, _DISK)
    if found is not None:
        return "infra", found
    killed = result.exit_code == 137 or (signal is not None and "signal 9" in (signal.reason or ""))
    memory = _first(tail, _MEMORY)
    if killed or memory is not None:
        return "infra", memory or "it was killed (signal 9): mostly for want of memory"
    network = _first(tail, _NETWORK)
    # A test of networking says such things, too: only where something is being fetched it is the network.
    is_code = any(one.kind in _CODE_KINDS for one in diagnostics)
    if network is not None and not is_code and _INSTALLING.search("\n".join(tail)):
        return "infra", network
    if result.verdict is Verdict.TIMED_OUT and not diagnostics:
        return "infra", result.reason or "it did not end in time, and said nothing that explains it"
    kinds = {one.kind for one in diagnostics}
    if kinds == {"shell"} and any(_NOT_FOUND.search(one.message) for one in diagnostics):
        return "config", next(one.message for one in diagnostics if _NOT_FOUND.search(one.message))
    if any(one.tool == _LOCK for one in diagnostics):
        return "lock", next(one.message for one in diagnostics if one.tool == _LOCK)
    if kinds and kinds <= {"lint", "format"}:
        return "lint", _summary(diagnostics)
    if kinds & _CODE_KINDS:
        return "code", _summary([one for one in diagnostics if one.kind in _CODE_KINDS])
    return "unknown", result.reason or "nothing in the log says what is wrong"


def _first(lines: Sequence[str], pattern: re.Pattern[str]) -> str | None:
    return next((line.strip()[:200] for line in lines if pattern.search(line)), None)


def _summary(diagnostics: Sequence[Diagnostic]) -> str:
    first = diagnostics[0]
    place = f"{first.file}:{first.line}: " if first.file and first.line else f"{first.file}: " if first.file else ""
    more = f" (and {len(diagnostics) - 1} more)" if len(diagnostics) > 1 else ""
    what = first.message or first.test_id or first.tool
    return f"{place}{what[:160]}{more}"
