"""Searches files in a process of its own: a pattern can be made to run for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from cicdctl.fixers.claude.reading import ToolError
from cicdctl.fixers.claude.search_child import WIDTH
from cicdctl.fixing.paths import SECRETS

LIMIT_S = 2.0
MOST_MATCHES = 60
MOST_PATTERN = 1_000
_MOST_OUTPUT = 1_000_000


def grep(worktree: Path, pattern: str, glob: str | None, hide: Callable[[str], str]) -> str:
    """Return matching lines as `path:line: text`, each without what `hide` takes out of it. Raises ToolError."""
    found = _search(worktree, pattern, glob or "", hide)
    lines = [f"{path}:{line}: {text}" for path, line, text in found]
    if len(found) >= MOST_MATCHES:
        lines.append(f"[only the first {MOST_MATCHES} matches are shown]")
    return "\n".join(lines) or "no match"


def grep_text(text: str, pattern: str, hide: Callable[[str], str]) -> str:
    """Return the matching lines of a text as `line: text`. Raises ToolError."""
    with TemporaryDirectory(prefix="cicdctl-grep-") as folder:
        (Path(folder) / "log").write_text(text, "utf-8", "replace")
        found = _search(Path(folder), pattern, "", hide)
    return "\n".join(f"{line}: {shown}" for _, line, shown in found) or "no match"


def _search(root: Path, pattern: str, glob: str, hide: Callable[[str], str]) -> list[tuple[str, int, str]]:
    from cicdctl.process import Control, ProcessSpec, run_process

    if len(pattern) > MOST_PATTERN or len(glob) > MOST_PATTERN or "\0" in pattern + glob:
        raise ToolError(f"pattern and glob have at most {MOST_PATTERN} characters")
    asked = {"pattern": pattern, "glob": glob, "skip": SECRETS, "most": MOST_MATCHES}
    child = Path(__file__).with_name("search_child.py")
    output = bytearray()
    ended = run_process(
        ProcessSpec(
            argv=(sys.executable, "-I", "-S", str(child), msgspec.json.encode(asked).decode()),
            cwd=root,
            env={"LC_ALL": "C.UTF-8"},
            mark="cicdctl/fix/grep",
            timeout_s=LIMIT_S,
            grace_s=0.2,
        ),
        lambda chunk: output.extend(chunk[: max(0, _MOST_OUTPUT - len(output))]),
        Control(),
    )
    if ended.reason == "timed_out":
        raise ToolError(f"the search took longer than {LIMIT_S:.0f} s; use a simpler pattern")
    try:
        answer = msgspec.json.decode(bytes(output))
    except ValueError as error:
        raise ToolError("the search failed") from error
    if "error" in answer:
        raise ToolError(f"the pattern makes no sense: {answer['error']}")
    return [(path, line, _part(text, start, hide)) for path, line, text, start in answer["found"]]


def _part(text: str, start: int, hide: Callable[[str], str]) -> str:
    """Cut a line with what is around it to the part that is shown, after it was looked through as a whole."""
    hidden = hide(text)
    if hidden != text:
        start = max(0, min(start, len(hidden) - WIDTH))
    return hidden[start : start + WIDTH]
