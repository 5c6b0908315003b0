"""Where the state lives: private files, honest refusals, nothing deleted or repaired in silence."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from cicdctl.errors import StoreError
from cicdctl.model import Run, RunFilter, RunState, Verdict
from cicdctl.store import back_up_state, check_state, last_backup, open_state, restore_state
from cicdctl.store.folders import network_file_system, refuse_network
from cicdctl.store.schema import APPLICATION_ID, LATEST, MIGRATIONS


def test_files_are_private_whatever_the_umask(state_folder, a_run):
    for mask in (0, 0o777):
        folder = state_folder / str(mask)
        old = os.umask(mask)
        try:
            state_folder.mkdir(mode=0o700, exist_ok=True)
            state_folder.chmod(0o700)
            with open_state(folder) as state:
                state.begin(a_run())
                back_up_state(folder)
                modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
        finally:
            os.umask(old)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "backups").stat().st_mode & 0o777 == 0o700
        assert {"state.db", "state.db-wal", "state.db-shm", "state.lock"} < set(modes)
        assert set(modes.values()) == {0o600}, modes


def test_reader_of_nothing_makes_nothing(state_folder):
    with open_state(state_folder, read_only=True) as state:
        assert state.runs(RunFilter()) == []
        assert state.load(1) is None
        with pytest.raises(StoreError, match="open for reading only"):
            state.take_over(1)
    assert not state_folder.exists()


def test_closed_state_says_so(state_folder):
    state = open_state(state_folder)
    state.close()
    state.close()
    for act in (lambda: state.runs(RunFilter()), lambda: state.take_over(1), lambda: state.load(1)):
        with pytest.raises(StoreError, match="already closed"):
            act()


def fill(state_folder, a_run, count=300):
    with open_state(state_folder) as state:
        for _ in range(count):
            state.begin(a_run(message="m" * 500))


DAMAGES = {
    "garbage in front": lambda data: b"\xff" * 200 + data[200:],
    "garbage inside": lambda data: data[:4096] + os.urandom(len(data) - 4096),
    "cut short": lambda data: data[: len(data) // 2],
    "text": lambda data: b"hello\n" * 1000,
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_stops_with_path_finding_and_offer(state_folder, a_run, name):
    fill(state_folder, a_run)
    path = state_folder / "state.db"
    damaged = DAMAGES[name](path.read_bytes())
    path.write_bytes(damaged)

    with pytest.raises(StoreError) as caught, open_state(state_folder) as state:
        state.runs(RunFilter(limit=1000))
        state.begin(a_run())

    assert f"'{path}' is damaged: " in caught.value.message
    assert "cicdctl state restore" in caught.value.hint
    if name != "empty":
        assert "integrity check: " in caught.value.message
    assert path.read_bytes() == damaged


def test_check_finds_what_reading_would_not(state_folder, a_run):
    fill(state_folder, a_run)
    assert check_state(state_folder) == "ok"
    path = state_folder / "state.db"
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'run_by_commit'").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 + 100 : page * 4096] = bytes(3996)
    path.write_bytes(data)
    assert check_state(state_folder) != "ok"


def test_restore_brings_back_the_backup_and_keeps_the_damaged(state_folder, a_run):
    fill(state_folder, a_run, 5)
    made = back_up_state(state_folder)
    assert last_backup(state_folder) == made
    fill(state_folder, a_run, 2)
    (state_folder / "logs" / "7").mkdir(parents=True)
    (state_folder / "logs" / "notes").mkdir()
    (state_folder / "state.db").write_bytes(b"broken" * 100)

    kept = restore_state(state_folder)

    assert (kept / "state.db").read_bytes() == b"broken" * 100
    assert check_state(state_folder) == "ok"
    with open_state(state_folder) as state:
        assert [run.number for run in state.runs(RunFilter())] == [5, 4, 3, 2, 1]
        # 6 and 7 were given before the damage; their logs are still there.
        assert state.begin(a_run()).number == 8
    assert (state_folder / "state.db").stat().st_mode & 0o777 == 0o600


def test_restore_refuses_while_anybody_has_it_open(state_folder, a_run):
    fill(state_folder, a_run, 1)
    back_up_state(state_folder)
    for read_only in (False, True):
        with open_state(state_folder, read_only=read_only), pytest.raises(StoreError, match="is in use"):
            restore_state(state_folder)
    restore_state(state_folder)


def test_restore_refuses_a_bad_or_foreign_backup(state_folder, a_run, tmp_path):
    with pytest.raises(StoreError, match="no backup"):
        restore_state(state_folder)
    fill(state_folder, a_run, 3)
    good = (state_folder / "state.db").read_bytes()
    bad = tmp_path / "bad.db"
    bad.write_bytes(good[:8192] + b"\xff" * (len(good) - 8192))
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    for source, words in ((bad, "damaged too"), (foreign, "not a backup of cicdctl"), (tmp_path / "none", "no backup")):
        with pytest.raises(StoreError, match=words):
            restore_state(state_folder, source)
        assert (state_folder / "state.db").read_bytes() == good


def test_backups_are_of_one_moment_and_only_the_newest_stay(state_folder, a_run):
    with open_state(state_folder) as state:
        made = []
        for _ in range(5):
            state.begin(a_run())
            made.append(back_up_state(state_folder))
        assert made == sorted(made)
        assert sorted((state_folder / "backups").glob("state-*")) == made[2:]
    for count, path in zip((3, 4, 5), made[2:], strict=True):
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (count,)
        connection.close()


def test_missing_state_beside_a_backup_is_no_new_beginning(state_folder, a_run):
    fill(state_folder, a_run, 1)
    made = back_up_state(state_folder)
    (state_folder / "state.db").unlink()
    for read_only in (False, True):
        with pytest.raises(StoreError, match="is missing, but there is a backup") as caught:
            open_state(state_folder, read_only=read_only)
        assert str(made) in caught.value.message
    shutil.rmtree(state_folder / "backups")
    (state_folder / "logs" / "41").mkdir(parents=True)
    with open_state(state_folder) as state:
        assert state.begin(a_run()).number == 42


def test_state_deleted_while_in_use_is_not_written_into_nowhere(state_folder, a_run):
    with open_state(state_folder) as state:
        state.begin(a_run())
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (state_folder / name).unlink()
        with pytest.raises(StoreError, match="deleted or replaced while it was in use"):
            state.begin(a_run())


def test_foreign_and_newer_files_are_refused(state_folder, a_run):
    fill(state_folder, a_run, 1)
    connection = sqlite3.connect(state_folder / "state.db", isolation_level=None)
    connection.execute("PRAGMA user_version=99")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="newer cicdctl"):
            open_state(state_folder, read_only=read_only)
    connection.execute("PRAGMA application_id=7")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="not written by cicdctl"):
            open_state(state_folder, read_only=read_only)
    connection.close()


def make_older(state_folder: Path, run: Run, version: int) -> None:
    """Write the state.db that a cicdctl of that version had left, with one run."""
    state_folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(state_folder / "state.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version}")
        columns = {row[1] for row in connection.execute("PRAGMA table_info(run)")}
        row = {"pipeline": run.pipeline, "commit_id": run.commit, "state": run.state, "verdict": run.verdict}
        row |= {"epoch": 0, "created_at": run.created_at, "document": msgspec.json.encode(run).decode()}
        row |= {name: value for name, value in (("tree", run.tree), ("ref", run.ref)) if name in columns}
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO run ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def tables(state_folder: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(state_folder / "state.db")) as connection:
        return set(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))


@pytest.mark.parametrize("version", range(1, LATEST))
def test_older_file_is_brought_up_to_date(state_folder, tmp_path, a_run, version):
    """It has the tables of a new one then, and its runs are found by what older versions had no column for."""
    ended = {"state": RunState.DONE, "verdict": Verdict.FAILED, "ref": "refs/heads/old", "tree": "e" * 40}
    make_older(state_folder, a_run(number=1, **ended), version)
    with pytest.raises(StoreError, match="older cicdctl"):
        open_state(state_folder, read_only=True)
    with open_state(state_folder) as state:
        for wanted in (RunFilter(ref="refs/heads/old"), RunFilter(tree="e" * 40), RunFilter(verdict=Verdict.FAILED)):
            assert [run.number for run in state.runs(wanted)] == [1]
        assert state.begin(a_run()).number == 2
    with open_state(tmp_path / "new"):
        pass
    assert tables(state_folder) == tables(tmp_path / "new")
    assert check_state(state_folder) == "ok"


def test_leftovers_of_a_creation_that_was_killed_do_no_harm(state_folder, a_run):
    state_folder.mkdir()
    for name in ("state.db.new", "state.db.new-wal", "state.db.new-journal"):
        (state_folder / name).write_bytes(b"half")
    with open_state(state_folder) as state:
        assert state.begin(a_run()).number == 1
    assert not list(state_folder.glob("state.db.new*"))


def test_odd_folder_names(tmp_path, a_run):
    folder = tmp_path / "a?b#c%41 ü"
    with open_state(folder) as state:
        state.begin(a_run())
        with open_state(folder, read_only=True) as reader:
            assert len(reader.runs(RunFilter())) == 1
    assert check_state(folder) == "ok"
    assert back_up_state(folder).parent == folder / "backups"


def test_file_in_the_way(tmp_path):
    (tmp_path / "cicdctl").write_text("")
    with pytest.raises(StoreError, match="not a folder"):
        open_state(tmp_path / "cicdctl")


READ_ONLY = """
import os, sys
from pathlib import Path
from cicdctl.errors import StoreError
from cicdctl.model import Run, RunFilter, RunState, Verdict
from cicdctl.store import open_state
folder = Path(sys.argv[1])
open_state(folder / "none", read_only=True).close()  # all is imported before the library may be out of reach
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
with open_state(folder, read_only=True) as state:
    print(len(state.runs(RunFilter())))
try:
    open_state(folder)
except StoreError as error:
    print(error.message); print(error.hint)
"""


def test_state_that_is_not_ours_to_write_can_be_read(a_run):
    import tempfile

    # Not below tmp_path: pytest's folders are closed to the other user that root turns into.
    top = Path(tempfile.mkdtemp())
    try:
        top.chmod(0o755)
        folder = top / "cicdctl"
        fill(folder, a_run, 2)
        (folder / "state.db").chmod(0o444)
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "2", done.stderr
        assert str(folder) in lines[1] and "yours to write" in lines[2]
    finally:
        (top / "cicdctl").chmod(0o700)
        shutil.rmtree(top)


def test_full_disk_is_told_and_survived(state_folder, start_python, a_run):
    """No write beyond 400 kB succeeds: the change fails as a whole, what was acknowledged stays."""
    source = """
import resource, sys
from pathlib import Path
from cicdctl.errors import StoreError
from cicdctl.model import *
from cicdctl.store import open_state
state = open_state(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
run = Run(number=0, pipeline="b", commit="c", tree="t", trigger=TriggerKind.MANUAL, state="starting", message="m" * 3000)
count = 0
try:
    while True:
        state.begin(run); count += 1
except StoreError as error:
    print(error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(count, state.begin(run).number)
"""
    process = start_python(source, state_folder)
    hint, numbers = process.communicate(timeout=30)[0].splitlines()
    assert "disk is full" in hint
    count, following = map(int, numbers.split())
    assert count > 5 and following == count + 1
    assert check_state(state_folder) == "ok"


MOUNTS = "36 35 {dev} / /mnt rw - {kind} server:/x rw\n22 1 0:0 / /proc rw - proc proc rw\n"


@pytest.mark.parametrize(
    ("kind", "is_refused"),
    [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("fuseblk", True), ("ext4", False), ("overlay", False),
     ("tmpfs", False), ("9p", False), ("fuse.fuse-overlayfs", False)],
)  # fmt: skip
def test_network_file_systems_are_refused(tmp_path, kind, is_refused):
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS.format(dev=f"{os.major(device)}:{os.minor(device)}", kind=kind))
    assert network_file_system(tmp_path, mountinfo=str(table)) == (kind if is_refused else None)
    if is_refused:
        with pytest.raises(StoreError, match=f"network file system \\({kind}\\)") as caught:
            refuse_network(tmp_path, "the saved runs", mountinfo=str(table))
        assert "local disk" in caught.value.hint
    else:
        refuse_network(tmp_path, "the saved runs", mountinfo=str(table))


def test_unknown_mounts_are_not_refused(tmp_path):
    assert network_file_system(tmp_path, mountinfo=str(tmp_path / "none")) is None
    assert network_file_system(tmp_path / "none") is None
    (tmp_path / "garbage").write_text("x\n - \n1 2\n")
    assert network_file_system(tmp_path, mountinfo=str(tmp_path / "garbage")) is None


def test_hot_path_imports_nothing_heavy(state_folder, start_python):
    source = """
import sys
from pathlib import Path
from cicdctl.store import open_state
open_state(Path(sys.argv[1])).close()
heavy = {"diskcache", "tomli_w", "tomllib", "tempfile", "asyncio", "dataclasses", "shutil",
         "subprocess", "concurrent.futures", "logging", "random"}
print(sorted(heavy & set(sys.modules)))
"""
    process = start_python(source, state_folder)
    assert process.communicate(timeout=30)[0] == "[]\n"


def test_descriptors_are_given_back(state_folder):
    open_state(state_folder).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        open_state(state_folder).close()
        open_state(state_folder, read_only=True).close()
    (state_folder / "state.db").write_bytes(b"")
    for read_only in (False, True):
        with pytest.raises(StoreError):
            open_state(state_folder, read_only=read_only)
    assert len(os.listdir("/proc/self/fd")) == before
