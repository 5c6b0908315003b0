"""Reads the log of a stage, within limits."""

from __future__ import annotations

import os
import stat

from cicdctl.fixing.normal_text import HEAD_BYTES, TAIL_BYTES
from cicdctl.model import StageResult
from cicdctl.project import Project


def read_stage_log(project: Project, result: StageResult, *, limit: int = HEAD_BYTES + TAIL_BYTES) -> bytes:
    """Read head and tail of a log; nothing when there is none, or a stage has put a link or a pipe in its place."""
    if result.log is None:
        return b""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(project.state_folder / result.log, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return b""
            if facts.st_size <= limit:
                return file.read(limit)
            head = file.read(limit // 16)
            tail = limit - len(head)
            gap = facts.st_size - limit
            file.seek(facts.st_size - tail)
            return head + f"\n[… {gap} bytes left out …]\n".encode() + file.read(tail)
    except OSError:
        return b""
