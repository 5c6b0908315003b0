"""Output of the stages as it comes, whole lines, each with the stage before it. On stderr: results are on stdout."""

from __future__ import annotations

import sys
import threading

from cicdctl.model import Run, StageResult
from cicdctl.plugin_api import hookimpl
from cicdctl.reports.text import clean_line


class StreamReport:
    """Keeps the unfinished line of each stage until its end comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rest: dict[str, bytes] = {}

    @hookimpl
    def cicdctl_stage_output(self, run: Run, stage: str, chunk: bytes) -> None:
        with self._lock:
            *whole, rest = (self._rest.get(stage, b"") + chunk).split(b"\n")
            self._rest[stage] = rest[-65536:]
            for line in whole:
                print(f"{stage} | {clean_line(line)}", file=sys.stderr)

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        with self._lock:
            rest = self._rest.pop(result.stage, b"")
            if rest:
                print(f"{result.stage} | {clean_line(rest)}", file=sys.stderr)
