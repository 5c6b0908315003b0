"""Finds the commit that broke a stage: a search over recorded verdicts and runs of commits, several at once."""

from __future__ import annotations

from cicdctl.runner.bisect.hunt import find_culprit
from cicdctl.runner.bisect.values import (
    Answer,
    Begun,
    BisectRequest,
    Dropped,
    Ending,
    Event,
    Failed,
    Judged,
    Outcome,
    PathChange,
    Started,
    Tried,
)

__all__ = [
    "Answer",
    "Begun",
    "BisectRequest",
    "Dropped",
    "Ending",
    "Event",
    "Failed",
    "Judged",
    "Outcome",
    "PathChange",
    "Started",
    "Tried",
    "find_culprit",
]
