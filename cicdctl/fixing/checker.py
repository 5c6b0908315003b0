"""How the engine has stages run: it starts nothing itself, and is handed somebody who starts ordinary runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cicdctl.model import RunSummary


class Checker(Protocol):
    """Runs the pipeline of the run that is being fixed on other commits."""

    def record(self, commit: str, *, stages: tuple[str, ...], confined: bool, may_reuse: bool) -> int:
        """Record a run of a commit, which executes nothing yet; return its number.

        Without `stages` it is the whole pipeline. `confined`: what a model wrote runs without secrets and network.
        `may_reuse`: stages before may come from the cache. Raises CicdError when it cannot run at all.
        """

    def finish(self, number: int, *, deadline: float, cancelled: Callable[[], bool]) -> RunSummary:
        """See a recorded run through, whoever began it; start it when nobody has.

        It is cancelled at `deadline` (`time.monotonic()`) or when `cancelled()` is true.
        """
