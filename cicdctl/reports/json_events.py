"""The reports for programs: a stream of events, one JSON object a line, or one document at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from cicdctl.model import Plan, Run, RunSummary, StageResult
from cicdctl.plugin_api import hookimpl
from cicdctl.reports.document import run_document, stage_document, versioned
from cicdctl.reports.output import Voice

EventSink = Callable[[Mapping[str, Any]], object]


class EventReport:
    """Hands each event of a run to `sink`, in order, from whichever thread it comes."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()

    @hookimpl
    def cicdctl_run_started(self, run: Run, plan: Plan) -> None:
        self._tell("run_started", run=run.number, stages=[planned.id for planned in plan.stages])

    @hookimpl
    def cicdctl_stage_started(self, run: Run, stage: str, attempt: int) -> None:
        self._tell("stage_started", run=run.number, stage=stage, attempt=attempt)

    @hookimpl
    def cicdctl_stage_finished(self, run: Run, result: StageResult) -> None:
        self._tell("stage_finished", run=run.number, result=stage_document(result))

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        verdict = summary.run.verdict
        self._tell("run_finished", run=summary.run.number, verdict=verdict.value if verdict else None)

    @hookimpl
    def cicdctl_warning(self, text: str) -> None:
        self._tell("warning", text=text)

    def close(self) -> None:
        """Keep the sink open: it belongs to whoever gave it."""

    def _tell(self, kind: str, **facts: Any) -> None:
        with self._lock:
            self._sink({"event": kind, "at": round(time.time(), 3), **facts})


class DocumentReport(EventReport):
    """Prints one versioned document when the run has ended: the run, its stages, its events."""

    def __init__(self) -> None:
        self._events: list[Mapping[str, Any]] = []
        self._voice = Voice(sys.stdout)
        super().__init__(self._events.append)

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        super().cicdctl_run_finished(summary)
        self._voice.say(versioned("run", {**run_document(summary), "events": self._events}))

    def close(self) -> None:
        """Raise BrokenPipeError when nobody has read the document."""
        self._voice.close()


def line_sink(write: Callable[[str], object]) -> EventSink:
    """Return a sink that writes each event as one line of JSON, as long as somebody reads them."""

    def sink(event: Mapping[str, Any]) -> None:
        with suppress(BrokenPipeError):
            write(msgspec.json.encode({"version": 1, **event}).decode() + "\n")

    return sink
