"""Which files a fix may change: none outside the worktree, none of git's, and none of those that judge it."""

# ruff: noqa: E501 (a pattern is read as one line)

from __future__ import annotations

import re
import shlex
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from cicdctl.git import compile_globs
from cicdctl.git.names import check_name
from cicdctl.model.fixing import EditRefused

TESTS = (
    "**/tests/**", "**/test/**", "**/test_*.*", "**/*_test.*", "**/*.spec.*", "**/*.test.*", "**/__snapshots__/**",
    "**/conftest.py", "**/testdata/**", "**/__tests__/**", "**/spec/**", "**/tests.*", "**/test.*", "**/*_tests.*", "**/test-*.*",
    "**/*-test.*", "**/*-spec.*", "**/*_spec.*", "**/*.cy.*", "**/__mocks__/**", "**/__fixtures__/**", "**/snapshots/**",
    "**/*.snap", "**/golden/**", "**/*.golden", "**/*.approved.*", "**/cassettes/**",
)  # fmt: skip
PIPELINES = (
    ".github/**", ".gitlab-ci.yml", ".circleci/**", "Jenkinsfile", "azure-pipelines.yml", ".buildkite/**", ".husky/**",
    ".pre-commit-config.yaml", ".cicd*", ".cicdctl/**", ".git*", "tox.ini", "noxfile.py", "**/Makefile", "**/GNUmakefile",
    "**/*.mk", "**/justfile", "**/.justfile", "**/Taskfile.y*ml", "**/Rakefile", "tasks.py", "bitbucket-pipelines.yml",
    ".travis.yml", ".woodpecker*", ".drone.yml", ".lefthook*", "lefthook*.y*ml",
)  # fmt: skip
LOCKS = (
    "**/*.lock", "**/package-lock.json", "**/pnpm-lock.yaml", "**/go.sum", "**/Cargo.lock", "**/npm-shrinkwrap.json",
)  # fmt: skip
MANIFESTS = (
    "**/package.json", "**/pyproject.toml", "**/setup.*", "**/requirements*.txt", "**/go.mod", "**/Cargo.toml",
    "**/requirements/*.txt", "**/Pipfile", "**/CODEOWNERS", "**/LICENSE*", "**/Gemfile", "**/pom.xml", "**/build.gradle*",
    "**/node_modules/**", "**/site-packages/**",
)  # fmt: skip
SETTINGS = (
    "**/pytest.ini", "**/.pytest.ini", "**/pytest.toml", "**/.pytest.toml", "**/.coveragerc", "**/mypy.ini", "**/.mypy.ini",
    "**/ruff.toml", "**/.ruff.toml", "**/.eslintrc*", "**/eslint.config.*", "**/.eslintignore", "**/tsconfig*.json",
    "**/jsconfig.json", "**/jest.config.*", "**/vitest.config.*", "**/vitest.workspace.*", "**/vite.config.*", "**/.mocharc*",
    "**/karma.conf*", "**/playwright.config.*", "**/cypress.config.*", "**/babel.config.*", "**/.babelrc*", "**/.swcrc",
    "**/.nycrc*", "**/.c8rc*", "**/node.config.json", "**/deno.json*", "**/bunfig.toml", "**/.flake8", "**/.pylintrc", "**/pylintrc",
    "**/pyrightconfig.json", "**/.bandit", "**/.isort.cfg", "**/.style.yapf", "**/.prettierrc*", "**/prettier.config.*",
    "**/.prettierignore", "**/biome.json*", "**/.stylelintrc*", "**/.golangci*", "**/clippy.toml", "**/.clippy.toml",
    "**/rustfmt.toml", "**/.rustfmt.toml", "**/.cargo/**", "**/rust-toolchain*", "**/.clang-tidy", "**/.clang-format",
    "**/.rspec", "**/.rubocop*", "**/phpunit.xml*", "**/.yamllint*", "**/codecov.y*ml", "**/.codecov.y*ml",
)  # fmt: skip
# A new file of this name is found before what a stage means to start: `python -m pytest` looks into its own folder first.
STAND_INS = (
    "**/sitecustomize.py", "**/usercustomize.py", "**/*.pth", "**/*.pyc", "**/{name}.py", "**/{name}/__*__.py",
)  # fmt: skip
RUNNERS = (
    "pytest", "_pytest", "pluggy", "iniconfig", "unittest", "unittest2", "doctest", "nose", "nose2", "coverage", "hypothesis", "tox", "nox",
    "ruff", "mypy", "flake8", "pycodestyle", "pyflakes", "pylint", "pyright", "black", "isort", "bandit", "compileall", "runpy",
)  # fmt: skip
AGENTS = (
    "**/CLAUDE.md", "**/AGENTS.md", ".claude/**", ".cursor/**", ".github/copilot-instructions.md", "**/.mcp.json",
)  # fmt: skip
SECRETS = (
    "**/.env*", "**/*.pem", "**/id_rsa*", "**/id_dsa*", "**/id_ecdsa*", "**/id_ed25519*", "**/*.p12", "**/*.kdbx", "**/.netrc", "**/.npmrc", "**/.pypirc",
    "**/*credentials*",
)  # fmt: skip
# `CartTest.java` is a test and `Latest.java` is none, so here capitals count.
_NAMED_TEST = re.compile(r"(?:^|/)(?:Test[A-Z0-9]\w*|\w*[a-z0-9](?:Tests?|TestCase|Spec|IT))\.(?:java|kt|cs|scala|groovy|swift|php)$")
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
            if kind is None and self._worktree is not None and is_stand_in(path) and not (self._worktree / path).exists():
                kind = "test-files"
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
        kind = next((kind for kind, globs in self._kinds if globs(name)), None)
        return "test-files" if kind is None and _NAMED_TEST.search(path) else kind

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


@cache
def _stand_ins() -> Callable[[bytes], bool]:
    globs = [glob.replace("{name}", name) for glob in STAND_INS for name in (RUNNERS if "{name}" in glob else ("",))]
    return compile_globs(tuple(globs))


def is_stand_in(path: str) -> bool:
    """Whether a new file would be taken for a program that judges, or be run before one."""
    return _stand_ins()(_bytes(_folded(path)))


def is_test_path(path: str) -> bool:
    """Whether a file counts as a test, or as what tests compare with."""
    return _tests()(_bytes(_folded(path))) or _NAMED_TEST.search(path) is not None


def started_scripts(
    commands: Iterable[str], paths: Iterable[str], read: Callable[[str], str | None] = lambda path: None
) -> frozenset[str]:
    """Return the files of a tree that commands start: they judge, so they are not to be repaired.

    That is a file that stands where a program does, or that is handed to an interpreter, also as a module; one that
    is only named, as in `ruff check src/app.py`, is what is judged. `read` gives the text of a shell script, or None:
    what it starts or reads is started, too.
    """
    known = {_folded(path): path for path in paths}
    found: set[str] = set()
    waiting = list(commands)
    while waiting:
        for path in _started(waiting.pop(), known) - found:
            found.add(path)
            text = read(path)
            if text is not None and _is_shell(path, text):
                waiting += [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return frozenset(found)


def _started(command: str, known: Mapping[str, str]) -> set[str]:
    found = set()
    is_program, is_script, is_module = True, False, False
    for word in _words(command):
        if word in _SEPARATORS:
            is_program, is_script, is_module = True, False, False
            continue
        if "=" in word and is_program:  # a variable before the program
            continue
        plain = _folded(word.removeprefix("./"))
        if (is_program or is_script) and plain in known:
            found.add(known[plain])
        if is_module:
            base = plain.replace(".", "/")
            found |= {known[name] for name in (f"{base}.py", f"{base}/__main__.py") if name in known}
            is_module = False
        if is_program:
            is_script = word == "." or word.rpartition("/")[2].rstrip("0123456789.") in _INTERPRETERS
        elif not word.startswith("-") or word in ("-m", "-c", "-e"):
            is_module = is_script and word == "-m"
            is_script = False
        is_program = word in ("!", "exec", "env", "time", "nohup", "if", "then", "do", "else", "while", "until")
    return found


def _is_shell(path: str, text: str) -> bool:
    first = text.partition("\n")[0]
    return path.endswith((".sh", ".bash")) or (first.startswith("#!") and "sh" in first)


_SEPARATORS = frozenset({";", "&", "&&", "|", "||", "(", ")", "{", "}", "\n"})
_INTERPRETERS = frozenset({"sh", "bash", "dash", "zsh", "python", "node", "ruby", "perl", "php", "deno", "bun", "source", "tsx"})  # fmt: skip


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
