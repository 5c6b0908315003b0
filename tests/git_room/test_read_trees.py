"""Trees, globs, digests and repositories: walked, compared, matched and found as git does."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicdctl.errors import GitError
from cicdctl.git.commit import change_tree, write_tree
from cicdctl.git.git_config import parse_git_config
from cicdctl.git.globs import Globs, compile_globs
from cicdctl.git.index_file import read_index
from cicdctl.git.names import check_name
from cicdctl.git.repository import open_repository
from cicdctl.git.trees import FILE, FOLDER, LINK, parse_tree


def fill(git, dice: random.Random, count: int = 30) -> None:
    for _ in range(count):
        parts = [dice.choice(["a", "a.b", "a-b", "a0", "A", "b", "\udcfe"]) for _ in range(dice.choice([1, 2, 3, 4]))]
        path = git.path.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(dice.randbytes(3))
            path.chmod(dice.choice([0o644, 0o755]))
        except OSError:
            continue


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_walk_and_difference_equal_git(make_git, seed, object_format):
    """Folders that become files and back, names that sort differently as folders."""
    git = make_git("repo", f"--object-format={object_format}")
    dice = random.Random(seed)
    trees = []
    for _ in range(3):
        for name in os.listdir(git.path):
            if name != ".git" and dice.random() < 0.5:
                path = git.path / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        fill(git, dice)
        git.commit()
        trees.append(git.text("rev-parse", "HEAD^{tree}"))
    with open_repository(git.path) as repository:
        for tree in trees:
            rows = b"".join(
                b"%06o blob %s\t%s\0" % (row.mode, row.oid.encode(), row.path) for row in repository.walk(tree)
            )
            assert rows == git.run("ls-tree", "-r", "-z", tree)
            for other in trees:
                expected = git.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", other, tree).split(b"\0")[
                    :-1
                ]
                assert sorted(repository.changed_paths(other, tree)) == sorted(set(expected))
                current = {row.path: row for row in repository.walk(other)}
                for path, before, after in repository.changed_entries(other, tree):
                    assert current.pop(path, None) == before
                    # What goes comes before what comes: at no moment two entries share a name.
                    if after is not None:
                        assert not any(name.startswith(path + b"/") for name in current)
                        current[path] = after
                assert set(current.values()) == set(repository.walk(tree))
            assert set(repository.changed_paths(None, tree)) == {row.path for row in repository.walk(tree)}


def test_read_file_and_find_entry(make_git):
    git = make_git()
    git.write("folder/file", "content")
    os.symlink("folder", git.path / "link")
    git.commit()
    with open_repository(git.path) as repository:
        tree = repository.resolve("HEAD").tree
        assert repository.read_file(tree, b"folder/file") == b"content"
        assert repository.read_file(tree, b"link") == b"folder"
        for path in (b"folder", b"nope", b"folder/file/x", b"link/file", b"", b"/folder"):
            assert repository.read_file(tree, path) is None
        assert repository.find_entry(tree, b"folder").mode == FOLDER


HOSTILE = [
    b".git",
    b".GIT",
    b".git ",
    b".git.",
    b"git~1",
    b"GIT~1",
    b".g\xe2\x80\x8cit",
    b"..",
    b".",
    b"a\\.git",
    b".git::$INDEX_ALLOCATION",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(make_git, name):
    git = make_git()
    git.commit()
    blob = git.text("hash-object", "-w", "/dev/null")
    raw = b"100644 ok\0" + bytes.fromhex(blob) + b"100644 %s\0" % name + bytes.fromhex(blob)
    tree = git.run("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=raw).decode().strip()
    with open_repository(git.path) as repository:
        for use in (repository.walk, lambda tree: repository.changed_entries(None, tree)):
            with pytest.raises(GitError, match="is refused"):
                list(use(tree))
        with pytest.raises(GitError, match="is refused"):
            write_tree(repository, [(FILE, name, bytes.fromhex(blob))])


@pytest.mark.parametrize("name", [b".gitmodules", b".GITMODULES", b"gitmod~1", b".gitmodules "])
def test_linked_gitmodules_are_refused(name):
    assert check_name(name, LINK)
    assert not check_name(name, FILE)


@pytest.mark.parametrize(
    "name",
    [
        b".gitignore",
        b".github",
        b"git",
        b"x.git",
        b"git~2",
        b"gitfoo",
        "ü.git".encode(),
        b"a\nb",
        b"...",
        b"\xff\xfe",
        b".git-blame",
    ],
)
def test_ordinary_names_pass(name):
    assert check_name(name, FILE) == ""


@pytest.mark.parametrize(
    "data",
    [b"x", b"100644 a\0short", b"100644 a/b\0" + b"x" * 20, b"100644 \0" + b"x" * 20, b"130000 a\0" + b"x" * 20,
     (b"100644 a\0" + b"x" * 20) * 2, b"100644 a\0" + b"x" * 20 + b"40000 a\0" + b"y" * 20, b"999999 a\0" + b"x" * 20]
)  # fmt: skip
def test_malformed_trees_are_refused(data):
    with pytest.raises(GitError, match="a tree"):
        parse_tree(data)


def test_old_modes_are_reduced():
    rows = parse_tree(b"100664 a\0" + b"x" * 20 + b"106755 b\0" + b"x" * 20)
    assert [row[0] for row in rows] == [0o100644, 0o100755]


def test_deep_tree_does_not_recurse(make_git):
    git = make_git()
    git.commit()
    oid = bytes.fromhex(git.text("hash-object", "-w", "/dev/null"))
    with open_repository(git.path) as repository:
        tree = write_tree(repository, [(FILE, b"f", oid)])
        for depth in range(2060):
            if depth == 1500:
                assert len(list(repository.walk(tree))) == 1
                assert len(list(repository.changed_entries(None, tree))) == 1
                assert len(list(repository.matching(tree, ["f"]))) == 1
            tree = write_tree(repository, [(FOLDER, b"d", bytes.fromhex(tree))])
        with pytest.raises(GitError, match="longer than 4,095 bytes"):
            list(repository.walk(tree))


def ignored_by_git(git, patterns: list[str], paths: list[bytes]) -> set[bytes]:
    """The paths git's own matcher selects: as files of an index, so that folders count through what is in them."""
    git.write(".git/info/exclude", "")
    (git.path / ".gitignore").write_bytes("\n".join(patterns).encode("utf-8", "surrogateescape") + b"\n")
    found = git.run(
        "check-ignore", "-z", "--no-index", "--stdin", stdin=b"".join(path + b"\0" for path in paths), check=False
    )
    return set(found.split(b"\0")) - {b""}


PIECES = [
    "a",
    "b",
    "ab",
    "*",
    "**",
    "?",
    "a*",
    "*b",
    "a*b*a",
    "[ab]",
    "[!a]",
    "[a-c]x",
    "[[:alpha:]]",
    "\\*",
    "x",
    "a?b",
    "***",
    "[]x]",
    "[^b]",
    "*.c",
    "a.c",
    "[",
    "\\",
]
WORDS = [b"a", b"b", b"ab", b"ba", b"aba", b"x", b"cx", b"*", b"aab", b"a.c", b".c", b"abba", b"]", b"ac"]


@pytest.mark.parametrize("seed", range(8))
def test_globs_equal_gitignore(make_git, seed):
    git = make_git()
    dice = random.Random(seed)
    paths = sorted({b"/".join(dice.choice(WORDS) for _ in range(dice.choice([1, 2, 2, 3, 4]))) for _ in range(150)})
    for _ in range(40):
        pattern = "/".join(dice.choice(PIECES) for _ in range(dice.choice([1, 1, 2, 3])))
        pattern = dice.choice(["", "", "/"]) + pattern + dice.choice(["", "", "/"])
        expected = ignored_by_git(git, [pattern], paths)
        matches = compile_globs([pattern])
        found = {path for path in paths if matches(path)}
        assert found == expected, (pattern, sorted(found ^ expected))
        globs = Globs([pattern])
        for path in found:
            while path := path.rpartition(b"/")[0]:
                assert globs.can_hold(path), (pattern, path)


def test_last_glob_wins():
    matches = compile_globs(["src/", "!src/gen/", "src/gen/keep.py", "*.md"])
    assert [matches(path) for path in (b"src/a", b"src/gen/b", b"src/gen/keep.py", b"docs/x.md", b"other")] == [
        True, False, True, True, False,
    ]  # fmt: skip
    assert not compile_globs([])(b"a")
    assert compile_globs(["**"])(b"a/b")
    assert compile_globs(["*"])(b"a/b")


@pytest.mark.parametrize(
    "glob", ["*a" * 50 + "b", "**/a/" * 30 + "b", "a*" * 100, "[a-z]*" * 40 + "!", "**/*a*/**/" * 10 + "x"]
)
@pytest.mark.parametrize("path", [b"a" * 4000, b"a/" * 2000 + b"a", b"aab/" * 1000])
def test_no_glob_is_slow(glob, path):
    matches = compile_globs([glob])
    start = time.perf_counter()
    matches(path)
    assert time.perf_counter() - start < 0.25


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab*?[]!^-\\/.:", max_size=12), st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
def test_any_text_is_a_glob(glob, words):
    globs = Globs([glob])
    path = b"/".join(words)
    if globs.matches(path):
        assert all(globs.can_hold(b"/".join(words[:end])) for end in range(1, len(words)))


def test_matching_opens_only_what_can_match(make_git):
    git = make_git()
    for name in ("src/a.py", "src/deep/b.py", "docs/c.md", "tests/d.py", "top.py"):
        git.write(name, name)
    git.commit()
    with open_repository(git.path) as repository:
        tree = repository.resolve("HEAD").tree
        opened = []
        read_tree = repository.read_tree
        repository.read_tree = lambda oid: opened.append(oid) or read_tree(oid)
        assert [row.path for row in repository.matching(tree, ["src/*.py", "/top.py"])] == [b"src/a.py", b"top.py"]
        assert len(opened) == 2


def test_input_digest(make_git):
    git = make_git()
    for name in ("src/a.py", "docs/c.md"):
        git.write(name, name)
    git.commit()
    with open_repository(git.path) as repository:
        tree = repository.resolve("HEAD").tree
        assert repository.input_digest(tree, []) == f"tree:{tree}"
        digest = repository.input_digest(tree, ["src/"])
        git.write("docs/c.md", "other")
        git.commit()
        second = repository.resolve("HEAD").tree
        assert repository.input_digest(second, ["src/"]) == digest
        assert repository.input_digest(second, ["src/", "docs/"]) != repository.input_digest(tree, ["src/", "docs/"])
        (git.path / "src/a.py").chmod(0o755)
        git.commit()
        assert repository.input_digest(repository.resolve("HEAD").tree, ["src/"]) != digest
        assert repository.input_digest(tree, ["nothing"]).startswith("rows:")


def test_changed_tree_equals_git(make_git):
    git = make_git()
    for name in ("a/b/c", "a/b/d", "e", "f/g"):
        git.write(name, name)
    git.commit()
    blob = git.text("hash-object", "-w", "/dev/null")
    with open_repository(git.path) as repository:
        tree = repository.resolve("HEAD").tree
        changes = {b"a/b/c": None, b"a/b/new": (FILE, blob), b"e/f": (FILE, blob), b"f/g": None, b"nope/x": None}
        changed = change_tree(repository, tree, changes)
        (git.path / "a/b/c").unlink()
        shutil.rmtree(git.path / "f")
        (git.path / "e").unlink()
        git.write("a/b/new")
        git.write("e/f")
        git.commit()
        assert changed == git.text("rev-parse", "HEAD^{tree}")
        assert change_tree(repository, changed, {b"a/b/d": None, b"a/b/new": None, b"e/f": None}) is None
    git.run("fsck", "--strict")


# Where a repository is


def test_places(make_git, tmp_path, git_at):
    git = make_git()
    git.write("deep/er/file", "x")
    git.commit()
    git.run("worktree", "add", "-q", str(tmp_path / "linked"))
    bare = make_git("bare.git", "--bare")
    git.run("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(git.path), "module")
    with open_repository(git.path / "deep/er") as main, open_repository(tmp_path / "linked/deep") as linked:
        assert (main.work_tree, main.git_dir) == (git.path, git.path / ".git")
        assert (linked.work_tree, linked.common_dir) == (tmp_path / "linked", main.common_dir)
        assert linked.git_dir == main.git_dir / "worktrees/linked"
        assert linked.id == main.id
        assert linked.state_dir == main.state_dir == git.path / ".git/cicdctl"
    with open_repository(git.path / ".git/worktrees/linked") as inside:
        assert inside.work_tree == tmp_path / "linked"
    with open_repository(git.path / ".git") as inside:
        assert inside.work_tree == git.path
    with open_repository(git.path / "module") as module:
        assert (module.work_tree, module.git_dir) == (git.path / "module", git.path / ".git/modules/module")
    with open_repository(git.path / ".git/modules/module") as module:
        assert module.work_tree == git.path / "module"
    with open_repository(bare.path / "refs") as repository:
        assert (repository.work_tree, repository.git_dir) == (None, bare.path)
        assert repository.head().oid is None
        with pytest.raises(GitError, match="no commit yet"):
            repository.resolve("HEAD")
        assert repository.default_branch() is None


def test_no_repository(tmp_path):
    with pytest.raises(GitError, match="is not in a git repository") as caught:
        open_repository(tmp_path)
    assert caught.value.hint == "run: git init"
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(GitError, match="points to"):
        open_repository(tmp_path)
    with pytest.raises(GitError, match="there is no folder"):
        open_repository(tmp_path / "gone")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("preciousObjects", "true", "'preciousobjects'"), ("partialClone", "origin", "'partialclone'"), ("noop", "1", "'noop'"),
     ("refStorage", "reftable", "reftable"), ("compatObjectFormat", "sha256", "'compatobjectformat'"), ("brandNew", "1", "'brandnew'")]
)  # fmt: skip
def test_unknown_extensions_are_refused_by_name(make_git, key, value, message):
    git = make_git()
    config = git.path / ".git/config"
    config.write_text(
        config.read_text().replace("repositoryformatversion = 0", "repositoryformatversion = 1")
        + f"[extensions]\n\t{key} = {value}\n"
    )
    with pytest.raises(GitError, match=message):
        open_repository(git.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away and to become somebody else")
def test_repository_of_another_user_is_refused(make_git):
    git = make_git()
    git.commit()
    for folder in (git.path, *git.path.parents):
        if str(folder).startswith("/tmp/") and folder != Path("/tmp"):
            folder.chmod(0o755)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            open_repository(git.path)
        except GitError as error:
            os._exit(7 if "belongs to another user" in str(error) and error.hint else 8)
        except BaseException:
            os._exit(9)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


CONFIG = """\
; comment
[core] bare = false # behind
\tfileMode
[remote "o \\"q\\" \\\\ x"]
\turl = "quoted ; text"  tail   ; comment
\tfetch = +refs/heads/*:\\
refs/x/*
\tFETCH = second
[branch.Old]
\tmerge = a\\tb\\nc
[empty]
\tkey =
\tkey2 = " padded "
[a "b"] x=1
"""


def test_configuration_equals_git(tmp_path, git_at):
    (tmp_path / "config").write_text(CONFIG)
    rows = git_at(tmp_path).run("config", "-f", "config", "-z", "--list").decode().split("\0")[:-1]
    expected: dict[str, list[str]] = {}
    for row in rows:
        key, newline, value = row.partition("\n")
        expected.setdefault(key, []).append(value if newline else "true")
    assert parse_git_config(CONFIG, "x") == expected


@pytest.mark.parametrize("text", ["key = 1\n", "[core\n", "[core]\n = 1\n", "[core]\n\t1x = 3\n", '[a "b]\n'])
def test_malformed_configuration_names_its_line(text):
    with pytest.raises(GitError, match="x:"):
        parse_git_config(text, "x")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_damaged_index_never_crashes(tmp_path_factory, data):
    import hashlib

    path = tmp_path_factory.mktemp("index") / "index"
    for head in (b"", b"DIRC\0\0\0\2\0\0\0\1", b"DIRC\0\0\0\4\0\0\0\2", b"DIRC\0\0\0\2\0\0\0\0TREE\0\0\0\x50"):
        body = head + data
        path.write_bytes(body + hashlib.sha1(body).digest())
        with contextlib.suppress(GitError):
            read_index(path)


def test_repository_in_two_threads(make_git):
    from concurrent.futures import ThreadPoolExecutor

    git = make_git()
    for number in range(50):
        git.write(f"f{number}", str(number))
    git.commit()
    git.run("gc", "-q")
    with open_repository(git.path) as repository, ThreadPoolExecutor(2) as pool:

        def read() -> int:
            with repository.reopen() as own:
                return sum(len(own.read_object(row.oid)[1]) for row in own.walk(own.resolve("HEAD").tree))

        jobs = [pool.submit(read) for _ in range(8)]
        while not all(job.done() for job in jobs):
            subprocess.run(["git", "-C", git.path, "repack", "-adfq"], check=True)
        assert {job.result() for job in jobs} == {90}
