"""A value of the failing assertion in a new branch: the test is answered, and the fault is not repaired."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
from collections.abc import Iterator

from cicdctl.errors import GitError
from cicdctl.fixing.guards.patch import MOST_LINE, ChangedFile, Patch
from cicdctl.fixing.guards.undisguised import views
from cicdctl.fixing.paths import is_test_path
from cicdctl.git import Repository
from cicdctl.git.trees import FILE, PROGRAM
from cicdctl.model.fixing import FailureBundle, GuardFinding

_LITERAL = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])|'([^'\n]{2,80})'|\"([^\"\n]{2,80})\"")
_BRANCH = re.compile(r"^\s*+(?:(?:\}\s*+)?(?:else\s+)?if|elif|case|match|when|switch)\b|\bif\b.*\belse\b|\?\s*.*:|==|\bin\s*[(\[{]|\.get\(|[{,]\s*[^\s{},]+\s*:\s*\S")
_COMMON = frozenset({"0", "1", "2", "-1", "10", "100", "0.0", "1.0"})
_CONSTANT = re.compile(r"^\s*+(?:export\s++)?(?:(?:const|let|var|final|static|val)\s++)?([A-Za-z_]\w{0,80})\s*(?::[^=]{0,80})?=(?!=)")
_PLACE = re.compile(r"([\w@+./-]{1,400}\.\w{1,10})(?::|\", line )(\d{1,7})\b")
_ASSERTION = re.compile(r"^\s*(?:E\s+)?(?:assert\b|[Ee]xpected\b|[Aa]ctual\b|[Rr]eceived\b|[Gg]ot\b|\S{1,80} (?:!==?|!=) \S{1,80}$)")
# A branch and what is in it: so many lines below it may hold the answer.
_BODY_LINES = 3
_MOST_PLACES = 20
_MOST_ASSERTION_LINES = 10
_MOST_FILE_BYTES = 400_000


def find_special_cases(patch: Patch, bundle: FailureBundle, repository: Repository) -> Iterator[GuardFinding]:
    """Yield findings for literals of the failing tests, by what they said and by the lines that failed."""
    wanted = _told(bundle) | set(_stood(bundle, repository))
    wanted -= _COMMON
    for file in patch.files:
        if not wanted or file.language == "prose" or file.is_binary:
            continue
        seen: set[int] = set()
        for view in views(file):
            for number, literal in _answers(view, wanted - set(literals(file.old))):
                if number not in seen:
                    seen.add(number)
                    text = f"a value of the failing test in a new branch: {literal}"
                    yield file.finding("special-case", "needs_approval", text, number)


def literals(text: str) -> Iterator[str]:
    """Yield numbers and short strings of a text."""
    for match in _LITERAL.finditer(text[:200_000]):
        yield match.group(1) or match.group(2) or match.group()


def _told(bundle: FailureBundle) -> set[str]:
    """What was expected and what came, as the tests said it; of a runner nobody knows, as its log says it."""
    said = [one.message for one in bundle.diagnostics if one.kind == "test" or "ssert" in one.message]
    if not said:
        said = [line for line in bundle.excerpt.splitlines() if _ASSERTION.match(line[:MOST_LINE])]
    return {literal for text in said for literal in literals(text)}


def _stood(bundle: FailureBundle, repository: Repository) -> Iterator[str]:
    """What the failing lines of the tests hold: questions as well as answers."""
    places = [(one.file, one.line) for one in bundle.diagnostics]
    places += [(frame.file, frame.line) for one in bundle.diagnostics for frame in one.frames]
    places += [(found[1], int(found[2])) for found in _PLACE.finditer(bundle.excerpt)]
    known = [(file, line) for file, line in dict.fromkeys(places) if file and line and is_test_path(file.lstrip("/"))]
    for file, line in known[:_MOST_PLACES]:
        lines = _lines(repository, bundle.base_tree, file)
        text, depth = "", 0
        for row in lines[line - 1 : line - 1 + _MOST_ASSERTION_LINES]:
            text += row[:MOST_LINE] + "\n"
            depth += sum(map(row.count, "([{")) - sum(map(row.count, ")]}"))
            if depth <= 0:
                break
        yield from literals(text)


def _lines(repository: Repository, tree: str, file: str) -> list[str]:
    """The lines of a file of the base, that a tool may name by a path of its worktree; none when it is not there."""
    parts = file.split("/")
    for start in range(len(parts)):
        path = "/".join(parts[start:]).encode("utf-8", "surrogateescape")
        try:
            entry = repository.find_entry(tree, path) if path else None
            if entry is not None and entry.mode in (FILE, PROGRAM):
                data = repository.read_object(entry.oid)[1]
                return data.decode("utf-8", "replace").split("\n") if len(data) <= _MOST_FILE_BYTES else []
        except GitError:
            return []
    return []


def _answers(file: ChangedFile, wanted: set[str]) -> Iterator[tuple[int, str]]:
    rows = [(number, line[:MOST_LINE]) for number, line in file.added if line.strip()]
    branches = {number: _indent(line) for number, line in rows if _BRANCH.search(line)}
    named: dict[str, str] = {}
    for number, line in rows:
        found = wanted & set(literals(line))
        if found and _is_in_branch(number, line, branches):
            yield number, min(found)
        elif found and (constant := _CONSTANT.match(line)) is not None:
            named[constant[1]] = min(found)
    if not named:
        return
    uses = re.compile(rf"\b({'|'.join(map(re.escape, named))})\b")
    for number, line in rows:
        if (used := uses.search(line)) is not None and _is_in_branch(number, line, branches):
            yield number, named[used[1]]


def _is_in_branch(number: int, line: str, branches: dict[int, int]) -> bool:
    above = range(number - _BODY_LINES, number)
    return number in branches or any(branches.get(one, 1 << 20) < _indent(line) for one in above)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
