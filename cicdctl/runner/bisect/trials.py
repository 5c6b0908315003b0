"""Runs of single commits, several at once, each in a runner of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

from cicdctl.model import Run, RunSummary
from cicdctl.project import Project
from cicdctl.runner.begin import record
from cicdctl.runner.bisect.values import Dropped, Event, Started
from cicdctl.runner.bisect.verdicts import Look
from cicdctl.runner.detach import runner_argv
from cicdctl.runner.recovery import settle


class Trials:
    """What runs at this moment. Leaves nothing behind: `close` ends it and closes the books."""

    def __init__(
        self,
        project: Project,
        *,
        at_once: int,
        tell: Callable[[Event], None],
        wait_for_room: Callable[[], object] = lambda: None,
    ) -> None:
        self._project = project
        self._at_once = at_once
        self._tell = tell
        self._wait_for_room = wait_for_room
        self._begun: list[tuple[Look, Run]] = []
        self._dropped: set[int] = set()
        self.running: dict[str, Run] = {}

    @property
    def free(self) -> int:
        """How many more may begin now."""
        return self._at_once - len(self.running)

    @property
    def count(self) -> int:
        """How many have begun so far."""
        return len(self._begun)

    def run(self, following: Callable[[], Look | None]) -> Generator[tuple[Look, RunSummary], None, None]:
        """Run what `following` names, and yield each as it ends. It is asked whenever one more may begin.

        Ends when it named nothing and all have ended; what became worth trying since is for another call.
        """
        from cicdctl.process import own_environ, run_children

        first = len(self._begun)
        children = run_children(
            self._begin_each(following),
            cwd=self._project.repository.common_dir,
            env=own_environ(self._project.environ),
            at_once=self._at_once,
        )
        try:
            for place, _, output in children:
                lines = output.decode("utf-8", "replace").strip().splitlines()
                look, run = self._begun[first + place]
                del self.running[look.commit.oid]
                summary = settle(self._project, run, lines[-1] if lines else "its runner did not start")
                if run.number in self._dropped:
                    self._tell(Dropped(commit=look.commit, run=summary.run))
                else:
                    yield look, summary
        finally:
            children.close()
            while self.running:
                settle(self._project, self.running.popitem()[1], "interrupted", interrupted=True)

    def drop(self, oid: str) -> None:
        """End a run of which nothing can be learned any more."""
        run = self.running[oid]
        if run.number not in self._dropped:
            self._dropped.add(run.number)
            self._project.state.request_cancel(run.number, "bisect has no use for it any more")

    def _begin_each(self, following: Callable[[], Look | None]) -> Iterator[Sequence[str]]:
        while (look := following()) is not None:
            assert look.prepared is not None
            self._wait_for_room()
            run = record(self._project, look.prepared)
            self._begun.append((look, run))
            self.running[look.commit.oid] = run
            self._tell(Started(commit=look.commit, run=run))
            yield runner_argv(self._project, run)
