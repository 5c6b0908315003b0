"""The three standard streams of a command: open, encodable, and written out before it ends."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from cicdctl.errors import CicdError


def flush_output() -> None:
    """Write out what is buffered while a failure can still become a status and a message."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise CicdError(f"cannot write the output: {error.strerror}") from error


def silence(*streams: TextIO) -> None:
    """Let what is still written to these go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


def prepare_streams() -> None:
    """Open what was closed when we were started (`>&-`), or a database would get its number and be written to.

    What an output cannot show in its encoding is escaped there: it still tells how a run ended.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r+", encoding="utf-8"))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
