"""Ways to make a check pass without repairing anything: skips, suppressions, masked exits, looser thresholds."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import Patch, by_pattern
from cicdctl.model.fixing import GuardFinding

SKIPS = (
    ("python", re.compile(r"@?\bpytest\.mark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip)\(")),
    ("python", re.compile(r"\bunittest\.(?:skip\w*|expectedFailure|SkipTest)\b|\bself\.skipTest\(|@(?:skip|skipIf)\(")),
    ("", re.compile(r"\bcollect_ignore(?:_glob)?\b|--deselect\b|--ignore(?:-glob)?=|-m ['\"]?not\b")),
    (
        "js",
        re.compile(
            r"\b(?:it|test|describe|suite)\.(?:skip|todo|only|skipIf)\b|\bx(?:it|test|describe)\(|\bf(?:it|describe)\("
        ),
    ),
    ("go", re.compile(r"\b[tb]\.Skip(?:f|Now)?\(|testing\.Short\(")),
    ("rust", re.compile(r"#\[ignore\b|#\[cfg\(not\(test\)\)\]")),
    ("java", re.compile(r"@(?:Disabled|Ignore)\b|assume(?:True|False)\(")),
)
SUPPRESSIONS = (
    (
        "",
        re.compile(
            r"#\s*noqa\b|#\s*type:\s*ignore\b|#\s*pyright:\s*ignore\b|#\s*pylint:\s*disable|#\s*nosec\b|#\s*pragma:\s*no cover|#\s*mypy:",
            re.IGNORECASE,
        ),
    ),
    (
        "",
        re.compile(
            r"eslint-disable|@ts-(?:ignore|expect-error|nocheck)|istanbul ignore|c8 ignore|prettier-ignore|biome-ignore"
        ),
    ),
    (
        "",
        re.compile(
            r"//\s*nolint\b|#!?\[allow\(|@SuppressWarnings|#pragma\s+(?:GCC|clang)\s+diagnostic|shellcheck disable|NOLINT\b"
        ),
    ),
    ("python", re.compile(r"\btyping\.no_type_check\b|\bwarnings\.(?:filterwarnings|simplefilter)\(")),
)
EXITS = (
    ("", re.compile(r"\|\|\s*(?:true|:)(?=\s|$|[;&|)\"'])|;\s*true\s*$|\bset\s+\+e\b")),
    ("", re.compile(r"\bcontinue-on-error\b|\ballow_failure\b|\bignore_errors\b|\bfailure_ok\b")),
    ("python", re.compile(r"\b(?:sys\.exit|os\._exit|exit|quit)\(\s*0?\s*\)|\bSystemExit\(\s*0?\s*\)|\bos\.kill\(")),
    ("js", re.compile(r"\bprocess\.exit\(\s*0?\s*\)|\bprocess\.exitCode\s*=\s*0")),
    ("go", re.compile(r"\bos\.Exit\(0\)")),
    ("rust", re.compile(r"\bprocess::exit\(0\)")),
    ("shell", re.compile(r"^\s*exit\s+0\s*$|\btrap\s+['\"]?exit 0")),
)
THRESHOLDS = (
    (
        "",
        re.compile(r"\bfail_under\b|--cov-fail-under|\bcoverageThreshold\b|\bmax-warnings\b|--maxfail\b|--exitfirst\b"),
    ),
    (
        "",
        re.compile(r"\bstrict\s*[:=]\s*false|\bignore_missing_imports\b|\bextend-ignore\b|\bper-file-ignores\b", re.I),
    ),
    ("", re.compile(r"\b(?:testTimeout|jest\.setTimeout|--timeout)\b|\bpytest\.mark\.timeout\b|\bomit\s*=\s*\[?")),
)
AWARENESS = (
    (
        "",
        re.compile(
            r"PYTEST_CURRENT_TEST|JEST_WORKER_ID|VITEST_WORKER_ID|GO_TEST\b|\bCI_COMMIT_|\bCICD_[A-Z]+|RUST_TEST"
        ),
    ),
    (
        "python",
        re.compile(
            r"['\"](?:pytest|unittest|_pytest)['\"]\s+(?:not\s+)?in\s+sys\.modules|sys\.modules\[['\"](?:pytest|unittest)"
        ),
    ),
    (
        "python",
        re.compile(
            r"\binspect\.(?:stack|currentframe|getouterframes)\(|\bsys\._getframe\(|\btraceback\.(?:extract|walk)_stack"
        ),
    ),
    ("python", re.compile(r"\bunittest\.mock\b|\bfrom\s+mock\b|\bmonkeypatch\b|\bMagicMock\b")),
    ("python", re.compile(r"\bsys\.argv\[0\].*(?:pytest|test)|\bimport\s+_?pytest\b|\bfrom\s+_?pytest\b")),
    ("js", re.compile(r"NODE_ENV\b.{0,10}test|\bjest\.mock\(|\bvi\.mock\(|new Error\(\)\.stack|import\.meta\.vitest")),
    ("go", re.compile(r"\bflag\.Lookup\(\"test\.|\btesting\.Testing\(\)|runtime\.Callers?\(")),
    ("rust", re.compile(r"#\[cfg\(test\)\]|cfg!\(test\)")),
)


def find_evasions(patch: Patch) -> Iterator[GuardFinding]:
    """Yield what blocks a candidate in the lines it adds, whatever the language."""
    for file in patch.files:
        yield from by_pattern("skips", "block", "a check is left out", SKIPS, file)
        yield from by_pattern("suppressions", "block", "a complaint is silenced", SUPPRESSIONS, file)
        yield from by_pattern("exit-masking", "block", "a failure is hidden", EXITS, file)
        yield from by_pattern("thresholds", "block", "a limit is changed", THRESHOLDS, file)
        yield from by_pattern("test-awareness", "block", "it asks whether it is being tested", AWARENESS, file)
