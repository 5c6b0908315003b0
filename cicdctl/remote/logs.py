"""Copies of logs that lie on a server: fetched when somebody wants to read them, as far as they have grown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from cicdctl.errors import StoreError
from cicdctl.model import RunSummary, StageResult, Verdict
from cicdctl.remote.client import Client, Unreachable
from cicdctl.runner.places import file_name, log_path
from cicdctl.store import OpenAttempt

MOST_BYTES = 8 * 2**30  # of all copies together: a server may send without an end
_RED = (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.ERROR)


class _TooLarge(StoreError):
    """There is more than anybody reads."""


class LogCopies:
    """Copies below a folder, at the places that results name. `wanted`: a stage, "" for all, None for none.

    The logs of stages that broke a run are always fetched: their last lines are shown.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        self.wanted: str | None = None
        self._client = client
        self._folder = folder
        self._whole: set[str] = set()
        self._bytes = 0

    def bring(self, summary: RunSummary, going_on: list[OpenAttempt]) -> None:
        """Fetch what is wanted of a run, and what has grown of it since."""
        number = summary.run.number
        for result in summary.stages:
            if self._wants(result):
                self._bring_ended(number, result)
        for opened in going_on:
            if self.wanted in ("", opened.stage) and opened.log is not None:
                for before in range(1, opened.number):
                    # Its last lines may have come since the last look, and it counts as ended now.
                    self._bring_whole(number, opened.stage, before, log_path(number, opened.stage, before))
                self._bring(number, opened.stage, opened.number, opened.log)

    def _wants(self, result: StageResult) -> bool:
        return self.wanted in ("", result.stage) or result.verdict in _RED

    def _bring_ended(self, number: int, result: StageResult) -> None:
        logs: list[tuple[int | None, str | None]] = [(attempt.number, attempt.log) for attempt in result.attempts]
        for attempt, log in logs or [(None, result.log)]:
            if log is not None:
                self._bring_whole(number, result.stage, attempt, log)

    def _bring_whole(self, number: int, stage: str, attempt: int | None, log: str) -> None:
        if log not in self._whole:
            self._bring(number, stage, attempt, log)
            self._whole.add(log)

    def _bring(self, number: int, stage: str, attempt: int | None, log: str) -> None:
        path = self._folder / log
        path.parent.mkdir(parents=True, exist_ok=True)
        offset = path.stat().st_size if path.exists() else 0
        query = "" if attempt is None else f"?attempt={attempt}"
        try:
            with path.open("ab") as file:
                for part in self._client.fetch(f"{log_address(number, stage)}/raw{query}", offset=offset):
                    self._bytes += len(part)
                    if self._bytes > MOST_BYTES:
                        raise _TooLarge(f"the logs of the server are larger than {MOST_BYTES} bytes")
                    file.write(part)
        except (Unreachable, _TooLarge):
            raise
        except StoreError:
            if offset:
                raise
            path.unlink()  # it has not begun, or was pruned: whoever reads it says so


def log_address(number: int, stage: str) -> str:
    """Return where a server has the log of a stage; `/raw` and `/stream` are below it."""
    return f"/api/runs/{number}/stages/{quote(file_name(stage), safe='=,')}/log"
