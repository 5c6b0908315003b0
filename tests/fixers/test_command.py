"""The command fixer and its presets, with the real tools on real worktrees."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cicdctl.fixers.command import CommandOptions, kinds_for
from cicdctl.fixers.presets import PRESETS
from cicdctl.fixing.own_tools import MARKS
from cicdctl.model.fixing import Diagnostic, FailureBundle, FixBudget, FixRequest, FixResult
from cicdctl.project import Invocation, open_project

BIN = str(Path(sys.executable).parent)


class Bench:
    """A repository with a worktree as the engine lends it."""

    def __init__(self, opened, worktree: Path, repository) -> None:
        self.opened, self.worktree, self.repository = opened, worktree, repository
        self.kinds = {kind.name: kind for kind in kinds_for(opened)}

    def bundle(self, *diagnostics: Diagnostic, command: tuple[str, ...] = ("make lint",)) -> FailureBundle:
        return FailureBundle(
            run=1, stage="lint", attempt=1, base="0" * 40, base_tree="0" * 40, diagnostics=diagnostics, command=command
        )

    def fix(
        self,
        kind: str,
        *diagnostics: Diagnostic,
        command: tuple[str, ...] = ("make lint",),
        cancelled: Callable[[], bool] = lambda: False,
        limit_s: float = 60.0,
        **options,
    ) -> FixResult:
        fixer = self.kinds[kind].open(CommandOptions(**options))
        request = FixRequest(
            bundle=self.bundle(*diagnostics, command=command),
            worktree=self.worktree,
            attempt=1,
            max_attempts=1,
            deadline=time.monotonic() + limit_s,
            budget=FixBudget(),
            check=lambda: None,
            report=lambda text: None,
            cancelled=cancelled,
            may_write=lambda path: None,
            reserve=lambda usd: True,
            settle=lambda usd, usage: None,
            log=lambda stage: None,
            redact=lambda text: text.replace("sw0rdfish", "[REDACTED]"),
        )
        return fixer.fix(request)

    def read(self, name: str) -> str:
        return (self.worktree / name).read_text()


@pytest.fixture
def bench(make_project):
    """Make a repository with these files and lend a worktree of it; `extra` is more configuration."""
    opened = []

    def make(files: Mapping[str, str], extra: str = "", env: Mapping[str, str] | None = None) -> Bench:
        project = make_project(config='[pipelines.build.stages]\nlint = "true"\n' + extra, files=files)
        environ = project.env | {"PATH": f"{BIN}:{project.env['PATH']}"} | dict(env or {})
        context = open_project(Invocation(directory=project.path, environ=environ))
        found = context.__enter__()
        pool = found.open_pool(capacity=1)
        entered = pool.__enter__()
        slot = entered.acquire(
            project.git("rev-parse", "HEAD"), project.git("rev-parse", "HEAD^{tree}"), trust="untrusted"
        )
        opened.append((context, pool, slot))
        return Bench(found, slot.path, project)

    yield make
    for context, pool, slot in opened:
        slot.release(reusable=False)
        pool.__exit__(None, None, None)
        context.__exit__(None, None, None)


def complaint(tool: str, file: str | None, kind: str = "format") -> Diagnostic:
    return Diagnostic(tool=tool, kind=kind, message="no", file=file)


UNTIDY = "import sys\nimport os\nx = {  'a':1 }\n"
PYPROJECT = "[tool.ruff]\nline-length = 100\n[tool.black]\n[tool.isort]\n"


def test_ruff_repairs_then_formats_what_was_complained_about(bench):
    """Safe repairs of the named files; formatting where it was asked for; other files stay, tests may be among them."""
    files = {
        "src/a.py": UNTIDY,
        "src/b.py": UNTIDY,
        "tests/test_a.py": "import os\nassert 1==1\n",
        "pyproject.toml": PYPROJECT,
    }
    work = bench(files)
    lint = [complaint("ruff", name, "lint") for name in ("src/a.py", "tests/test_a.py", "not/there.py")]

    result = work.fix("ruff", *lint)
    assert (result.status, result.changed) == ("changed", ("src/a.py", "tests/test_a.py"))
    assert work.read("src/a.py") == "x = {  'a':1 }\n"
    assert work.read("tests/test_a.py") == "assert 1==1\n"
    assert work.read("src/b.py") == UNTIDY
    assert result.tool_versions["ruff"].startswith("ruff ")
    assert not (work.worktree / ".ruff_cache").exists()

    both = work.fix("ruff", *lint, command=("ruff check . && ruff format --check .",))
    assert (both.status, both.changed) == ("changed", ("src/a.py", "tests/test_a.py"))
    assert work.read("src/a.py") == 'x = {"a": 1}\n'
    assert work.fix("ruff", *lint).reason == "changed nothing"


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("black", "x = {  'a':1 }\n", 'x = {"a": 1}\n'),
        ("isort", "import sys\nimport os\n", "import os\nimport sys\n"),
        ("gofmt", "package a\nfunc  F( ) {}\n", "package a\n\nfunc F() {}\n"),
    ],
)
def test_formatters(bench, kind, before, after):
    """Each writes the file it complained about, and only that."""
    if kind == "gofmt" and shutil.which("gofmt") is None:
        pytest.skip("Go is not installed here")
    name = "a.go" if kind == "gofmt" else "a.py"
    other = f"other_{name}"
    work = bench({name: before, other: before, "pyproject.toml": PYPROJECT, "go.mod": "module a\n"})
    result = work.fix(kind, complaint(kind, name))
    assert (result.status, result.changed) == ("changed", (name,))
    assert (work.read(name), work.read(other)) == (after, before)


@pytest.mark.skipif(shutil.which("cargo-fmt") is None, reason="Rust is not installed here")
def test_cargo_presets(bench):
    """They work on the whole crate; what nobody complained about is not declared, and nothing is left in the tree."""
    source = "pub fn a( )->i32{\n    let x: i32 = 1;\n    return x;\n}\n"
    work = bench(
        {
            "Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n',
            "Cargo.lock": 'version = 3\n\n[[package]]\nname = "a"\nversion = "0.1.0"\n',
            "src/lib.rs": "mod other;\n" + source,
            "src/other.rs": source,
        },
        env={"RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup"))},
    )
    result = work.fix("cargo-fmt", complaint("rustfmt", "src/lib.rs"))
    assert (result.status, result.changed, result.reason) == ("changed", ("src/lib.rs",), "")
    assert "pub fn a() -> i32 {" in work.read("src/lib.rs")
    lint = complaint("clippy", "src/other.rs", "lint")
    result = work.fix("clippy", lint, command=("cargo clippy -- -D warnings && cargo fmt --check",))
    assert (result.status, result.changed, result.reason) == ("changed", ("src/other.rs",), "")
    assert work.read("src/other.rs").endswith("{\n    let x: i32 = 1;\n    x\n}\n")


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed here")
def test_tools_of_node_are_those_of_the_repository(bench):
    """What the repository has installed is started, and nothing is installed."""
    tool = "#!/usr/bin/env node\nconst fs = require('fs');\nfor (const name of process.argv.slice(3))\n  fs.writeFileSync(name, fs.readFileSync(name, 'utf8').replace(/ +$/gm, ''));\n"
    work = bench({"package.json": '{"name": "a", "devDependencies": {"prettier": "3"}}', "a.js": "go();  \n"})
    missing = work.fix("prettier", complaint("prettier", "a.js"))
    assert missing.status == "no_change"
    assert missing.reason.startswith("changed nothing (exit status 127): ")
    script = work.worktree / "node_modules" / ".bin" / "prettier"
    script.parent.mkdir(parents=True)
    script.write_text(tool)
    script.chmod(0o755)
    result = work.fix("prettier", complaint("prettier", "a.js"))
    assert (result.status, result.changed, work.read("a.js")) == ("changed", ("a.js",), "go();\n")


HOOKS = """
repos:
- repo: local
  hooks:
  - id: untab
    name: untab
    language: system
    entry: sed -i "s/\\t/    /g"
    files: \\.py$
"""


def test_pre_commit_runs_twice(bench):
    """Its first run rewrites and fails, its second is content; both together are one repair."""
    work = bench({".pre-commit-config.yaml": HOOKS, "a.py": "if 1:\n\tx = 1\n", "b.py": "y = 1\n"})
    result = work.fix("pre-commit", complaint("pre-commit", None))
    assert (result.status, result.changed, result.reason) == ("changed", ("a.py",), "")
    assert work.read("a.py") == "if 1:\n    x = 1\n"


def test_every_tool_of_a_preset_is_one_that_starts_a_fix():
    """What answers complaints is what a failure is looked through for."""
    assert {tool for preset in PRESETS for tool in preset.tools} == set(MARKS)


def test_presets_answer_their_tool_where_it_is_installed_and_used(bench):
    """No complaint, no program, no word of it in the repository: each is said."""
    work = bench({"a.py": UNTIDY})
    ruff = work.kinds["ruff"].open(CommandOptions())
    assert ruff.can_fix(work.bundle(complaint("mypy", "a.py", "type"))).reason == "ruff has not complained"
    assert ruff.can_fix(work.bundle(complaint("ruff", "a.py", "lint"))).answer == "yes"
    assert (
        work.fix("ruff", complaint("ruff", "a.py", "lint")).reason == "neither the stage nor the repository names ruff"
    )
    empty = bench({"a.py": UNTIDY}, env={"PATH": "/nonexistent"})
    answer = empty.kinds["black"].open(CommandOptions()).can_fix(work.bundle(complaint("black", "a.py")))
    assert (answer.answer, answer.reason) == ("no", "black is not installed")


def test_own_command_declares_what_it_changed(bench):
    """Files of the base wherever they are, new ones only where `paths` want them, and none it merely touched."""
    work = bench({"src/a.txt": "old\n", "src/same.txt": "same\n", "lib/b.txt": "old\n", "gone.txt": "x\n"})
    run = (
        "sed -i s/old/new/ src/*.txt lib/b.txt",
        "rm -f gone.txt",
        "echo made > src/made.txt; echo log > trace.log; mkdir -p cache && echo 1 > cache/x",
    )
    result = work.fix("command", run=run, paths=("src/**",))
    assert result.changed == ("gone.txt", "lib/b.txt", "src/a.txt", "src/made.txt")
    assert work.fix("command", run=run).reason == "changed nothing"


def test_command_that_never_settles_is_an_error(bench):
    """Run again it would change its own result."""
    work = bench({"a.txt": "1\n"})
    result = work.fix("command", run=("echo more >> a.txt",), name="grow")
    assert (result.status, result.reason) == ("error", "grow: run again it changes its own result")


def test_command_sees_no_secret_no_network_and_no_way_out(bench):
    """It runs as a stage of a stranger does: built environment, own home, nothing of the repository's own folder."""
    work = bench({"a.txt": ""}, env={"MY_TOKEN": "sw0rdfish", "ANTHROPIC_API_KEY": "sk-x", "GIT_DIR": "/x"})
    if not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed here")
    common = work.repository.path / ".git"
    outside = work.repository.path / "outside"
    work.repository.cicdctl("secrets", "set", "DEPLOY", stdin="sw0rdfish").passes()
    assert "sw0rdfish" in (common / "cicdctl" / "secrets.toml").read_text()
    run = (
        f"env > a.txt; cat {common}/cicdctl/secrets.toml >> a.txt",
        f"echo evil > {common}/hooks/post-checkout && echo WRITTEN >> a.txt",
        f"echo evil > {outside}",
        "grep -v lo: /proc/net/dev | grep -c : >> a.txt",
    )
    work.fix("command", run=run)
    text = work.read("a.txt")
    for word in ("sw0rdfish", "ANTHROPIC", "GIT_DIR", "WRITTEN", f"HOME={work.repository.env['HOME']}\n"):
        assert word not in text
    assert text.endswith("\n0\n")
    assert not (common / "hooks" / "post-checkout").exists() and not outside.exists()
    assert not list((work.opened.cache_folder / "scratch").iterdir())


def test_ends_in_time_and_when_cancelled(bench):
    """A command that hangs, or is not wanted any more, is ended with all it started; its output is redacted."""
    work = bench({"a.txt": ""})
    late = work.fix("command", run=("sleep 60 & sleep 60",), timeout_s=0.3, name="slow")
    assert late.status == "error"
    assert "slow: " in late.reason
    stopped = work.fix("command", run=("sleep 60",), cancelled=lambda: True, name="slow")
    assert (stopped.status, stopped.reason) == ("error", "slow: cancelled")
    told = work.fix("command", run=("echo the sw0rdfish >&2; exit 3",))
    assert told.reason == "changed nothing (exit status 3): the [REDACTED]"


def test_thousands_of_files(bench):
    """More names than one command line takes are handed over in several; odd names stay whole."""
    names = [f"src/{'x' * 180}/{number} it's.py" for number in range(700)]
    work = bench({"pyproject.toml": PYPROJECT})
    (work.worktree / "src" / ("x" * 180)).mkdir(parents=True)
    for name in names:
        (work.worktree / name).write_text("x  =  1\n")
    (work.worktree / "-rf.py").write_text("x  =  1\n")
    (work.worktree / "link.py").symlink_to(names[0])
    result = work.fix("ruff", *(complaint("ruff", name) for name in (*names, "-rf.py", "link.py", "../out.py")))
    assert (result.status, result.changed) == ("changed", tuple(sorted(names)))
    assert work.read("-rf.py") == "x  =  1\n"
