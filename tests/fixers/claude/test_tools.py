"""What the tools do to files: one exact replacement, every other byte kept, nothing outside, nothing protected."""

from __future__ import annotations

import os

import pytest
from messages_api import Reply, tool

from cicdctl.model.fixing import FixStatus

HOSTILE = [
    "/etc/passwd", "../outside.py", "src/../../outside.py", "~/x.py", "a\\b.py", "C:/x.py", ".git/hooks/pre-commit",
    ".GIT/config", "git~1/config", "src/.git/x", "a//b.py", "./stats.py/..", "nul\0.py", "zero\u200bwidth.py", "link.py",
    "folder_link/new.py", "x" * 2000,
]  # fmt: skip
PROTECTED = [
    "test_stats.py",
    "tests/new_test.py",
    ".github/workflows/ci.yml",
    ".cicd.toml",
    "pyproject.toml",
    "CLAUDE.md",
]


def use(bench, *calls):
    """Return the answers to calls, and whether they are errors."""
    bench.api.says(*calls)
    bench.api.says(tool("give_up", reason="x", category="unknown"))
    bench._fixer = None
    before = len(bench.api.asked)
    bench.fix()
    results = bench.api.asked[before + 1].results()
    return [(one["content"], one["is_error"]) for one in results]


def test_hostile_paths(bench, tmp_path):
    """28F: 17 of them, to read and to write; refused, and no answer tells where we are."""
    outside = tmp_path / "outside.py"
    outside.write_text("secret = 1\n")
    (bench.worktree / "link.py").symlink_to(outside)
    (bench.worktree / "folder_link").symlink_to(tmp_path)
    for call in ("view", "create"):
        more = {"content": "x = 1\n"} if call == "create" else {}
        answers = []
        for start in range(0, len(HOSTILE), 4):  # five refusals end the attempt
            answers += use(bench, *(tool(call, path=path, **more) for path in HOSTILE[start : start + 4]))
        assert len(answers) == 17
        assert [is_error for _, is_error in answers] == [True] * 17, answers
        assert not any(str(tmp_path) in text or "secret = 1" in text for text, _ in answers)
    assert outside.read_text() == "secret = 1\n"
    assert sorted(os.listdir(tmp_path)) == ["outside.py", "worktree"]


def test_protected_paths(bench):
    """Tests, pipelines, manifests: told which rule, at each edit; five of them end the attempt."""
    calls = [tool("create", path=path, content="x\n") for path in PROTECTED[1:4]]
    answers = use(bench, tool("str_replace", path="test_stats.py", old_str="== 2", new_str="== 3"), *calls)
    assert answers[0] == ("test-files: files like this are protected", True)
    assert all(is_error for _, is_error in answers)

    bench._fixer = None
    bench.api.says(*(tool("create", path=path, content="x\n") for path in PROTECTED[:5]))
    result = bench.fix()
    assert (result.status, result.reason) == (FixStatus.NO_CHANGE, "5 edits of protected files were refused")


def test_paths_of_the_section(bench):
    """`fixers.claude.paths` narrows what may be changed."""
    bench.request["allowed_paths"] = ("src/**",)
    answers = use(
        bench,
        tool("str_replace", path="stats.py", old_str="sum", new_str="max"),
        tool("create", path="src/new.py", content="x = 1\n"),
    )
    assert answers[0] == ("paths: this fixer may not change it", True)
    assert answers[1] == ("created, 1 lines", False)
    assert "You may only change files that match: src/**" in bench.api.asked[0].words()


def test_secret_files_are_never_shown(bench):
    """By name, to view and to grep."""
    bench.write(".env", "PASSWORD=hunter2hunter2\n")
    bench.write("deploy.pem", "hunter2hunter2\n")
    bench.write("src/settings.py", "hunter2hunter2 = 1\n")
    answers = use(bench, tool("view", path=".env"), tool("view", path="deploy.pem"), tool("grep", pattern="hunter2"))
    assert answers[0] == ("secret-file: files like this are never shown", True)
    assert answers[1][1] is True
    assert "src/settings.py:1:" in answers[2][0]
    assert ".env" not in answers[2][0]
    assert "deploy.pem" not in answers[2][0]


def test_broken_syntax_is_not_written(bench):
    """29F: an edit that breaks a file is refused; an older error does not block."""
    bench.write("old.py", "def f(:\n    x = 1\n")
    bench.write("data.json", '{"a": 1}')
    answers = use(
        bench,
        tool("str_replace", path="stats.py", old_str="return", new_str="retrun"),
        tool("create", path="new.py", content="def f(:\n"),
        tool("str_replace", path="data.json", old_str="}", new_str=""),
        tool("str_replace", path="old.py", old_str="x = 1", new_str="x = 2"),
    )
    assert answers[0] == ("not written, it would break the syntax: line 2: invalid syntax", True)
    assert answers[1][0].startswith("not written, it would break the syntax: line 1")
    assert answers[2][0].startswith("not written, it would break the syntax")
    assert answers[3][1] is False
    assert bench.read("data.json") == '{"a": 1}'
    assert not (bench.worktree / "new.py").exists()


def test_one_exact_match(bench):
    """None, two, and the nearest; a file that is there is never overwritten."""
    bench.write("twice.py", "a = 1\nb = 1\n")
    answers = use(
        bench,
        tool("str_replace", path="twice.py", old_str="= 1", new_str="= 2"),
        tool("str_replace", path="stats.py", old_str="    return sum(values)/len(values)", new_str="x"),
        tool("str_replace", path="stats.py", old_str="sum", new_str="sum"),
        tool("create", path="stats.py", content="x = 1\n"),
        tool("str_replace", path="none.py", old_str="a", new_str="b"),
        tool("str_replace", path="stats.py", old_str="", new_str="b"),
    )
    assert answers[0] == ("old_str stands 2 times in it; take more lines around it", True)
    assert "the nearest is\n     2      return sum(values) / len(values)" in answers[1][0]
    assert answers[2] == ("old_str and new_str are the same", True)
    assert answers[3] == ("it exists; use str_replace", True)
    assert answers[4] == ("there is no such file", True)
    assert answers[5][1] is True


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a = 1\r\nb = 2\r\n", b"a = 1\r\nb = 3\r\nc = 4\r\n"),
        (b"\xef\xbb\xbfa = 1\nb = 2\n", b"\xef\xbb\xbfa = 1\nb = 3\nc = 4\n"),
        (b"a = 1\nb = 2", b"a = 1\nb = 3\nc = 4"),
        (b"a = 1\n\x0c\nb = 2\n\n\n", b"a = 1\n\x0c\nb = 3\nc = 4\n\n\n"),
    ],
    ids=["crlf", "bom", "no-newline", "form-feed"],
)
def test_other_bytes_are_kept(bench, before, after):
    """Line ends, marks and blanks outside the replaced piece stay."""
    bench.write("odd.py", before)
    (bench.worktree / "odd.py").chmod(0o755)
    seen = []
    bench.api.says(tool("str_replace", path="odd.py", old_str="b = 2", new_str="b = 3\nc = 4"))
    bench.api.will(lambda request: seen.append((bench.worktree / "odd.py").read_bytes()) or _end())
    bench.fix()
    assert seen == [after]
    assert (bench.worktree / "odd.py").read_bytes() == before, "given up: as it was"
    assert (bench.worktree / "odd.py").stat().st_mode & 0o777 == 0o755


def _end():
    return Reply((tool("give_up", reason="x", category="unknown"),))


def test_not_text(bench):
    """Latin-1 and large files are neither shown nor edited."""
    bench.write("latin.py", "name = 'é'\n".encode("latin-1"))
    bench.write("large.txt", "x" * 400_001)
    answers = use(
        bench,
        tool("view", path="latin.py"),
        tool("str_replace", path="latin.py", old_str="name", new_str="n"),
        tool("view", path="large.txt"),
        tool("grep", pattern="x", glob="large.txt"),
        tool("view", path="missing"),
        tool("view", path="stats.py", start=9),
    )
    assert answers[0] == ("it is not UTF-8 text", True)
    assert answers[1] == ("it is not UTF-8 text; it cannot be edited", True)
    assert answers[2] == ("it has 400001 bytes; at most 400000 are shown, use grep", True)
    assert "no match" in answers[3][0]
    assert answers[4] == ("there is no such file", True)
    assert answers[5] == ("there are no such lines; it has 2", True)


def test_lines_are_counted_as_compilers_do(bench):
    """A form feed ends no line: what view, grep and an edit call line 4 is line 4 of a traceback."""
    bench.write("paged.py", b"a = 1\r\n\x0c\r\nb = 2\r\nc = 3\r\n")
    answers = use(
        bench,
        tool("view", path="paged.py", start=4),
        tool("grep", pattern="c =", glob="paged.py"),
        tool("str_replace", path="paged.py", old_str="c = 3", new_str="c = 4"),
        tool("view", path="paged.py", start=5),
    )
    assert "\n     4  c = 3\n" in answers[0][0]
    assert "paged.py:4: c = 3" in answers[1][0]
    assert "\n     4  c = 4\n" in answers[2][0]
    assert answers[3] == ("there are no such lines; it has 4", True)


def test_folders_and_limits(bench):
    """Names of a folder, and answers that are cut where they become long."""
    bench.write("src/deep/a.py", "x = 1\n" * 100)
    bench.write("wide.txt", ("y" * 3000 + "\n") * 30)
    answers = use(
        bench,
        tool("view", path="."),
        tool("view", path="src/"),
        tool("grep", pattern="x", glob="src/**/*.py"),
        tool("view", path="wide.txt"),
        tool("grep", pattern="y", glob="wide.txt"),
    )
    assert "README.md\nsrc/\nstats.py\ntest_stats.py\n" in answers[0][0]
    assert ".git" not in answers[0][0]
    assert "deep/" in answers[1][0]
    assert answers[2][0].count("src/deep/a.py:") == 60
    assert "[only the first 60 matches are shown]" in answers[2][0]
    assert len(answers[3][0]) < 16_300
    assert "[cut after line 7 of 30]" in answers[3][0]
    assert all(len(line) < 250 for line in answers[4][0].splitlines())


def test_hard_link_is_cut(bench, tmp_path):
    """What code under test may have linked into the worktree is not written through."""
    outside = tmp_path / "outside.py"
    outside.write_text("a = 1\n")
    os.link(outside, bench.worktree / "linked.py")
    answers = use(bench, tool("str_replace", path="linked.py", old_str="a = 1", new_str="a = 2"))
    assert answers[0][1] is False
    assert outside.read_text() == "a = 1\n"
