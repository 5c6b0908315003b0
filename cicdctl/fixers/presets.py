"""Commands of well-known tools that repair what they complain about themselves."""

from __future__ import annotations

from pathlib import Path

from cicdctl.fixing.own_tools import is_used
from cicdctl.model import Value
from cicdctl.model.fixing import Diagnostic, FailureBundle

_MOST_BYTES = 256 << 10
# Not npx: it asks the registry for what is not there.
_OF_NODE = 'PATH="$PWD/node_modules/.bin:$PATH" '


class Step(Value, frozen=True, kw_only=True):
    """One command; `{files}` stands for the files that the tool complained about.

    It runs when there are complaints of `kinds`, or when the stage's commands say `words`; without either always.
    So the formatter that a stage asks next is answered before it complains.
    """

    run: str
    kinds: tuple[str, ...] = ()
    words: str = ""


class Preset(Value, frozen=True, kw_only=True):
    """One tool. It answers diagnostics of `tools`, when one of `programs` is installed.

    `network`: it cannot work without.
    `rewrites`: names of the files that it writes, where these are not those that were complained about.
    `version` is a command that says which one it is.
    """

    name: str
    programs: tuple[str, ...]
    steps: tuple[Step, ...]
    tools: tuple[str, ...]
    network: bool = False
    rewrites: tuple[str, ...] = ()
    version: str = ""
    priority: int = 50

    def complaints(self, bundle: FailureBundle) -> tuple[Diagnostic, ...]:
        """Return what the tool complained about."""
        return tuple(one for one in bundle.diagnostics if one.tool in self.tools)

    def commands(self, bundle: FailureBundle) -> tuple[str, ...]:
        """Return the commands that answer these complaints, in order."""
        kinds = {one.kind for one in self.complaints(bundle)}
        said = "\n".join(bundle.command)
        return tuple(
            step.run
            for step in self.steps
            if not (step.kinds or step.words) or kinds & set(step.kinds) or (step.words and step.words in said)
        )

    def is_used(self, bundle: FailureBundle, worktree: Path) -> bool:
        """Whether the stage's commands or the repository's settings name the tool; a log alone may be mistaken."""
        return any(is_used(tool, bundle.command, lambda name: _read(worktree / name)) for tool in self.tools)


def _read(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")


PRESETS: tuple[Preset, ...] = (
    Preset(
        name="ruff",
        programs=("ruff",),
        steps=(
            Step(run="ruff check --fix-only --exit-zero --quiet --no-cache --force-exclude {files}", kinds=("lint",)),
            Step(run="ruff format --quiet --no-cache --force-exclude {files}", kinds=("format",), words="ruff format"),
            Step(run="black --quiet {files}", words="black"),
        ),
        tools=("ruff",),
        version="ruff --version",
        priority=10,
    ),
    Preset(
        name="isort",
        programs=("isort",),
        steps=(Step(run="isort --quiet {files}"), Step(run="black --quiet {files}", words="black")),
        tools=("isort",),
        version="isort --version-number",
        priority=11,
    ),
    Preset(
        name="black",
        programs=("black",),
        steps=(Step(run="black --quiet {files}"),),
        tools=("black",),
        version="black --version",
        priority=12,
    ),
    Preset(
        name="eslint",
        programs=("node",),
        steps=(
            Step(run=_OF_NODE + "eslint --fix {files}"),
            Step(run=_OF_NODE + "prettier --write {files}", words="prettier"),
        ),
        tools=("eslint",),
        version=_OF_NODE + "eslint --version",
        priority=20,
    ),
    Preset(
        name="prettier",
        programs=("node",),
        steps=(Step(run=_OF_NODE + "prettier --write {files}"),),
        tools=("prettier",),
        version=_OF_NODE + "prettier --version",
        priority=21,
    ),
    Preset(
        name="goimports",
        programs=("goimports",),
        steps=(Step(run="goimports -w {files}"),),
        tools=("goimports",),
        priority=20,
    ),
    Preset(
        name="gofmt",
        programs=("gofmt",),
        steps=(Step(run="gofmt -w {files}"),),
        tools=("gofmt",),
        version="go version",
        priority=21,
    ),
    Preset(
        name="clippy",
        programs=("cargo-clippy",),
        steps=(
            Step(
                run='CARGO_TARGET_DIR="$HOME/target" cargo clippy --fix --all-targets --allow-dirty --allow-no-vcs '
                "--offline --quiet"
            ),
            Step(run="cargo fmt", words="cargo fmt"),
        ),
        tools=("clippy",),
        version="cargo clippy --version",
        priority=20,
    ),
    Preset(
        name="cargo-fmt",
        programs=("cargo-fmt",),
        steps=(Step(run="cargo fmt"),),
        tools=("rustfmt",),
        version="cargo fmt --version",
        priority=21,
    ),
    Preset(
        name="pre-commit",
        programs=("pre-commit",),
        # The hooks that failed are named in the log, their files seldom.
        steps=(Step(run="pre-commit run --color never --all-files"),),
        tools=("pre-commit",),
        version="pre-commit --version",
        priority=40,
    ),
    Preset(
        name="lock",
        programs=("uv", "poetry", "npm"),
        steps=(
            Step(
                run="if test -f uv.lock; then uv lock --quiet; elif test -f poetry.lock; then poetry lock --quiet; "
                "elif test -f package-lock.json; then npm install --package-lock-only --ignore-scripts --no-audit; fi"
            ),
        ),
        tools=("lock",),
        network=True,
        rewrites=("uv.lock", "poetry.lock", "package-lock.json"),
        priority=60,
    ),
)
