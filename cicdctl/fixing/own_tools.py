"""The tools that repair what they complain about: which of them a repository uses, and which a failed stage named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from cicdctl.model import StageResult
from cicdctl.project import Project

# Where a repository says which tools it uses, also for a stage that is just `make lint`, `npm run lint` or `tox`.
SETTINGS = (
    "pyproject.toml", "setup.cfg", "tox.ini", "noxfile.py", "package.json", "Makefile", "makefile", "GNUmakefile",
    "justfile", "Taskfile.yml", ".pre-commit-config.yaml",
)  # fmt: skip
# By the name that diagnostics have: files that only a repository which uses the tool has.
MARKS: Mapping[str, tuple[str, ...]] = {
    "ruff": ("ruff.toml", ".ruff.toml"),
    "isort": (".isort.cfg",),
    "black": (),
    "eslint": ("eslint.config.js", "eslint.config.mjs", "eslint.config.cjs", "eslint.config.ts", ".eslintrc.json"),
    "prettier": (".prettierrc", ".prettierrc.json", ".prettierrc.yaml", "prettier.config.js", ".prettierignore"),
    "goimports": (),
    "gofmt": ("go.mod",),
    "clippy": ("Cargo.toml",),
    "rustfmt": ("Cargo.toml",),
    "pre-commit": (".pre-commit-config.yaml",),
    "lock": ("uv.lock", "poetry.lock", "package-lock.json"),
}
# Of a log; who complains does it at the end.
_MOST_BYTES = 512 << 10


def is_used(tool: str, commands: Iterable[str], read: Callable[[str], str | None]) -> bool:
    """Whether commands or the settings of a repository name a tool; a log alone may be mistaken.

    `read` gives the text of a file of the repository, None when there is none.
    """
    if _names(commands, tool) or any(read(mark) is not None for mark in MARKS[tool]):
        return True
    return _names((text for name in SETTINGS if (text := read(name))), tool)


def complaining_tools(project: Project, results: Iterable[StageResult]) -> frozenset[str]:
    """Return those of these tools that the logs of stages show to have complained, whatever command started them."""
    from cicdctl.fixing.matchers import find_diagnostics
    from cicdctl.fixing.normal_text import normal_lines, read_text
    from cicdctl.fixing.stage_log import read_stage_log

    found: set[str] = set()
    for result in results:
        lines = normal_lines(read_text(read_stage_log(project, result, limit=_MOST_BYTES)))
        found |= {one.tool for one in find_diagnostics(lines).diagnostics}
    return frozenset(found & MARKS.keys())


def _names(texts: Iterable[str], word: str) -> bool:
    pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
    return any(pattern.search(text) for text in texts)
