"""A log that is too long, a disk that is full, and how fast and how lean a writer is."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from cicdctl.store.log_reader import LogReader
from cicdctl.store.log_writer import LogWriter


def test_cap_ends_the_log_with_a_marker(tmp_path) -> None:
    with LogWriter(tmp_path / "a.log", cap_bytes=1000) as writer:
        for _ in range(10):
            writer.write(b"x" * 300)
        info = writer.close()

    assert info.truncated
    assert (tmp_path / "a.log").read_bytes() == (
        b"x" * 1000 + b"\n[cicdctl] log truncated: the limit of 1.0 kB is reached\n"
    )


def in_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, whose limits may be changed."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def test_file_size_limit_loses_output_and_says_so_later(tmp_path) -> None:
    """A limit that is lifted is a disk that gets room again: the stage never noticed, the log tells the gap."""
    code = """
        import resource, sys, time
        from pathlib import Path
        from cicdctl.store import log_writer
        log_writer._RETRY_S = 0.0
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        writer = log_writer.LogWriter(Path(sys.argv[1]))
        for number in range(200):
            writer.write(b"%099d\\n" % number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        writer.write(b"after\\n")
        print(writer.close().truncated)
    """
    assert in_child(code, str(tmp_path / "a.log")).stdout == "True\n"
    assert LogReader(tmp_path / "a.log").tail(3) == [
        b"%099d" % 99,
        b"[cicdctl] log truncated: disk full, 10.0 kB lost",
        b"after",
    ]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a file system; the limit above covers the rest")
def test_full_disk_for_real(tmp_path) -> None:
    """On a 256 kB tmpfs."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=False).returncode != 0:
        pytest.skip("mounting is not allowed in this container")
    try:
        writer = LogWriter(disk / "a.log")
        for _ in range(100):
            writer.write(b"y" * 9_999 + b"\n")
        ballast = (disk / "a.log").stat().st_size
        assert ballast < 256 * 1024
        info = writer.close()
        assert info.truncated
        assert info.size == (disk / "a.log").stat().st_size
    finally:
        subprocess.run(["umount", disk], check=True)


def test_log_survives_kill_to_the_last_write(tmp_path) -> None:
    """What was written is in the file without any close, and readers need no index for it."""
    code = """
        import os, signal, sys
        from pathlib import Path
        from cicdctl.store.log_writer import LogWriter
        writer = LogWriter(Path(sys.argv[1]))
        for number in range(1000):
            writer.write(b"line %d\\n" % number)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with pytest.raises(subprocess.CalledProcessError) as killed:
        in_child(code, str(tmp_path / "a.log"))
    assert killed.value.returncode == -signal.SIGKILL
    assert LogReader(tmp_path / "a.log").tail(1) == [b"line 999"]
    assert LogReader(tmp_path / "a.log").count() == 1000


def test_memory_stays_flat(tmp_path) -> None:
    chunk = b"x" * 65_536
    with LogWriter(tmp_path / "a.log") as writer:
        writer.write(chunk)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(500):
            writer.write(chunk)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096
    (tmp_path / "a.log").unlink()


@pytest.mark.campaign
def test_line_of_one_gigabyte(tmp_path) -> None:
    chunk = b"x" * 65_536
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with LogWriter(tmp_path / "a.log", cap_bytes=2**31) as writer:
        for _ in range(2**30 // len(chunk)):
            writer.write(chunk)
        writer.write(b"\nend\n")
    reader = LogReader(tmp_path / "a.log")
    assert reader.count() == 2**30 // 16_384 + 1
    assert reader.tail(1) == [b"end"]
    assert reader.window(40_000, 1) == b"x" * 16_384
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_768
    (tmp_path / "a.log").unlink()


@pytest.mark.campaign
def test_throughput(tmp_path) -> None:
    """500 MB in chunks of 64 KB with lines of 50 bytes; the bound is half of what a quiet machine does."""
    chunk = (b"x" * 49 + b"\n") * 1310
    count = 500_000_000 // len(chunk)
    with LogWriter(tmp_path / "a.log") as writer:
        began = time.perf_counter()
        for _ in range(count):
            writer.write(chunk)
        rate = count * len(chunk) / 1e6 / (time.perf_counter() - began)
    (tmp_path / "a.log").unlink()
    assert rate > 200, f"{rate:.0f} MB/s"
