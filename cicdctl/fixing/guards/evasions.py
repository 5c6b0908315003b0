"""Ways to make a check pass without repairing anything: skips, suppressions, masked exits, looser thresholds."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch, Pattern
from cicdctl.fixing.guards.undisguised import find_patterns
from cicdctl.model.fixing import GuardFinding

SKIPS: tuple[Pattern, ...] = (
    ("python", re.compile(r"\bmark\.(?:skip|skipif|xfail)\b|\bpytest\.(?:skip|xfail|importorskip)\(|\b__test__\s*=\s*False")),
    ("python", re.compile(r"\bunittest\.(?:skip\w*|expectedFailure|SkipTest)\b|\bself\.skipTest\(|@(?:skip|skipIf|skipUnless|expectedFailure)\b|\braise\s+SkipTest\b")),
    ("python prose", re.compile(r"doctest:\s*\+SKIP")),
    ("", re.compile(r"\bcollect_ignore(?:_glob)?\b|--deselect\b|--ignore(?:-glob)?=|\bpytest\b.*\s-[mk] ['\"]?not\b|--testPathIgnorePatterns\b|\btestPathIgnorePatterns\b")),
    ("js", re.compile(r"(?<![\w.$])(?:it|test|describe|suite|context|node:test|jest|vitest)(?:\.\w+)*\.(?:skip|todo|only|skipIf|runIf|fails|failing)\b|\b(?:skip|todo|only)\s*:\s*(?:true|['\"`1-9])|(?<![\w.$])(?:x(?:it|test|describe)|f(?:it|describe))\(\s*['\"`]")),
    ("go", re.compile(r"\b[tbf]\.Skip(?:f|Now)?\(|\btesting\.Short\(|^//go:build\s+ignore\b")),
    ("rust", re.compile(r"#\[ignore\b|#\[should_panic\b")),
    ("java", re.compile(r"@(?:Disabled|Ignore)\b|\bassume(?:True|False|That)\(")),
)
SUPPRESSIONS: tuple[Pattern, ...] = (
    ("", re.compile(r"#.{0,40}\bnoqa\b|#\s*type:\s*ignore\b|#\s*(?:pyright|pyre|mypy|ty):|#\s*pyre-(?:ignore|fixme)\b|#\s*pylint:\s*(?:disable|skip)|#\s*nosec\b|#\s*pragma:\s*no (?:cover|branch)|#\s*rubocop:disable", re.IGNORECASE)),
    ("", re.compile(r"eslint-disable|/\*\s*eslint\b[^*]*\b(?:0|off)\b|@ts-(?:ignore|expect-error|nocheck)|(?:istanbul|c8|v8) ignore|(?:prettier|biome|oxlint|deno-lint|stylelint)-(?:ignore|disable)")),
    ("", re.compile(r"//\s*nolint\b|//lint:ignore\b|#nosec\b|#!?\[(?:allow|expect)\(|@Suppress(?:Warnings)?\b|#pragma\s+(?:GCC|clang|warning)\s+(?:diagnostic|disable)|shellcheck disable|NOLINT\b|coverage:\s*ignore")),
    ("", re.compile(r"#\s*(?:fmt|yapf|isort|ruff):\s*(?:off|skip|skip_file|disable|split)\b|clang-format off|rustfmt::skip\b")),
)
SILENCING_CODE: tuple[Pattern, ...] = (
    ("python", re.compile(r"@(?:typing\.)?no_type_check\b|\bwarnings\.(?:filterwarnings|simplefilter)\(\s*['\"](?!error)|\bcast\(\s*(?:typing\.)?['\"]?Any\b")),
)
EXITS: tuple[Pattern, ...] = (
    ("shell other python", re.compile(r"\|\|\s*(?:true|:|exit\s+0|/bin/true)(?=\s|$|[;&|)\"'])|;\s*(?:true|:|exit 0)\s*['\"]?\s*$|\bset\s+\+[a-z]*e|\bset\s+\+o\s+(?:errexit|pipefail)")),
    ("shell other", re.compile(r"\bcontinue-on-error\b|\ballow_failure\b|\bfailure_ok\b|\bignore_errors\s*[:=]|\bignore-errors\b|^\s*exit\s+0\s*(?:#.*)?$|\btrap\s+['\"]?(?:exit 0|true|:)")),
    ("python", re.compile(r"(?<![\w.])(?:sys\.exit|exit|quit)\(\s*(?:0+|None|False|''|\"\")?\s*\)|\b_exit\b|\bSystemExit\(\s*(?:0+|None|False|''|\"\")?\s*\)|\braise\s+SystemExit\s*$|\bsys\.excepthook\s*=|\bpytest\.exit\(")),
    ("js", re.compile(r"\bprocess\.exit\(\s*0?\s*\)|\bprocess\.exitCode\s*=\s*0|\breallyExit\b|\{[^{}]*\bexit\b[^{}]*\}\s*=\s*process\b|\bprocess\.on\(\s*['\"](?:exit|uncaughtException|unhandledRejection)['\"]")),
    ("go", re.compile(r"\bos\.Exit\(0\)")),
    ("rust", re.compile(r"\bprocess::exit\(0\)")),
    ("java", re.compile(r"\bSystem\.exit\(0\)|\bexitProcess\(0\)|\bEnvironment\.Exit\(0\)")),
    ("c", re.compile(r"\b_?exit\(\s*(?:0|EXIT_SUCCESS)\s*\)")),
)
THRESHOLDS: tuple[Pattern, ...] = (
    ("", re.compile(r"\bfail_under\b|--cov-fail-under|\bcoverageThreshold\b|\bmax-warnings\b|--maxfail\b|--passWithNoTests\b|\bpassWithNoTests\b|--exit-zero\b|--no-error-on-unmatched-pattern\b|--noconftest\b|-p no:\w+")),
    ("other js", re.compile(r"\b[\"']?(?:strict|noImplicitAny|strictNullChecks|noEmitOnError)[\"']?\s*[:=]\s*false|\bskipLibCheck[\"']?\s*[:=]\s*true", re.IGNORECASE)),
    ("other", re.compile(r"\bignore_missing_imports\b|\b(?:extend-)?(?:ignore|exclude)\s*=|\bper-file-ignores\b|\bomit\s*=|\bdisable_error_code\b|\bdeny_warnings\b|\btimeout\s*[:=]", re.IGNORECASE)),
    ("", re.compile(r"\btestTimeout\b|\b(?:jest|vi)\.(?:setTimeout|retryTimes|setConfig)\b|\bmark\.(?:timeout|flaky)\b|\b(?:pytest|jest|vitest|mocha|go test)\b.*--?(?:timeout|reruns|retries)\b|\bthis\.(?:timeout|retries)\(\d")),
)
AWARENESS: tuple[Pattern, ...] = (
    ("", re.compile(r"PYTEST_(?:CURRENT_TEST|VERSION|XDIST)|JEST_WORKER_ID|VITEST\b|VITEST_WORKER_ID|\bCICD_(?:RUN|PIPELINE|STAGE|ATTEMPT|TRIGGER|LOCAL|MARK)\b|\bRUST_TEST\w*|\bGITHUB_ACTIONS\b|\bGITLAB_CI\b")),
    ("", re.compile(r"(?:environ(?:\.get)?|getenv|Getenv|env::var|LookupEnv)\s*[\[(]\s*['\"](?:CI|TESTING|TEST|UNIT_?TEST\w*)['\"]|\bprocess\.env\.(?:CI|TEST|TESTING)\b")),
    ("python", re.compile(r"^(?=.*\bsys\.modules\b).*['\"]_?(?:pytest|unittest|nose\w*|hypothesis|py\.test)['\"].*")),
    ("python", re.compile(r"\binspect\.(?:stack|currentframe|getouterframes|getframeinfo|trace)\(|\bsys\.(?:_getframe|_current_frames|settrace|setprofile)\b|\btraceback\.(?:extract_stack|walk_stack|print_stack|format_stack)|\bf_back\b|\bgc\.get_(?:objects|referrers)\(")),
    ("python", re.compile(r"\bunittest\.mock\b|\bfrom\s+mock\b|\bimport\s+mock\b|\bmonkeypatch\b|\b(?:Magic|Async)Mock\b|\bcreate_autospec\b")),
    ("python", re.compile(r"^(?=.*\bsys\.argv\b).*(?:pytest|unittest|\btests?\b|discover).*|\b(?:import|from)\s+(?:_?pytest|unittest)\b|\b(?:_?pytest|unittest|doctest)(?:\.\w+)+\s*=(?!=)|\btb_frame\b|\bf_code\b|\bdef\s+pytest_\w+|\bpytest_plugins\b")),
    ("js", re.compile(r"\bNODE_TEST_CONTEXT\b|\bNODE_ENV\b.{0,12}test|\btest['\"`]\s*={2,3}\s*(?:process\.env\.)?NODE_ENV\b|\{[^{}]*\bNODE_ENV\b[^{}]*\}\s*=\s*process\.env|\.stack\s*(?:\?\.|\.|\[)|\b(?:process\.argv|require\.main|module\.parent)\b.*\btest|['\"`](?:node:test|vitest|@jest/globals|mocha|chai)['\"`]|\bassert(?:\.\w+)*\s*=(?!=)|Object\.(?:assign|define\w+)\(\s*(?:require\(|assert\b)|\b(?:jest|vi)\.(?:mock|spyOn|fn)\(|\bnew Error\([^)]*\)\.stack|import\.meta\.vitest|\btypeof\s+(?:jest|vi|describe|it|test|expect|beforeEach)\b|\bglobalThis\.(?:expect|describe|it|test)\b")),
    ("go", re.compile(r"\bflag\.Lookup\(\"test\.|\btesting\.Testing\(\)|\bruntime\.Callers?\(|\bos\.Args\[0\].*\.test\b|\bdebug\.Stack\(")),
    ("rust", re.compile(r"\bcfg!\(test\)|#\[cfg\(not\(test\)\)\]|#\[cfg_attr\((?:not\()?test\b")),
    ("java", re.compile(r"\bgetStackTrace\(\)|\bStackWalker\b|Class\.forName\(\"(?:org\.junit|org\.testng)")),
)
# A test module inside the file is how Rust has it; anything else under the attribute behaves otherwise when tested.
_RUST_FORK = re.compile(r"#\[cfg\(test\)\](?!\s*(?:#\[[^\]]{0,200}\]\s*){0,5}(?:pub(?:\([^)]*\))?\s+)?(?:mod|use|extern)\b)")


def find_evasions(patch: Patch) -> Iterator[GuardFinding]:
    """Yield what blocks a candidate in the lines it adds, whatever the language. Tests may know that they are some."""
    for file in patch.files:
        yield from find_patterns("skips", "block", "a check is left out", SKIPS, file, to_end=True)
        yield from find_patterns("suppressions", "block", "a complaint is silenced", SUPPRESSIONS, file, to_end=True)
        yield from find_patterns("suppressions", "block", "a complaint is silenced", SILENCING_CODE, file)
        yield from find_patterns("exit-masking", "block", "a failure is hidden", EXITS, file)
        yield from find_patterns("thresholds", "block", "a limit is changed", THRESHOLDS, file, to_end=True)
        if not file.is_test:
            yield from find_patterns("test-awareness", "block", "it asks whether it is being tested", AWARENESS, file)
            yield from _rust_forks(file)


def _rust_forks(file: ChangedFile) -> Iterator[GuardFinding]:
    if file.language == "rust":
        for line, match in file.new_passages(_RUST_FORK):
            yield file.finding("test-awareness", "block", f"it behaves otherwise when tested: {match.group()}", line)
