"""What a fixer left in a worktree becomes a tree and a patch, byte for byte, and nothing else does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicdctl.fixing.candidate import build_candidate, candidate_diff
from cicdctl.fixing.line_changes import count_changes, find_changes, make_hunks, split_lines
from cicdctl.git import open_repository

BASE = {
    "crlf.txt": b"one\r\ntwo\r\n",
    "bom.py": b"\xef\xbb\xbfx = 1\n",
    "latin.txt": "größe\n".encode("latin-1"),
    "open.txt": b"no newline at the end",
    "src/app.py": b"def a():\n    return 1\n" + b"# line\n" * 20 + b"def b():\n    return 2\n",
    "src/with blank.py": b"x = 1\n",
    "src/umläut.py": b"x = 1\n",
    "old.py": b"gone\n",
}


@pytest.fixture
def soiled(make_project, tmp_path) -> Callable:
    """Make a repository and a worktree with the same files; gives both and a function that builds a candidate."""

    def make(files: dict[str, bytes] = BASE):
        project = make_project(unit="true")
        for name, content in files.items():
            (project.path / name).parent.mkdir(parents=True, exist_ok=True)
            (project.path / name).write_bytes(content)
        project.commit("base")
        worktree = tmp_path / "worktree"
        project.git("worktree", "add", "-q", "--detach", str(worktree))
        repository = open_repository(project.path)
        tree = project.git("rev-parse", "HEAD^{tree}")

        def build(*paths: str):
            return build_candidate(
                repository, base=project.git("rev-parse", "HEAD"), base_tree=tree, worktree=worktree, paths=paths
            )

        return project, worktree, repository, build

    return make


def test_patch_is_what_git_applies(soiled, tmp_path):
    """Line ends, byte order marks, other encodings and missing newlines stay; git makes the same tree of the patch."""
    project, worktree, repository, build = soiled()
    after = {
        "crlf.txt": b"one\r\nTWO\r\n",
        "bom.py": b"\xef\xbb\xbfx = 2\n",
        "latin.txt": "größer\n".encode("latin-1"),
        "open.txt": b"no newline at the END",
        "src/app.py": BASE["src/app.py"].replace(b"1", b"10").replace(b"2", b"20"),
        "src/with blank.py": b"x = 3\n",
        "src/umläut.py": b"x = 4\n",
        "new/deep/file.py": b"added\n",
    }
    for name, content in after.items():
        (worktree / name).parent.mkdir(parents=True, exist_ok=True)
        (worktree / name).write_bytes(content)
    (worktree / "old.py").unlink()

    candidate = build(*after, "old.py")

    for name, content in after.items():
        shown = subprocess.run(["git", "show", f"{candidate.tree}:{name}"], cwd=project.path, capture_output=True)
        assert shown.stdout == content
    patch = tmp_path / "fix.patch"
    patch.write_bytes(candidate_diff(repository, candidate).encode("utf-8", "surrogateescape"))
    project.git("apply", "--index", str(patch))
    assert project.git("write-tree") == candidate.tree
    assert candidate.bytes == patch.stat().st_size
    assert [(one.path, one.op) for one in candidate.files if one.op != "modify"] == [
        ("new/deep/file.py", "add"),
        ("old.py", "delete"),
    ]
    assert (candidate.added, candidate.deleted, candidate.refused) == (9, 9, ())


def test_only_what_is_named_is_part(soiled):
    """Leftovers and edited fixtures that no fixer declared are not in the tree, nor is what did not change."""
    project, worktree, _, build = soiled()
    (worktree / "src/app.py").write_bytes(b"new\n")
    (worktree / "leftover.log").write_bytes(b"log\n")
    (worktree / "open.txt").write_bytes(b"edited by a test\n")

    candidate = build("src/app.py", "src/app.py", "old.py", "never/was.py")

    assert [one.path for one in candidate.files] == ["src/app.py"]
    assert project.git("diff", "--name-only", "HEAD", candidate.tree) == "src/app.py"
    assert project.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_what_must_not_be_read_is_refused(soiled, tmp_path):
    """Paths out of the worktree, links on the way, second names, pipes and giants are not read at all."""
    project, worktree, _, build = soiled()
    secret = tmp_path / "secret"
    secret.write_text("swordfish\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "app.py").write_text("swordfish\n")
    (worktree / "src").rename(worktree / "moved")
    (worktree / "src").symlink_to(tmp_path / "outside")
    os.link(secret, worktree / "hard.py")
    os.mkfifo(worktree / "pipe.py")
    with (worktree / "giant.py").open("wb") as file:
        file.truncate(9 << 20)
    objects = project.git("count-objects")

    candidate = build("../secret", "src/app.py", "hard.py", "pipe.py", "giant.py", ".git", str(secret))

    assert {one.file: one.rule for one in candidate.refused} == {
        "../secret": "paths",
        "src/app.py": "paths",
        "hard.py": "file-type",
        "pipe.py": "file-type",
        "giant.py": "size",
        ".git": "paths",
        str(secret): "paths",
    }
    assert (candidate.files, candidate.tree) == ((), project.git("rev-parse", "HEAD^{tree}"))
    assert project.git("count-objects") == objects


def test_kinds_and_modes_are_recorded(soiled):
    """A link, an executable and a binary come with their mode; guards judge them."""
    project, worktree, repository, build = soiled()
    (worktree / "open.txt").chmod(0o755)
    (worktree / "old.py").unlink()
    (worktree / "old.py").symlink_to("/etc/passwd")
    (worktree / "bom.py").write_bytes(b"\0\1")

    candidate = build("open.txt", "old.py", "bom.py")

    assert {one.path: oct(one.mode) for one in candidate.files} == {
        "open.txt": "0o100755",
        "old.py": "0o120000",
        "bom.py": "0o100644",
    }
    assert project.git("cat-file", "blob", f"{candidate.tree}:old.py") == "/etc/passwd"
    diff = candidate_diff(repository, candidate)
    assert "old mode 100644\nnew mode 100755\n" in diff
    assert "Binary files a/bom.py and b/bom.py differ\n" in diff


def test_file_takes_the_place_of_a_folder_and_the_last_file_goes(soiled):
    """Both are trees that git accepts, or refused by name; neither is an error."""
    project, worktree, _, build = soiled({"a/b.py": b"1\n", "a/c.py": b"2\n"})
    (worktree / "a/b.py").unlink()
    (worktree / "a/c.py").unlink()
    (worktree / "a").rmdir()
    (worktree / "a").write_bytes(b"file\n")
    assert project.git("ls-tree", "-r", "--name-only", build("a", "a/b.py", "a/c.py").tree) == ".cicd.toml\na"
    (worktree / "a").unlink()
    (worktree / ".cicd.toml").unlink()
    emptied = build("a/b.py", "a/c.py", ".cicd.toml")
    assert [one.text for one in emptied.refused] == ["nothing would be left"]


def test_submodule_is_left_alone(soiled):
    """Neither it nor a file in its place is part of a fix."""
    project, worktree, _, build = soiled()
    head = project.git("rev-parse", "HEAD")
    project.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor")
    project.git("commit", "-qm", "submodule")
    (worktree / "vendor").mkdir()
    (worktree / "vendor" / "x.py").write_text("x\n")
    tree = project.git("rev-parse", "HEAD^{tree}")
    repository = open_repository(project.path)

    candidate = build_candidate(
        repository, base=head, base_tree=tree, worktree=worktree, paths=("vendor", "vendor/x.py")
    )

    assert [one.text for one in candidate.refused] == ["it belongs to a submodule"] * 2
    assert candidate.tree == tree


def test_line_ends_of_a_checkout_are_undone(soiled):
    """With `eol=crlf` files on disk end lines in two bytes and blobs in one; what git cannot give back is refused."""
    project, worktree, _, build = soiled(
        {".gitattributes": b"*.bat text eol=crlf\n*.id ident\n", "run.bat": b"one\ntwo\n", "a.id": b"$Id$\nx\n"}
    )
    assert (worktree / "run.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert build("run.bat").files == ()
    (worktree / "run.bat").write_bytes(b"one\r\nTWO\r\nthree\n")
    (worktree / "a.id").write_bytes(b"$Id$\ny\n")

    candidate = build("run.bat", "a.id")

    assert project.git("show", f"{candidate.tree}:run.bat") == "one\nTWO\nthree"
    assert (candidate.added, candidate.deleted) == (2, 1)
    assert [(one.file, one.text) for one in candidate.refused] == [("a.id", "git converts it (ident)")]


@given(st.lists(st.sampled_from("abc"), max_size=14), st.lists(st.sampled_from("abc"), max_size=14), st.booleans())
def test_changes_make_the_new_text(old, new, has_end):
    """Taken together, what stays and what came is the new text; hunks say the same."""
    before, after = ("\n".join(one) + ("\n" if has_end and one else "") for one in (old, new))
    old_lines, new_lines = (split_lines(text.encode()) for text in (before, after))
    made, at = [], 0
    for start, end, new_start, new_end in find_changes(old_lines, new_lines):
        made += old_lines[at:start] + new_lines[new_start:new_end]
        at = end
    assert made + old_lines[at:] == new_lines
    hunks = [line for line in make_hunks(before.encode(), after.encode()) if not line.startswith(("@@", " "))]
    added, removed = count_changes(before.encode(), after.encode())
    assert (sum(line.startswith("+") for line in hunks), sum(line.startswith("-") for line in hunks)) == (added, removed)


def test_hostile_repetition_is_compared_at_once():
    """Texts made to be slow to compare count as replaced."""
    old = b"".join(b"%d\n" % (number % 97) for number in range(9_000)) + b"end\n"
    new = b"start\n" + b"".join(b"%d\n" % (number * 7 % 97) for number in range(9_000))
    assert count_changes(old, new) == (9_001, 9_001)
