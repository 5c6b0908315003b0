"""The monitors of one repository: which one looks, at what address, under which names refs are seen."""

from __future__ import annotations

from queue import SimpleQueue

from cicdctl.git.remotes import read_address
from cicdctl.kinds import MonitorKind, read_options
from cicdctl.orchestrator.change import THIS_REPOSITORY
from cicdctl.orchestrator.hearing import Hearing
from cicdctl.orchestrator.looking import (
    LIMIT_S,
    SOONEST_ELSEWHERE_S,
    SOONEST_HERE_S,
    Look,
    Looker,
    MonitorState,
)
from cicdctl.orchestrator.mirrors import mirrored_address, monitor_mark
from cicdctl.orchestrator.sightings import source_of
from cicdctl.project import Project


class Senses:
    """What monitors see is put into `inbox`. `address` is what a mirror is of, with credentials.

    `is_here`: whatever the settings say, the repository that is opened is the one to look at. `hearing` knows what
    forges have told.
    """

    def __init__(
        self,
        inbox: SimpleQueue[Look | None],
        *,
        address: str | None = None,
        is_here: bool = False,
        hearing: Hearing | None = None,
    ) -> None:
        self._inbox = inbox
        self._hearing = hearing or Hearing()
        self._address = address
        self._is_here = is_here
        self._lookers: dict[str, Looker] = {}
        self._project: Project | None = None
        self._has_processes = False

    def start(self, project: Project) -> None:
        """Begin to look. Raises ConfigError when nobody provides the monitor, GitError for a wrong address."""
        settings = project.settings.orchestrator
        name, kind = find_monitor(project)
        mirrored = self._mirrored(project)
        is_here = self._is_here or mirrored is not None
        source = THIS_REPOSITORY if is_here else source_of(project)
        address = mirrored or _written_address(project, source)
        self._project, self._has_processes = project, bool(address)
        end_monitors(project)  # of an orchestrator that was killed

        def open_monitor() -> object:
            written = settings.monitoring.options
            if name == "polling":
                known = project.state.queue.seen(source)
                written = {"url": address, "mirror": mirrored is not None, "known": known}
            return kind.open(read_options(kind, written, where="orchestrator.monitoring.options"))

        looker = Looker(
            name,
            source,
            open_monitor,  # type: ignore[arg-type]
            self._inbox,
            interval_s=lambda: self._hearing.interval_s(settings),
            limit_s=None if name == "polling" else LIMIT_S,
            soonest_s=SOONEST_ELSEWHERE_S if address else SOONEST_HERE_S,
            heard=self._hearing.newest_waiting,
        )
        self._lookers[source] = looker
        looker.start()

    def describe(self, project: Project) -> str:
        """Say what is looked at, and where it is kept when it is elsewhere."""
        folder = project.repository.work_tree or project.repository.git_dir
        elsewhere = mirrored_address(project.repository) or ("" if self._is_here else source_of(project))
        return f"{elsewhere} in {folder}" if elsewhere else str(folder)

    def states(self) -> tuple[MonitorState, ...]:
        """Say how the monitors fare. Safe from any thread."""
        return tuple(looker.state for looker in tuple(self._lookers.values()))

    def look_anew(self, source: str) -> None:
        """Have what was seen of a source compared with the state once more."""
        looker = self._lookers.get(source)
        if looker is not None:
            looker.look_now(anew=True)

    def look_now(self) -> None:
        """Look without waiting for the interval. Safe from any thread."""
        for looker in tuple(self._lookers.values()):
            looker.look_now()

    def end(self) -> None:
        """Stop looking; the processes of looks that go on are ended."""
        for looker in self._lookers.values():
            looker.end()
        self._lookers.clear()
        if self._project is not None and self._has_processes:
            end_monitors(self._project)
        self._project = None

    def _mirrored(self, project: Project) -> str | None:
        """Return what this repository is a mirror of, with the credentials that somebody gives for it."""
        plain = mirrored_address(project.repository)
        named = self._address or project.settings.project.repository
        if plain is None or named is None or read_address(named).plain != plain:
            return plain
        return named


def find_monitor(project: Project) -> tuple[str, MonitorKind]:
    """Return the kind that is to look. Raises ConfigError when nobody provides it."""
    method = project.settings.orchestrator.monitoring.method
    # Webhooks are heard by the server; what they miss is found by looking.
    name = "polling" if method == "webhook" else method
    kind = project.plugins.find("cicdctl_monitors", name, where="orchestrator.monitoring.method")
    assert isinstance(kind, MonitorKind)
    return name, kind


def end_monitors(project: Project) -> None:
    """Kill the processes of this repository's monitors."""
    from cicdctl.process import sweep

    sweep(monitor_mark(project.repository))


def _written_address(project: Project, source: str) -> str:
    """Return the address as it is written, with credentials; a path as it was found."""
    named = project.settings.project.repository
    if source == THIS_REPOSITORY or named is None:
        return source
    return named if read_address(named).plain == source else source
