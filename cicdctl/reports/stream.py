"""Output of the stages as it comes, whole lines, each with the stage before it. On stderr: results are on stdout."""

from __future__ import annotations

import sys
import threading

from cicdctl.model import Run, StageResult
from cicdctl.plugin_api import hookimpl
from cicdctl.reports.output import Voice
from cicdctl.reports.text import LineSplitter, clean_line, quoted


class StreamReport:
    """Keeps the unfinished line of each stage until its end comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._voice = Voice(sys.stderr)
        self._splitters: dict[str, LineSplitter] = {}

    @hookimpl
    def cicdctl_stage_output(self, run: Run, stage: str, chunk: bytes) -> None:
        with self._lock:
            lines = self._splitters.setdefault(stage, LineSplitter()).feed(chunk)
            if lines:
                # One write a chunk: a stage that prints millions of lines waits for who shows them.
                before = f"{quoted(stage)} | "
                self._voice.say("\n".join([before + clean_line(line) for line in lines]))

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        with self._lock:
            splitter = self._splitters.pop(result.stage, None)
            rest = splitter.rest() if splitter is not None else b""
            if rest:
                self._voice.say(f"{quoted(result.stage)} | {clean_line(rest)}")

    def close(self) -> None:
        """Raise BrokenPipeError when the reader went away before the end."""
        self._voice.close()
