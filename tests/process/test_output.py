"""Output of any size and content, in bounded memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cicdctl.process import run_process

if TYPE_CHECKING:
    from conftest import Stage

MEGABYTE = 1_000_000


def test_bytes_are_handed_over_as_they_came(stage: Stage) -> None:
    stage.run(r"printf 'a\000b\377\376\r\n\303'")

    assert bytes(stage.output) == b"a\0b\xff\xfe\r\n\xc3"


@pytest.mark.parametrize("size", [64 * MEGABYTE, pytest.param(1000 * MEGABYTE, marks=pytest.mark.campaign)])
def test_one_endless_line_grows_no_memory(size: int, stage: Stage) -> None:
    seen = 0

    def take(chunk: bytes) -> None:
        nonlocal seen
        seen += len(chunk)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = run_process(stage.spec(f"head -c {size} /dev/zero | tr '\\0' x"), take)

    assert (seen, ended.exit_code) == (size, 0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 32 * MEGABYTE


def test_pump_is_fast(stage: Stage) -> None:
    seen = []
    started = time.monotonic()
    run_process(stage.spec(f"head -c {200 * MEGABYTE} /dev/zero"), lambda chunk: seen.append(len(chunk)))

    assert sum(seen) == 200 * MEGABYTE
    assert time.monotonic() - started < 4, "50 MB/s on a busy machine; an idle one does hundreds"


def test_idle_pump_uses_no_cpu(stage: Stage) -> None:
    before = time.thread_time()
    stage.run("sleep 0.5; : $TAG")

    assert time.thread_time() - before < 0.05


def test_reader_gets_lines_while_the_program_runs(stage: Stage) -> None:
    times = []
    run_process(stage.spec("echo 1; sleep 0.2; echo 2"), lambda chunk: times.append((chunk, time.monotonic())))

    assert [chunk for chunk, _ in times] == [b"1\n", b"2\n"]
    assert times[1][1] - times[0][1] > 0.15


def test_library_is_light_until_something_runs() -> None:
    script = "import sys, cicdctl.process, cicdctl.masking; print({'subprocess', 'ctypes', 'socket', 'json'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
