"""What a person should look at before it is applied: swallowed errors, special cases, deletions, new powers."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.fixing.guards.patch import ChangedFile, Patch, Pattern
from cicdctl.fixing.guards.undisguised import find_patterns
from cicdctl.model.fixing import GuardFinding

SWALLOWING: tuple[Pattern, ...] = (
    ("js", re.compile(r"\.catch\(\s*(?:\(\s*\w*\s*\)|\w+)\s*=>\s*(?:\{\s*\}|null|undefined|void 0)\s*\)|\.catch\(\s*(?:noop|\(\)\s*=>\s*\{\s*\})\s*\)")),
    ("python", re.compile(r"\bsys\.exit\(\s*[a-z_]\w*\s*\)|(?:\breturn\b.*|^\s*[\w.]+\s*=\s*)\blambda\b[^:\n]{0,80}:\s*None\b")),
    ("js", re.compile(r"=>\s*\{\s*\}")),
    ("js", re.compile(r"\bprocess\.exit\(\s*[a-z_$][\w$]*\s*\)|\bcatch\s*(?:\([^()]*\))?\s*\{\s*return\s+\w+\s*;?\s*\}|\bfinally\s*\{\s*return\b")),
    ("shell other", re.compile(r"2>>?\s*/dev/null|&>>?\s*/dev/null|>\s*/dev/null\s+2>&1")),
    ("go", re.compile(r"\b_\s*=\s*err\b|\b\w+,\s*_\s*:?=\s*[\w.]+\(|\brecover\(\)")),
    ("rust", re.compile(r"\blet\s+_\s*=|\.ok\(\)\s*;|\bcatch_unwind\b")),
)
POWERS: tuple[Pattern, ...] = (
    ("python", re.compile(r"\b(?:subprocess|pickle|marshal|shelve|socket|ctypes|cffi|telnetlib|ftplib|smtplib|pty|multiprocessing)\.\w+|\b(?:import|from)\s+(?:subprocess|pickle|marshal|shelve|socket|ctypes|cffi|telnetlib|ftplib|smtplib|pty|importlib|builtins|requests|httpx|aiohttp|urllib3|urllib\.request|http\.client)\b")),
    ("python", re.compile(r"\bos\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*|fork|kill|putenv)\(|(?<![\w.])(?:eval|exec|compile|__import__)\(|\bbuiltins\b|__builtins__|\bimportlib\.import_module\(|\bsys\.modules\b|\b__subclasses__\b|\basyncio\.create_subprocess_\w+")),
    ("python", re.compile(r"(?<![\w.])(?:requests|httpx|aiohttp|urllib3)\.(?:get|post|put|delete|patch|request|\w*Client|\w*Session|PoolManager)\b|\burllib\.request\b|\bhttp\.client\b|\bb(?:64|85|32|16)decode\(|\bos\.environ\b(?!\s*(?:\[|\.(?:get|setdefault|pop|__getitem__)\b))")),
    ("js", re.compile(r"\bchild_process\b|(?<![\w.])eval\(|\bnew Function\(|\bglobalThis\.(?:eval|Function)\b|(?<![\w.$])fetch\(|\bprocess\.env\b(?!\s*(?:\.|\?\.|\[\s*['\"]))|\bXMLHttpRequest\b|\bWebSocket\(|(?:\brequire\(|\bfrom\s+|\bimport\(?\s*)['\"](?:node:)?(?:https?|net|dgram|vm|tls|axios|node-fetch|undici)['\"]|\bvm\.run|\bprocess\.(?:binding|dlopen)\b")),
    ("go", re.compile(r"^\s*(?:import\s+)?(?:\w+\s+)?\"(?:os/exec|net/http|net|net/smtp|syscall|unsafe|plugin)\"|\bexec\.Command(?:Context)?\(|\bunsafe\.Pointer\b|^//go:(?:generate|linkname)\b|^import \"C\"")),
    ("rust", re.compile(r"\bstd::(?:process|net)\b|\bunsafe\b|\bCommand::new\(|\breqwest\b|\binclude_(?:str|bytes)!\(")),
    ("java", re.compile(r"\bgetRuntime\(\)|\bProcessBuilder\b|\bHttpClient\b|\bHttpURLConnection\b|\bObjectInputStream\b|\bScriptEngine\w*|\bnew\s+(?:Server)?Socket\(|\bsetAccessible\(")),
    ("c", re.compile(r"\b(?:system|popen|execl?v?p?e?|fork|dlopen|socket)\(")),
    ("shell other", re.compile(r"\b(?:curl|wget|nc|ncat|ssh|scp|sudo)\s|\beval\s|\b(?:pip3?|npm|pnpm|yarn|gem|cargo|go|apt-get|apk|brew)\s+(?:install|add|get)\b|\bbase64\s+(?:-d|--decode)|\bchmod\s+\+x\b")),
    ("", re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}|(?:\\x[0-9a-fA-F]{2}){50,}")),
)
# Whoever asks in a condition for what is named like a test wants to know who is looking.
NAMED_TESTS: tuple[Pattern, ...] = (
    ("python js", re.compile(r"^(?=.*(?:\bif\b|\belif\b|\bwhile\b|\band\b|\bor\b|&&|\|\||\?|==|\bin\b)).*['\"`][^'\"`\s]{0,60}(?<![A-Za-z])(?:py|unit|doc)?[Tt]ests?(?:\.[jt]s|_|/)?(?![A-Za-z])[^'\"`\s]{0,60}['\"`].*")),
)


def find_dangers(patch: Patch) -> Iterator[GuardFinding]:
    """Yield what needs an approval, in any language, by the lines that are new or gone."""
    for file in patch.files:
        yield from find_patterns("swallowing", "needs_approval", "an error is dropped", SWALLOWING, file)
        yield from find_patterns("new-powers", "needs_approval", "it reaches further than before", POWERS, file)
        if not file.is_test:
            yield from find_patterns("test-awareness", "needs_approval", "it asks for tests by name", NAMED_TESTS, file)
        yield from _deletions(file)


def _deletions(file: ChangedFile) -> Iterator[GuardFinding]:
    gone, new = len(file.removed), len(file.added)
    if gone - new >= 20 and gone > 2 * new:
        yield file.finding("deletion", "needs_approval", f"{gone} lines are gone, {new} are new")
    if file.file.op == "delete":
        yield file.finding("deletion", "needs_approval", "the file is gone")
