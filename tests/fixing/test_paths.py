"""Where a fix may write: nowhere outside, nothing of git's, and nothing that judges it."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cicdctl.fixing.paths import PathRules, started_scripts
from cicdctl.model.fixing import EditRefused

HOSTILE = (
    "",
    "/etc/passwd",
    "../outside",
    "src/../../outside",
    "./src/app.py",
    "src//app.py",
    "src/",
    "src\\app.py",
    "~/.bashrc",
    "C:/windows.py",
    "src/a\0b.py",
    "src/a\nb.py",
    ".git/hooks/pre-commit",
    ".GIT/config",
    "src/.Git/config",
    "git~1/config",
    "GIT~12",
    ".git ",
    ".git./config",
    ".git::$INDEX_ALLOCATION/config",
    ".g\u200cit/config",
    "src/\u202eyp.exe",
    "src/app.py ",
    "\ud800/app.py",
    "src/line\u2028end.py",
    "a" * 2000,
)

PROTECTED = {
    "tests/test_app.py": "test-files",
    "Tests/Test_App.PY": "test-files",
    "packages/one/tests/data.json": "test-files",
    "src/pkg/app_test.go": "test-files",
    "web/button.spec.ts": "test-files",
    "web/__snapshots__/a.snap": "test-files",
    "src/conftest.py": "test-files",
    "\u017frc/te\u017ft_app.py": "test-files",
    ".github/workflows/ci.yml": "pipeline",
    ".cicd.toml": "pipeline",
    ".cicdctl/plugin.py": "pipeline",
    "src/.gitattributes": "pipeline",
    ".pre-commit-config.yaml": "pipeline",
    "Jenkinsfile": "pipeline",
    "ci/build.sh": "pipeline",
    "uv.lock": "dependencies",
    "web/package.json": "dependencies",
    "pyproject.toml": "dependencies",
    "requirements-dev.txt": "dependencies",
    "go.sum": "dependencies",
    "LICENSE": "dependencies",
    "CODEOWNERS": "dependencies",
    "pytest.ini": "thresholds",
    "tsconfig.json": "thresholds",
    "docs/CLAUDE.md": "agent-rules",
    ".claude/settings.json": "agent-rules",
    ".mcp.json": "agent-rules",
    ".env.local": "secret-file",
    "deploy/key.pem": "secret-file",
    "generated/api.py": "protected",
}
OPEN = (
    "src/app.py", "src/latest.py", "src/contest.py", "src/identity.py", "src/id_map.py", "web/index.ts", "setup/run.py",
    "docs/testing.md", "src/gitlog.py", "src/lockfile.py", "src/é.py",
)  # fmt: skip

RULES = PathRules(None, protected=("generated/**",), scripts=("ci/build.sh",))


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_path_is_refused(path, tmp_path):
    """No spelling leads out of the worktree or into git's folder; the answer names no folder of this machine."""
    with pytest.raises(EditRefused) as refused:
        PathRules(tmp_path).may_write(path)
    assert str(refused.value).startswith("path: ")
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(("path", "kind"), PROTECTED.items())
def test_what_judges_is_protected(path, kind):
    """Tests, pipelines, manifests, thresholds, rules of agents and secrets, also where case does not count."""
    for spelling in (path, path.upper(), unicodedata.normalize("NFD", path)):
        assert RULES.why_protected(spelling) == kind
    with pytest.raises(EditRefused, match=f"^{kind}: "):
        RULES.may_write(path)


@pytest.mark.parametrize("path", OPEN)
def test_ordinary_file_may_be_written(path, tmp_path):
    """Names that only resemble a protected one are open."""
    PathRules(tmp_path, protected=("generated/**",)).may_write(path)


def test_operator_lifts_protection_but_not_of_the_rules_themselves():
    """`allow_paths` opens tests; it opens neither `.cicd.toml` nor git's own files."""
    rules = PathRules(None, allowed=("**",))
    rules.may_write("tests/test_app.py")
    rules.may_write("pyproject.toml")
    for path in (".cicd.toml", ".gitattributes", ".github/workflows/ci.yml"):
        with pytest.raises(EditRefused, match="^pipeline: "):
            rules.may_write(path)


def test_link_at_any_level_is_refused(tmp_path):
    """A link to a folder outside, a link as the file itself, a folder, a pipe, a file in the way."""
    (tmp_path / "outside").mkdir()
    worktree = tmp_path / "worktree"
    (worktree / "src").mkdir(parents=True)
    (worktree / "src" / "app.py").write_text("")
    (worktree / "lib").symlink_to(tmp_path / "outside")
    (worktree / "src" / "link.py").symlink_to("app.py")
    os.mkfifo(worktree / "src" / "pipe")
    rules = PathRules(worktree)
    rules.may_write("src/app.py")
    rules.may_write("src/new/deep.py")
    for path, why in (
        ("lib/a.py", "a link"),
        ("src/link.py", "a link"),
        ("src", "no regular file"),
        ("src/pipe", "no regular file"),
        ("src/app.py/below.py", "in its way"),
    ):
        with pytest.raises(EditRefused, match=why):
            rules.may_write(path)


@given(
    st.lists(
        st.one_of(
            st.sampled_from((".git", "..", ".", "", "src", "git~1", "tests", "a.py", "~", ".GIT ", "\u200b", "ſrc")),
            st.text(max_size=6),
        ),
        max_size=5,
    ).map("/".join)
)
@example("\ud800")
@example("a/b")
def test_any_path_is_judged_and_never_leads_out(path):
    """Whatever the text: an answer and no other error; what is open lies below the worktree and not in `.git`."""
    try:
        PathRules(None).may_write(path)
    except EditRefused:
        return
    full = os.path.normpath("/worktree/" + path)
    assert full == "/worktree/" + path
    assert ".git" not in path.casefold().split("/")


def test_scripts_that_a_stage_starts():
    """They are found in the commands, however these are written."""
    paths = ("ci/build.sh", "ci/lint.sh", "src/app.py", "Makefile", "other.sh")
    commands = ('FOO="a b" ./ci/build.sh --fast', "(sh ci/lint.sh; true)", 'echo "unclosed && ./other.sh')
    assert started_scripts(commands, paths) == {"ci/build.sh", "ci/lint.sh", "other.sh"}


def test_scripts_that_scripts_start():
    """What a shell script starts or reads is started, too; modules are found; what a script only judges is not."""
    texts = {
        "bin/check.sh": "#!/bin/sh\n. bin/steps.sh\n# sh bin/old.sh\nstep ruff check src/app.py\n",
        "bin/steps.sh": "step() { sh ./bin/more.sh; }\n",
        "bin/more.sh": "python3 -m tools.check src/app.py\n. bin/check.sh\n",
    }
    paths = (*texts, "bin/old.sh", "src/app.py", "tools/check.py", "tools/other.py")
    assert started_scripts(["sh bin/check.sh"], paths, texts.get) == {*texts, "tools/check.py"}
