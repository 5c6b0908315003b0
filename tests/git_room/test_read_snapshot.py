"""The snapshot is the tree of `git add -A && git write-tree` on a copy, and leaves no trace in what people see."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import threading
from pathlib import Path

import pytest

from cicdctl.errors import GitError
from cicdctl.git.repository import open_repository


def oracle(git, **env: str) -> str:
    """What git itself makes of the working tree, on a copy of the index."""
    copy = git.path / ".git" / "oracle-index"
    source = Path(git.path, git.text("rev-parse", "--git-path", "index"))
    if source.exists():
        shutil.copy2(source, copy)
    try:
        git.run("add", "-A", GIT_INDEX_FILE=str(copy), **env)
        return git.text("write-tree", GIT_INDEX_FILE=str(copy), **env)
    finally:
        copy.unlink(missing_ok=True)


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a folder but new objects and our own: kind, mode, times, bytes."""
    rows = {}
    for folder, folders, files in os.walk(root):
        if folder.endswith("/.git"):
            folders[:] = [name for name in folders if name not in ("objects", "cicdctl")]
        folders[:] = [name for name in folders if not f"{folder}/{name}".endswith("/refs/cicd")]
        for name in files + [name for name in folders if os.path.islink(f"{folder}/{name}")]:
            path = f"{folder}/{name}"
            found = os.lstat(path)
            is_link = os.path.islink(path)
            data = os.readlink(path).encode() if is_link else b""
            if os.path.isfile(path) and not is_link:
                data = Path(path).read_bytes()
            # git itself refreshes the time of a shared index whenever it reads it.
            times = () if name.startswith("sharedindex.") else (found.st_mtime_ns, found.st_ctime_ns)
            rows[path] = (found.st_mode, times, found.st_ino, hashlib.sha1(data).digest())
    return rows


def assert_same_as_git(git, environ, git_program=None, **env: str):
    before = picture(git.path)
    with open_repository(git.path, environ={**environ, **env}, git_program=git_program) as repository:
        snapshot = repository.snapshot()
        again = repository.snapshot()
    assert picture(git.path) == before
    assert again.commit == snapshot.commit
    assert git.text("rev-parse", snapshot.commit.oid + "^{tree}") == snapshot.commit.tree
    assert snapshot.commit.tree == oracle(git, **env)
    if snapshot.dirty:
        assert git.text("for-each-ref", "--format=%(objectname)", f"refs/cicd/keep/{snapshot.commit.oid}")
    return snapshot


NAMES = [
    "a",
    "b.txt",
    "c.log",
    "build",
    "src",
    "deep",
    "weird name",
    "new\nline",
    'quo"te',
    "\udcff\udcfe",
    "ü",
    "x.tmp",
    "keep.log",
]
IGNORES = [
    "*.log\n!keep.log\n",
    "build/\n",
    "/src/*.tmp\n",
    "deep/**/a\n",
    "*\n!*/\n!*.txt\n",
    "\\#x\n#x\n",
    "a[bc]?\n",
    "**/build\n!build/a\n",
]


def soil(git, dice: random.Random, steps: int = 25) -> None:
    """Change the working tree and the index at random."""
    root = git.path

    def a_path() -> Path:
        return root.joinpath(*(dice.choice(NAMES) for _ in range(dice.choice([1, 1, 2, 2, 3]))))

    def existing() -> Path | None:
        found = [
            Path(folder, name)
            for folder, folders, files in os.walk(root)
            for name in files
            if not folders.__contains__("objects") and "/.git" not in folder
        ]
        return dice.choice(found) if found else None

    for _ in range(steps):
        action = dice.choice(
            [
                "write",
                "write",
                "write",
                "edit",
                "delete",
                "chmod",
                "link",
                "ignore",
                "stage",
                "rmtree",
                "touch",
                "unstage",
            ]
        )
        path = a_path() if action in ("write", "link") else existing()
        if path is None:
            continue
        try:
            if action == "write":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(dice.randbytes(dice.choice([0, 1, 40, 5000])))
            elif action == "edit":
                data = path.read_bytes()
                path.write_bytes(data[:-1] + b"!" if data else b"?")
            elif action == "delete":
                path.unlink()
            elif action == "chmod":
                path.chmod(dice.choice([0o644, 0o755, 0o600, 0o711, 0o664]))
            elif action == "link":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(dice.choice(["a", "../nowhere", "src"]))
            elif action == "ignore":
                (path.parent / ".gitignore").write_text("".join(dice.sample(IGNORES, 2)))
            elif action == "stage":
                git.run("add", "-f", "--", os.fsencode(path), check=False)
            elif action == "touch":
                # git compares whole seconds and would miss an edit under equal ones, which we do not.
                os.utime(path, (10**9, dice.randrange(10**9)))
            elif action == "unstage":
                git.run("rm", "-q", "--cached", "-f", "--", os.fsencode(path), check=False)
            elif action == "rmtree" and path.parent != root:
                shutil.rmtree(path.parent)
        except OSError:
            continue


def run_states(make_git, environ, seeds, tmp_path) -> None:
    for seed in seeds:
        dice = random.Random(seed)
        git = make_git(f"repo{seed}")
        if dice.random() < 0.2:
            git.run("config", "index.version", "4")
        if dice.random() < 0.15:
            git.run("config", "core.fileMode", "false")
        excludes = tmp_path / f"excludes{seed}"
        excludes.write_text("*.tmp\n")
        if dice.random() < 0.3:
            git.run("config", "core.excludesFile", str(excludes))
        if dice.random() < 0.3:
            git.write(".git/info/exclude", "c.log\n/build\n")
        if dice.random() < 0.85:
            soil(git, dice, 15)
            git.commit()
        for _ in range(2):
            soil(git, dice)
            assert_same_as_git(git, environ)
        shutil.rmtree(git.path)


@pytest.mark.parametrize("chunk", range(10))
def test_random_states_equal_git(make_git, git_environ, tmp_path, chunk):
    run_states(make_git, git_environ, range(chunk * 2, chunk * 2 + 2), tmp_path)


@pytest.mark.campaign
@pytest.mark.parametrize("chunk", range(15))
def test_random_states_equal_git_campaign(make_git, git_environ, tmp_path, chunk):
    run_states(make_git, git_environ, range(1000 + chunk * 10, 1010 + chunk * 10), tmp_path)


def test_clean_tree_is_head_itself(make_git, git_environ):
    git = make_git()
    git.write("src/a", "1")
    oid = git.commit()
    snapshot = assert_same_as_git(git, git_environ)
    assert (snapshot.commit.oid, snapshot.dirty, snapshot.changed, snapshot.warnings) == (oid, False, (), ())
    assert not git.run("for-each-ref", "refs/cicd")


def test_changed_names_what_differs_from_head(make_git, git_environ):
    git = make_git()
    for name in ("a", "b", "src/c", "src/d"):
        git.write(name, name)
    oid = git.commit()
    git.write("a", "changed")
    (git.path / "src/c").unlink()
    git.write("staged", "s")
    git.run("add", "staged")
    git.write("new/file", "n")
    snapshot = assert_same_as_git(git, git_environ)
    assert snapshot.changed == (b"a", b"new/file", b"src/c", b"staged")
    assert snapshot.commit.parents == (oid,)
    assert snapshot.commit.time == 1700000000
    git.run("fsck", "--strict")


def test_unborn_head_has_no_parent(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    assert assert_same_as_git(git, git_environ).commit.parents == ()
    git.run("add", "a")
    git.write("b", "1")
    assert assert_same_as_git(git, git_environ).changed == (b"a", b"b")


def test_empty_unborn_repository(make_git, git_environ):
    assert assert_same_as_git(make_git(), git_environ).changed == ()


def test_sha256_repository(make_git, git_environ):
    git = make_git("repo", "--object-format=sha256")
    for name in ("a", "b", "folder/c" * 3):
        git.write(name, name)
    git.commit()
    assert not assert_same_as_git(git, git_environ).dirty
    git.write("folder/new", "n")
    (git.path / "b").unlink()
    snapshot = assert_same_as_git(git, git_environ)
    assert (len(snapshot.commit.oid), snapshot.changed) == (64, (b"b", b"folder/new"))


def test_edit_that_undoes_the_staged_one_is_clean(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    oid = git.commit()
    git.write("a", "2")
    git.run("add", "a")
    git.write("a", "1")
    assert assert_same_as_git(git, git_environ).commit.oid == oid


def test_equal_content_has_an_equal_id(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    git.commit()
    git.write("b", "2")
    first = assert_same_as_git(git, git_environ)
    git.run("add", "b")
    os.utime(git.path / "b", (1, 1))
    assert assert_same_as_git(git, git_environ).commit == first.commit


def test_detached_head(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    oid = git.commit()
    git.run("checkout", "-q", "--detach")
    git.write("a", "2")
    assert assert_same_as_git(git, git_environ).commit.parents == (oid,)


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_index_versions_and_flags(make_git, git_environ, version):
    git = make_git()
    for name in ("a", "assumed", "skipped", "folder/b", "folder/bb", "x" * 250):
        git.write(name, name)
    git.commit()
    git.run("update-index", "--index-version", version)
    git.run("update-index", "--assume-unchanged", "assumed")
    git.run("update-index", "--skip-worktree", "skipped")
    git.write("intended", "i")
    git.write("empty")
    git.run("add", "-N", "intended", "empty")
    git.write("assumed", "other")
    (git.path / "skipped").unlink()
    git.write("a", "other")
    assert set(assert_same_as_git(git, git_environ).changed) == {b"a", b"empty", b"intended"}


def test_same_size_edit_in_the_same_tick_is_seen(make_git, git_environ):
    """Racy: the entry is not older than the index, so only the content can tell."""
    git = make_git()
    for _ in range(5):
        path = git.write("a", "1111")
        git.run("add", "a")
        before = os.stat(path)
        path.write_bytes(b"2222")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert assert_same_as_git(git, git_environ).dirty


def test_split_and_sparse_index_need_git(make_git, git_environ, run_git):
    git = make_git()
    for number in range(20):
        git.write(f"folder{number % 3}/{number}", str(number))
    git.commit()
    git.run("update-index", "--split-index")
    git.write("folder1/1", "changed")
    git.write("new", "n")
    with (
        open_repository(git.path, environ=git_environ) as repository,
        pytest.raises(GitError, match="split index") as caught,
    ):
        repository.snapshot()
    assert "--no-split-index" in caught.value.hint
    assert_same_as_git(git, git_environ, run_git)
    git.run("update-index", "--no-split-index")
    git.commit("all")
    git.run("sparse-checkout", "set", "--cone", "--sparse-index", "folder1")
    git.write("folder1/1", "changed again")
    with open_repository(git.path, environ=git_environ) as repository, pytest.raises(GitError, match="sparse index"):
        repository.snapshot()
    assert_same_as_git(git, git_environ, run_git)


def test_sparse_checkout_with_full_index(make_git, git_environ):
    git = make_git()
    for number in range(9):
        git.write(f"folder{number % 3}/{number}", str(number))
    git.commit()
    git.run("sparse-checkout", "set", "--cone", "folder1")
    assert not assert_same_as_git(git, git_environ).dirty
    git.write("folder1/1", "changed")
    assert assert_same_as_git(git, git_environ).changed == (b"folder1/1",)


def test_unmerged_paths_are_refused_by_name(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    git.commit()
    git.run("checkout", "-q", "-b", "side")
    git.write("a", "2")
    git.commit()
    git.run("checkout", "-q", "main")
    git.write("a", "3")
    git.commit()
    git.run("merge", "side", check=False)
    with (
        open_repository(git.path, environ=git_environ) as repository,
        pytest.raises(GitError, match="unmerged paths: 'a'"),
    ):
        repository.snapshot()


def test_submodules_and_odd_files(make_git, git_environ, tmp_path):
    other = make_git("other")
    other.write("x", "1")
    other.commit("one")
    git = make_git()
    git.run("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other.path), "module")
    git.commit()
    assert not assert_same_as_git(git, git_environ).dirty
    other.write("x", "2")
    second = other.commit("two", 1700000009)
    git.run("-C", "module", "fetch", "-q")
    git.run("-C", "module", "checkout", "-q", second)
    (git.path / "module/x").write_text("inside changes are left out")
    assert assert_same_as_git(git, git_environ).changed == (b"module",)
    shutil.rmtree(git.path / "module")
    (git.path / "module").mkdir()
    assert not assert_same_as_git(git, git_environ).dirty
    with socket.socket(socket.AF_UNIX) as door:
        os.chdir(git.path)
        door.bind("door")
        os.chdir("/")
    os.mkfifo(git.path / "pipe")
    snapshot = assert_same_as_git(git, git_environ)
    assert sorted(snapshot.warnings) == [
        "'door' is neither file nor link, left out",
        "'pipe' is neither file nor link, left out",
    ]


def test_repository_inside_is_left_out_with_a_warning(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    git.commit()
    make_git("repo/inside").write("x", "1")
    make_git("repo/vendor/deep/inside").write("x", "1")
    git.write("vendor/file", "f")
    with open_repository(git.path, environ=git_environ) as repository:
        snapshot = repository.snapshot()
    assert snapshot.changed == (b"vendor/file",)
    assert sorted(snapshot.warnings) == [
        "'inside/' is a repository of its own, left out",
        "'vendor/deep/inside/' is a repository of its own, left out",
    ]


@pytest.mark.parametrize(
    ("attributes", "config", "content", "reason"),
    [
        ("*.txt text\n", {}, b"a\r\nb\r\n", "'f.txt' has text, which needs git"),
        ("*.txt eol=crlf\n", {}, b"a\r\nb\r\n", "'f.txt' has eol=crlf, which needs git"),
        ("* text=auto\n", {}, b"a\r\nb\r\n", "'f.txt' has text=auto, which needs git"),
        ("*.txt crlf=input\n", {}, b"a\r\nb\r\n", "'f.txt' has text=input, which needs git"),
        ("", {"core.autocrlf": "input"}, b"a\r\nb\r\n", "'f.txt' has core.autocrlf, which needs git"),
        ("*.txt ident\n", {}, b"$Id: old $\n", "'f.txt' has ident, which needs git"),
        ("*.txt working-tree-encoding=UTF-16\n", {}, "häß".encode("utf-16"), "working-tree-encoding=UTF-16"),
        ("*.txt filter=up\n", {"filter.up.clean": "tr a-z A-Z"}, b"abc", "'f.txt' has filter=up, which needs git"),
        ("[attr]shout filter=up\n*.txt shout\n", {"filter.up.clean": "tr a-z A-Z"}, b"abc", "filter=up"),
    ],
)
@pytest.mark.parametrize("users", [False, True])
def test_converted_files_go_through_git(
    make_git, git_environ, tmp_path, run_git, attributes, config, content, reason, users
):
    git = make_git()
    git.write("folder/.gitattributes", attributes)
    git.write("keep", "k")
    git.commit()
    env = {}
    for key, value in config.items():
        git.run("config", *(["-f", str(tmp_path / "user")] if users else []), key, value)
    if users:
        env["GIT_CONFIG_GLOBAL"] = str(tmp_path / "user")
    git.write("folder/f.txt", content)
    (git.path / "keep").unlink()
    reason = reason.replace("'f.txt'", "'folder/f.txt'")
    # A macro counts only in the root's file: below it is no attribute at all.
    if "[attr]" not in attributes:
        with (
            open_repository(git.path, environ={**git_environ, **env}) as repository,
            pytest.raises(GitError, match=reason),
        ):
            repository.snapshot()
    assert_same_as_git(git, git_environ, run_git, **env)
    root_attributes = git.path / ".gitattributes"
    root_attributes.write_text(attributes)
    assert_same_as_git(git, git_environ, run_git, **env)


@pytest.mark.parametrize(
    ("attributes", "content"),
    [
        ("*.txt text eol=lf\n", b"a\nb\n"),
        ("*.txt text=auto\n", b"lf only\n"),
        ("*.txt filter=unknown\n", b"abc"),
        ("*.txt binary\n", b"a\r\nb"),
        ("*.txt -text\n", b"a\r\nb"),
        ("*.txt ident\n", b"no keyword"),
        ("*.txt text\n*.txt !text\n", b"a\r\nb"),
        ("*.txt/ text\n", b"a\r\nb"),
        ('"f\\056txt" -text\n* text\n/folder/* -text\n', b"a\r\n"),
    ],
)
def test_harmless_attributes_need_no_git(make_git, git_environ, attributes, content):
    git = make_git()
    git.write(".gitattributes", attributes)
    git.commit()
    git.write("folder/f.txt", content)
    assert assert_same_as_git(git, git_environ).dirty


def test_user_excludes_file_in_its_default_place(make_git, git_environ, tmp_path):
    git = make_git()
    git.write("a.bak", "1")
    git.write("b", "1")
    (tmp_path / "config/git").mkdir(parents=True)
    (tmp_path / "config/git/ignore").write_text("*.bak\n")
    snapshot = assert_same_as_git(git, git_environ, XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert snapshot.changed == (b"b",)


def test_linked_worktree_with_its_own_config(make_git, git_environ, tmp_path, git_at):
    git = make_git()
    git.write("a", "1")
    git.commit()
    git.run("worktree", "add", "-q", str(tmp_path / "linked"))
    git.run("config", "extensions.worktreeConfig", "true")
    linked = git_at(tmp_path / "linked")
    linked.run("config", "--worktree", "core.fileMode", "false")
    linked.path.joinpath("a").chmod(0o755)
    linked.write("sub/b", "2")
    with open_repository(linked.path / "sub", environ=git_environ) as repository:
        snapshot = repository.snapshot()
        assert repository.head().ref == "refs/heads/linked"
    assert snapshot.changed == (b"sub/b",)
    git.path.joinpath("a").chmod(0o755)
    assert assert_same_as_git(git, git_environ).changed == (b"a",)


def test_file_that_never_stops_changing_is_named(make_git, git_environ):
    git = make_git()
    path = git.write("busy", b"x")
    os.truncate(path, 60_000_000)
    stop = threading.Event()

    def keep_writing() -> None:
        number = 0
        with open(path, "r+b", buffering=0) as file:
            while not stop.is_set():
                number += 1
                os.pwrite(file.fileno(), b"%d" % number, 0)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        with (
            open_repository(git.path, environ=git_environ) as repository,
            pytest.raises(GitError, match="'busy' changes while it is read"),
        ):
            repository.snapshot()
    finally:
        stop.set()
        writer.join()
    assert_same_as_git(git, git_environ)


def test_large_file_is_stored_without_being_held(make_git, git_environ):
    git = make_git()
    with open(git.path / "large", "wb") as file:
        file.write(b"start")
        file.truncate(65 << 20)
    assert assert_same_as_git(git, git_environ).changed == (b"large",)


def test_hostile_names_are_left_out(make_git, git_environ):
    git = make_git()
    git.write("a", "1")
    git.write("folder/git~1", "x")
    git.write("folder/.Git ", "x")
    os.symlink("x", git.path / ".gitmodules")
    with open_repository(git.path, environ=git_environ) as repository:
        snapshot = repository.snapshot()
    assert snapshot.changed == (b"a",)
    assert len(snapshot.warnings) == 3


def test_bare_repository_has_no_snapshot(make_git, git_environ):
    git = make_git("bare", "--bare")
    with open_repository(git.path, environ=git_environ) as repository, pytest.raises(GitError, match="no working tree"):
        repository.snapshot()


def test_hot_path_imports_no_dulwich(make_git, git_environ):
    import subprocess
    import sys

    git = make_git()
    git.write("src/a", "1")
    git.commit()
    code = (
        "import sys; from pathlib import Path; from cicdctl.git import open_repository\n"
        "with open_repository(Path(sys.argv[1])) as repository:\n"
        "    snapshot = repository.snapshot(); repository.input_digest(snapshot.commit.tree, ['src/'])\n"
        "slow = {'dulwich', 'tempfile', 'subprocess', 'difflib', 'shutil', 'dataclasses'} & set(sys.modules)\n"
        "print(sorted(slow))"
    )
    import cicdctl.errors

    where = str(Path(cicdctl.errors.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import sys; sys.path[:0] = sys.argv[2:]\n" + code, str(git.path), where, *sys.path],
        capture_output=True, text=True, env=git_environ, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
