"""Real processes, and ways to find every one of them again."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cicdctl.process import Exit, ProcessSpec, Sandbox, run_process

_numbers = count(1)


class Stage:
    """Builds and runs the specification of one stage, and finds the processes that its scripts started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = next(_numbers)
        self.mark = f"test-{os.getpid()}/{self.number}/stage/1"
        # How long the sleeps of a script last is how they are recognised, whatever became of their environment.
        self.tag = f"9{os.getpid():07d}{self.number:04d}"
        self.output = bytearray()

    def spec(self, script: str, **given: Any) -> ProcessSpec:
        env = {"PATH": os.environ["PATH"], "TAG": self.tag, **given.pop("env", {})}
        given.setdefault("cwd", self.folder)
        return ProcessSpec(argv=("/bin/sh", "-c", script), env=env, mark=self.mark, **given)

    def run(self, script: str, control: Any = None, **given: Any) -> Exit:
        return run_process(self.spec(script, **given), self.output.extend, control)

    def alive(self) -> list[int]:
        """Pids, zombies aside, whose arguments carry our tag."""
        return find_processes(self.tag)

    @staticmethod
    def wait_for(holds: Callable[[], object], timeout_s: float = 5.0) -> None:
        """Wait until something is true, which must be soon."""
        end = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < end, "it did not come true in time"
            time.sleep(0.005)


def find_processes(tag: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if tag.encode() in file.read():
                    found.append(int(name))
        except OSError:
            continue
    return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    folder = tmp_path / "worktree"
    folder.mkdir()
    made = Stage(folder)
    yield made
    with contextlib.suppress(AssertionError):
        made.wait_for(lambda: not made.alive(), 0.5)
    left = made.alive()
    for pid in left:
        os.kill(pid, 9)
    assert left == [], "the stage left processes behind"


@pytest.fixture
def other_stage(tmp_path: Path) -> Iterator[Stage]:
    folder = tmp_path / "other"
    folder.mkdir()
    made = Stage(folder)
    yield made
    with contextlib.suppress(AssertionError):
        made.wait_for(lambda: not made.alive(), 0.5)
    left = made.alive()
    for pid in left:
        os.kill(pid, 9)
    assert left == [], "the stage left processes behind"


@pytest.fixture
def boxed(tmp_path: Path) -> dict[str, Any]:
    """What a specification needs to run in a sandbox that may write into its own folder only."""
    return {"sandbox": Sandbox(writable=(tmp_path,))}
