"""Where the server of a repository answers, for those who start it and those who ask."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FILE = "server.url"


@contextmanager
def tell_address(folder: Path, address: str) -> Iterator[None]:
    """Write down in a state folder where this process answers, for as long as it does."""
    path = folder / _FILE
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(f"{os.getpid()} {address}\n", encoding="utf-8")
    aside.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_address(folder: Path, pid: int, *, patience_s: float = 5.0) -> str | None:
    """Return where the process `pid`, which may just have started, answers; None when it does not say so in time."""
    end = time.monotonic() + patience_s
    while True:
        try:
            found, _, address = (folder / _FILE).read_text(encoding="utf-8").strip().partition(" ")
        except OSError:
            found, address = "", ""
        if found == str(pid):
            return address
        if time.monotonic() > end:
            return None
        time.sleep(0.02)
