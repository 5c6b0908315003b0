"""Which files a fix may change: none outside the worktree, none of git's, and none of those that judge it."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
import shlex
import stat
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from cicdctl.git import compile_globs
from cicdctl.git.names import check_name
from cicdctl.model.fixing import EditRefused

TESTS = (
    "**/tests/**", "**/test/**", "**/test_*.py", "**/*_test.*", "**/*.spec.*", "**/*.test.*", "**/__snapshots__/**",
    "**/conftest.py", "**/testdata/**", "**/__tests__/**", "**/spec/**",
)  # fmt: skip
PIPELINES = (
    ".github/**", ".gitlab-ci.yml", ".circleci/**", "Jenkinsfile", "azure-pipelines.yml", ".buildkite/**", ".husky/**",
    ".pre-commit-config.yaml", ".cicd*", ".cicdctl/**", ".git*", "tox.ini", "noxfile.py", "Makefile",
)  # fmt: skip
LOCKS = (
    "**/*.lock", "**/package-lock.json", "**/pnpm-lock.yaml", "**/go.sum", "**/Cargo.lock", "**/npm-shrinkwrap.json",
)  # fmt: skip
MANIFESTS = (
    "**/package.json", "**/pyproject.toml", "**/setup.*", "**/requirements*.txt", "**/go.mod", "**/Cargo.toml",
    "**/requirements/*.txt", "**/Pipfile", "**/CODEOWNERS", "**/LICENSE*", "**/Gemfile", "**/pom.xml", "**/build.gradle*",
)  # fmt: skip
SETTINGS = (
    "**/pytest.ini", "**/.coveragerc", "**/mypy.ini", "**/ruff.toml", "**/.ruff.toml", "**/.eslintrc*", "**/eslint.config.*",
    "**/tsconfig*.json", "**/jest.config.*", "**/vitest.config.*", "**/.flake8", "**/.pylintrc",
)  # fmt: skip
AGENTS = (
    "**/CLAUDE.md", "**/AGENTS.md", ".claude/**", ".cursor/**", ".github/copilot-instructions.md", "**/.mcp.json",
)  # fmt: skip
SECRETS = (
    "**/.env*", "**/*.pem", "**/id_rsa*", "**/id_dsa*", "**/id_ecdsa*", "**/id_ed25519*", "**/*.p12", "**/*.kdbx", "**/.netrc", "**/.npmrc", "**/.pypirc",
    "**/*credentials*",
)  # fmt: skip
# What no list of the operator lifts: whoever writes here writes the rules.
_NEVER = (".git*", ".cicd*", ".cicdctl/**")

MOST_PATH_BYTES = 1024
# Format characters, half surrogates, and what ends a line or paragraph without a newline.
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


class PathRules:
    """Judges paths relative to a worktree. `worktree` None judges names only; `allowed` lifts protection."""

    def __init__(
        self,
        worktree: Path | None,
        *,
        protected: Sequence[str] = (),
        allowed: Sequence[str] = (),
        scripts: Iterable[str] = (),
    ) -> None:
        self._worktree = worktree
        self._kinds = tuple(
            (name, compile_globs(tuple(_folded(glob) for glob in globs)))
            for name, globs in (
                ("test-files", TESTS),
                ("pipeline", PIPELINES),
                ("dependencies", (*LOCKS, *MANIFESTS)),
                ("thresholds", SETTINGS),
                ("agent-rules", AGENTS),
                ("secret-file", SECRETS),
                ("protected", tuple(protected)),
            )
            if globs
        )
        self._never = compile_globs(_NEVER)
        self._allowed = compile_globs(tuple(_folded(glob) for glob in allowed)) if allowed else None
        self._scripts = frozenset(_folded(script) for script in scripts)

    def may_write(self, path: str) -> None:
        """Raise EditRefused for a path that is hostile, protected, or leads through a link."""
        problem = self.why_hostile(path) or self._why_unfit(path)
        if problem is None:
            kind = self.why_protected(path)
            problem = None if kind is None else f"{kind}: files like this are protected"
        if problem is not None:
            raise EditRefused(problem)

    def why_hostile(self, path: str) -> str | None:
        """Say what is wrong with a path as a name; None when nothing is."""
        if not path or len(path) > MOST_PATH_BYTES:
            return "path: it is empty or too long"
        if any(unicodedata.category(letter) in _UNSEEN for letter in path):
            return "path: it has characters that nobody sees"
        if len(_bytes(path)) > MOST_PATH_BYTES:
            return "path: it is empty or too long"
        if path.startswith(("/", "~")) or "\\" in path or re.match(r"[A-Za-z]:", path):
            return "path: it has to be relative, with / between its parts"
        for part in path.split("/"):
            if part in ("", ".", ".."):
                return "path: it has empty parts or dots"
            folded = _folded(part)
            if check_name(_bytes(folded), 0o100644) or folded.startswith("git~"):
                return "path: it is git's"
            if part != part.rstrip(" ."):
                return "path: a part ends in a dot or a blank"
        return None

    def why_protected(self, path: str) -> str | None:
        """Say which rule protects a path; None when it may be changed."""
        name = _bytes(_folded(path))
        if self._never(name):
            return "pipeline"
        if self._allowed is not None and self._allowed(name):
            return None
        if _folded(path) in self._scripts:
            return "pipeline"
        return next((kind for kind, globs in self._kinds if globs(name)), None)

    def _why_unfit(self, path: str) -> str | None:
        if self._worktree is None:
            return None
        current = self._worktree
        parts = path.split("/")
        for number, part in enumerate(parts):
            current = current / part
            try:
                mode = current.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return None
            except OSError:
                return "path: it cannot be looked at"
            is_last = number == len(parts) - 1
            if stat.S_ISLNK(mode):
                return "path: it leads through a link"
            if is_last and not stat.S_ISREG(mode):
                return "path: it is no regular file"
            if not is_last and not stat.S_ISDIR(mode):
                return "path: a file is in its way"
        return None


@cache
def _tests() -> Callable[[bytes], bool]:
    return compile_globs(tuple(map(_folded, TESTS)))


def is_test_path(path: str) -> bool:
    """Whether a file counts as a test, or as what tests compare with."""
    return _tests()(_bytes(_folded(path)))


def started_scripts(commands: Iterable[str], paths: Iterable[str]) -> frozenset[str]:
    """Return the files of a tree that commands start: they judge, so they are not to be repaired.

    That is a file that stands where a program does, or that is handed to an interpreter; one that is only named, as
    in `ruff check src/app.py`, is what is judged.
    """
    known = {_folded(path): path for path in paths}
    found = set()
    for command in commands:
        is_program, is_script = True, False
        for word in _words(command):
            if word in _SEPARATORS:
                is_program, is_script = True, False
                continue
            if "=" in word and is_program:  # a variable before the program
                continue
            plain = _folded(word.removeprefix("./"))
            if (is_program or is_script) and plain in known:
                found.add(known[plain])
            if is_program:
                is_script = word.rpartition("/")[2].rstrip("0123456789.") in _INTERPRETERS
            elif not word.startswith("-") or word in ("-m", "-c", "-e"):
                is_script = False
            is_program = word in ("!", "exec", "env", "time", "nohup", "if", "then", "do", "else", "while", "until")
    return frozenset(found)


_SEPARATORS = frozenset({";", "&", "&&", "|", "||", "(", ")", "{", "}", "\n"})
_INTERPRETERS = frozenset({"sh", "bash", "dash", "zsh", "python", "node", "ruby", "perl", "php", "deno", "bun", "source", ".", "tsx"})  # fmt: skip


def _words(command: str) -> list[str]:
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return command.split()


def _folded(path: str) -> str:
    """Return the name that file systems without case, or with another normal form, would take it for."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
