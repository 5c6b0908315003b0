"""Commands of well-known tools that repair what they complain about themselves."""

from __future__ import annotations

from cicdctl.model import Value


class Preset(Value, frozen=True, kw_only=True):
    """One tool. `{files}` in a command stands for the files that it complained about.

    `tools` and `kinds` are those of the diagnostics that it answers; `needs` is the program that has to be there.
    `network`: it cannot work without. `rewrites`: files that it writes although nobody complained about them.
    """

    name: str
    needs: str
    commands: tuple[str, ...]
    tools: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    network: bool = False
    rewrites: tuple[str, ...] = ()
    priority: int = 50


PRESETS: tuple[Preset, ...] = (
    Preset(
        name="ruff",
        needs="ruff",
        commands=("ruff check --fix-only --exit-zero --quiet {files}",),
        tools=("ruff",),
        kinds=("lint",),
        priority=10,
    ),
    Preset(
        name="ruff-format",
        needs="ruff",
        commands=("ruff format --quiet {files}",),
        tools=("ruff",),
        kinds=("format",),
        words=("ruff",),
        priority=11,
    ),
    Preset(name="black", needs="black", commands=("black --quiet {files}",), tools=("black",), priority=12),
    Preset(name="isort", needs="isort", commands=("isort --quiet {files}",), tools=("isort",), priority=12),
    Preset(
        name="prettier",
        needs="npx",
        commands=("npx --no-install prettier --write {files}",),
        tools=("prettier",),
        priority=20,
    ),
    Preset(
        name="eslint", needs="npx", commands=("npx --no-install eslint --fix {files}",), tools=("eslint",), priority=21
    ),
    Preset(name="gofmt", needs="gofmt", commands=("gofmt -w {files}",), tools=("gofmt",), priority=20),
    Preset(name="goimports", needs="goimports", commands=("goimports -w {files}",), tools=("goimports",), priority=21),
    Preset(name="cargo-fmt", needs="cargo", commands=("cargo fmt",), tools=("rustfmt",), priority=20),
    Preset(
        name="clippy",
        needs="cargo",
        commands=("cargo clippy --fix --allow-dirty --offline",),
        tools=("clippy",),
        priority=30,
    ),
    Preset(
        name="pre-commit",
        needs="pre-commit",
        commands=("pre-commit run --files {files}",),
        tools=("pre-commit",),
        priority=40,
    ),
    Preset(
        name="lock",
        needs="",
        commands=(
            "if test -f uv.lock; then uv lock; elif test -f poetry.lock; then poetry lock; "
            "elif test -f package-lock.json; then npm install --package-lock-only --ignore-scripts; fi",
        ),
        tools=("lock",),
        network=True,
        rewrites=("uv.lock", "poetry.lock", "package-lock.json"),
        priority=60,
    ),
)
BY_NAME = {preset.name: preset for preset in PRESETS}
