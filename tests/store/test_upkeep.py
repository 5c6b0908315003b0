"""Backups when they are due, and room for the last words of a run on a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from cicdctl.errors import StoreError
from cicdctl.store import back_up_state, check_state, keep_state, last_backup, lock, open_state
from cicdctl.store.ballast import BALLAST_BYTES, keep_ballast, release_ballast

HOUR_S = 3600


def test_backup_is_made_when_it_is_due(state_folder, a_run):
    now = time.time()
    assert keep_state(state_folder, now) is None
    assert not state_folder.exists(), "nothing is made for a repository without runs"
    with open_state(state_folder) as state:
        state.begin(a_run())
        first = keep_state(state_folder, now)
        assert first is not None and first == last_backup(state_folder)
        state.begin(a_run())
        assert keep_state(state_folder, now + HOUR_S / 2) is None, "too soon"
        second = keep_state(state_folder, now + HOUR_S + 1)
        assert second is not None and second > first
        assert keep_state(state_folder, now + 3 * HOUR_S) is None, "nothing was saved since"
        os.utime(second, (now + 9 * HOUR_S, now + 9 * HOUR_S))
        state.begin(a_run())
        assert keep_state(state_folder, now + HOUR_S) is None
    assert check_state(state_folder) == "ok"


def test_clock_that_was_set_back_does_not_put_backups_off(state_folder, a_run):
    with open_state(state_folder) as state:
        state.begin(a_run())
        made = back_up_state(state_folder)
        state.begin(a_run())
        os.utime(made, (time.time() - 1, time.time() - 1))
        assert keep_state(state_folder, time.time() - 100 * HOUR_S) is not None


def test_who_comes_second_makes_no_backup(state_folder, a_run):
    with open_state(state_folder) as state:
        state.begin(a_run())
        held = lock(state_folder / "backups" / "lock", blocking=True)
        assert held is not None
        with held:
            assert keep_state(state_folder, time.time()) is None
        assert keep_state(state_folder, time.time()) is not None


def test_ballast_is_held_and_private(state_folder, a_run):
    with open_state(state_folder) as state:
        state.begin(a_run())
    keep_state(state_folder, time.time())
    ballast = state_folder / "ballast"
    found = ballast.stat()
    assert (found.st_size, found.st_mode & 0o777) == (BALLAST_BYTES, 0o600)
    assert found.st_blocks * 512 >= BALLAST_BYTES, "a file with a hole holds nothing"

    ballast.write_bytes(b"cut")
    keep_state(state_folder, time.time())
    assert ballast.stat().st_size == BALLAST_BYTES
    assert release_ballast(state_folder)
    assert not release_ballast(state_folder)


def test_state_folder_that_cannot_be_written_is_told(state_folder, a_run):
    with open_state(state_folder) as state:
        state.begin(a_run())
    (state_folder / "ballast").mkdir()
    with pytest.raises(StoreError, match="cannot hold back space"):
        keep_state(state_folder, time.time())


FULL = """
import errno, os, sys, time
from pathlib import Path
from cicdctl.errors import StoreError
from cicdctl.model import *
from cicdctl.store import *
disk = Path(sys.argv[1])
folder = disk / "cicdctl"
run = Run(number=0, pipeline="b", commit="c", tree="t", trigger=TriggerKind.MANUAL, state="starting", created_at=1.0)

def fill():
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC

state = open_state(folder)
begun = state.begin(run)
keep_state(folder, time.time())
print((folder / "ballast").exists())
fill()
try:
    while True:
        state.begin(run)  # until the last pages SQLite has are used up
except StoreError as error:
    print(error.hint, (folder / "ballast").exists())
done = RunChanged(state=RunState.DONE, verdict=Verdict.FAILED, reason="r" * 100_000)
state.apply([done], run=begun.number, epoch=1)
print(state.load(begun.number).run.verdict, (folder / "ballast").exists())
keep_state(folder, time.time())
print((folder / "ballast").exists())
(disk / "filler").unlink()
keep_state(folder, time.time())
print((folder / "ballast").exists())
state.close()
print(check_state(folder))
"""


def test_end_of_a_run_is_stored_on_a_full_disk(tmp_path):
    """On a tmpfs of 96 MB, in a mount namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=96m none "$1" && echo mounted && exec "$2" -c "$3" "$1"'
    argv = ["unshare", "-rm", "sh", "-c", script, "sh", str(disk), sys.executable, FULL]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "mounted" not in done.stdout:
        pytest.skip("nothing can be mounted here")

    assert done.stdout.splitlines()[1:] == [
        "True",
        "free some space, for example with `cicdctl cache gc` True",
        "failed False",
        "False",
        "True",
        "ok",
    ], done.stderr


def test_little_room_is_not_taken(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    code = "import sys; from pathlib import Path; from cicdctl.store.ballast import keep_ballast; keep_ballast(Path(sys.argv[1]))"
    script = 'mount -t tmpfs -o size=20m none "$1" && echo mounted && "$2" -c "$3" "$1" && ls "$1"'
    argv = ["unshare", "-rm", "sh", "-c", script, "sh", str(disk), sys.executable, code]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "mounted" not in done.stdout:
        pytest.skip("nothing can be mounted here")

    assert (done.stdout, done.stderr) == ("mounted\n", "")
    keep_ballast(tmp_path)
    assert (tmp_path / "ballast").exists()
