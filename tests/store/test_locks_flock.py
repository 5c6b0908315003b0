"""Locks die with their holder, tell people who holds them, and never need a hand."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cicdctl.errors import StoreError
from cicdctl.store.locks import holder_pid, is_locked, lock, take_turn

HOLD = """
import sys, time
from pathlib import Path
from cicdctl.store import lock
held = lock(Path(sys.argv[1]), blocking=True)
print("held", flush=True)
time.sleep(60)
"""


def test_second_holder_is_refused_until_the_first_lets_go(tmp_path):
    path = tmp_path / "locks" / "run-1"
    first = lock(path, blocking=False)
    assert first is not None and first.is_held

    assert lock(path, blocking=False) is None
    first.release()
    first.release()

    again = lock(path, blocking=False)
    assert again is not None
    again.release()


def test_killed_holder_leaves_the_lock_free(tmp_path, start_python):
    path = tmp_path / "run-1"
    process = start_python(HOLD, path)
    assert process.stdout.readline() == "held\n"
    assert lock(path, blocking=False) is None
    text = is_locked(path)
    assert text is not None and f"pid {process.pid} on " in text

    process.kill()
    process.wait()

    assert is_locked(path) is None
    with lock(path, blocking=False) as held:
        assert held.is_held


def test_programs_that_are_started_do_not_inherit_it(tmp_path):
    path = tmp_path / "run-1"
    with lock(path, blocking=True):
        child = subprocess.Popen(["sleep", "20"])
    try:
        assert is_locked(path) is None
    finally:
        child.kill()
        child.wait()


def test_looking_changes_nothing(tmp_path):
    path = tmp_path / "nobody"
    assert is_locked(path) is None
    assert not path.exists()
    with lock(path, blocking=True):
        before = path.read_bytes()
        assert is_locked(path).encode() == before.strip()
        assert path.read_bytes() == before


def test_looking_all_the_time_stops_nobody(tmp_path):
    """A probe holds the lock for a moment; who wants it without waiting must not be told it is taken."""
    path = tmp_path / "run-1"
    lock(path, blocking=True).release()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            is_locked(path)
            time.sleep(0.0005)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(150):
            held = lock(path, blocking=False)
            assert held is not None
            held.release()
    finally:
        stop.set()
        watcher.join()


def test_waiting_ends_when_the_holder_does(tmp_path):
    path = tmp_path / "run-1"
    first = lock(path, blocking=True)
    got = []
    waiter = threading.Thread(target=lambda: got.append(lock(path, blocking=True)))
    waiter.start()
    time.sleep(0.05)
    assert not got
    first.release()
    waiter.join(5)
    assert got[0].is_held
    got[0].release()


def test_lock_on_a_removed_name_is_not_given(tmp_path):
    """Whoever waited on a file that was deleted meanwhile locks the one that is there now."""
    path = tmp_path / "run-1"
    first = lock(path, blocking=True)
    got = []
    waiter = threading.Thread(target=lambda: got.append(lock(path, blocking=True)))
    waiter.start()
    time.sleep(0.05)
    path.unlink()
    first.release()
    waiter.join(5)
    assert path.exists()
    assert lock(path, blocking=False) is None
    got[0].release()


def test_files_are_private_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        lock(tmp_path / "locks" / "a", blocking=True).release()
        os.umask(0o777)
        lock(tmp_path / "locks2" / "a", blocking=True).release()
    finally:
        os.umask(old)
    for name in ("locks", "locks2"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert (tmp_path / name / "a").stat().st_mode & 0o777 == 0o600


def test_link_in_the_place_of_the_lock_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "run-1").symlink_to(victim)
    with pytest.raises(StoreError, match="cannot open lock"):
        lock(tmp_path / "run-1", blocking=True)
    assert victim.read_text() == "mine"


def test_stopped_holder_is_named_after_the_patience(tmp_path, start_python):
    path = tmp_path / "state.lock"
    process = start_python(HOLD, path)
    process.stdout.readline()
    assert holder_pid(path) == process.pid
    fd = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(StoreError, match=f"held for 0 s by pid {process.pid}"):
            take_turn(fd, path, timeout_s=0.05)
    finally:
        os.close(fd)


def test_file_in_the_way_of_the_folder(tmp_path):
    Path(tmp_path / "locks").write_text("")
    with pytest.raises(StoreError) as caught:
        lock(tmp_path / "locks" / "run-1", blocking=True)
    assert caught.value.hint
