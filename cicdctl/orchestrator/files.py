"""Runs pipelines on the working tree whenever its files have changed, until somebody ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from cicdctl.config import Config
from cicdctl.errors import CicdError
from cicdctl.model import Run, RunState, RunSummary, TriggerKind, Value, Verdict
from cicdctl.process import account_name
from cicdctl.project import Project
from cicdctl.runner import RunRequest, recover, start_detached_run
from cicdctl.runner.pins import let_go
from cicdctl.runner.prepare import find_pipeline

LOOK_S = 0.3
MOST_SHARE = 0.1  # of the time, spent on looking: a large tree is looked at less often
SETTLE_S = 0.15  # an editor writes a file in more than one step
POLL_S = 0.05
SUPERSEDED = "superseded: the files have changed"


class Seen(Value, frozen=True, kw_only=True):
    """What happened: a run that began or ended, or a problem that the next change of a file may solve."""

    began: Run | None = None
    ended: RunSummary | None = None
    problem: CicdError | None = None


class FileWatch:
    """Looks at the files and runs what they start, one run at a time; a change ends the one that goes on.

    `names` are the pipelines to run, none: those with `on_commit`. What comes `after_` one runs when it has passed.
    What deploys has to be named: nobody wants each saved file in production.
    `open` gives the project, anew for each state of the files, for its configuration is one of them.
    """

    def __init__(self, open: Callable[[], Project], names: Sequence[str]) -> None:
        self._open = open
        self._project = open()
        self._names = tuple(names)
        self._tree: str | None = None
        self._pause_s = LOOK_S
        self._running: int | None = None

    def close(self) -> None:
        """End the run that goes on, and let go of everything."""
        if self._running is not None:
            self._project.state.request_cancel(self._running, "nobody watches any more")
        self._project.close()

    def events(self) -> Iterator[Seen]:
        """Yield what happens, for ever; begins with the files as they are. Raises GitError without a working tree."""
        while True:
            tree = self._wait_for_change()
            self._tree = tree
            try:
                fresh = self._open()
                self._project.close()
                self._project = fresh
                yield from self._run_all()
            except CicdError as error:
                yield Seen(problem=error)

    def _wait_for_change(self) -> str:
        """Return the tree of the files once it is another one and has settled."""
        while True:
            tree = self._look()
            if tree is not None and tree != self._tree:
                time.sleep(SETTLE_S)
                if self._look() == tree:
                    return tree
            else:
                time.sleep(self._pause_s)

    def _look(self) -> str | None:
        """Return the tree of the files; None while they cannot be taken, as in the middle of a merge."""
        if self._project.repository.work_tree is None:
            self._project.repository.snapshot()  # says what is wrong
        began = time.monotonic()
        try:
            snapshot = self._project.repository.snapshot()
        except CicdError:
            return None
        finally:
            self._pause_s = max(LOOK_S, (time.monotonic() - began) / MOST_SHARE)
        if snapshot.dirty:
            let_go(self._project, snapshot.commit.oid)
        return snapshot.commit.tree

    def _run_all(self) -> Iterator[Seen]:
        config = self._config()
        wanted = list(self._names) or [
            found.name
            for found in config.pipelines
            if found.trigger.kind is TriggerKind.COMMIT and found.environment is None
        ]
        for name in wanted:
            find_pipeline(config, name)
        while wanted:
            name = wanted.pop(0)
            run = start_detached_run(self._project, RunRequest(pipeline=name, started_by=account_name()))
            self._running = run.number
            yield Seen(began=run)
            summary = self._follow(run)
            yield Seen(ended=summary)
            if summary.run.reason == SUPERSEDED:
                return
            if summary.run.verdict is Verdict.PASSED:
                followers = [found for found in config.pipelines if found.trigger.after == name]
                after = [found.name for found in followers if found.environment is None]
                wanted = [*after, *(other for other in wanted if other not in after)]

    def _config(self) -> Config:
        config = self._project.configuration.working
        if config is None:
            raise CicdError("there is no .cicd.toml in the working tree", hint="cicdctl init writes one")
        return config

    def _follow(self, run: Run) -> RunSummary:
        """Wait for the end of a run; once the files have changed, ask for it."""
        next_look = time.monotonic() + LOOK_S
        asked = False
        while True:
            summary = self._project.state.load(run.number)
            assert summary is not None
            if summary.run.state is RunState.DONE:
                self._running = None
                return summary
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + self._pause_s
                recover(self._project)
                tree = None if asked else self._look()
                if tree is not None and tree != self._tree:
                    asked = self._project.state.request_cancel(run.number, SUPERSEDED)
            time.sleep(POLL_S)
