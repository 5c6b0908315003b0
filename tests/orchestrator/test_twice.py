"""One push is told of by a hook, a forge and a look at git, in any order: it is recorded once."""

from __future__ import annotations

import pytest

from cicdctl.model import RunFilter
from cicdctl.orchestrator.change import Change
from cicdctl.orchestrator.intake import take_in
from cicdctl.project import open_project
from cicdctl.project_config import Invocation

MAIN = "refs/heads/main"
CONFIG = """
[pipelines.newest]
trigger = "on_commit"
[pipelines.newest.stages]
unit = "true"
[pipelines.each]
trigger = "on_commit"
concurrency = { group = "each {branch}", on_superseded = "queue" }
[pipelines.each.stages]
unit = "true"
[orchestrator]
trust = { refs = ["**"] }
"""


@pytest.fixture
def pushed(make_project):
    """A repository that is watched, its branch at the second of two new commits; gives all three."""
    folder = make_project(CONFIG)
    with open_project(Invocation(directory=folder.path, environ=folder.env)) as project:
        first = folder.git("rev-parse", "HEAD")
        take_in(project, [Change(ref=MAIN, old=None, new=first)])
        second = folder.commit("second")
        yield project, folder, first, second


def recorded(project, commit: str) -> list[str]:
    return sorted(f"{run.pipeline} {run.verdict}" for run in project.state.runs(RunFilter(commit=commit, limit=100)))


def test_what_is_told_after_its_ref_has_moved_on_is_known(pushed):
    """A look has found it, the ref went on, then the hook tells: it is neither run nor recorded once more."""
    project, folder, first, second = pushed
    take_in(project, [Change(ref=MAIN, old=None, new=None)])
    assert recorded(project, second) == ["each None", "newest None"]
    third = folder.commit("third")
    for _ in range(2):
        take_in(project, [Change(ref=MAIN, old=first, new=second)])
    take_in(project, [Change(ref=MAIN, old=second, new=third)])
    assert recorded(project, second) == ["each None", "newest cancelled"]
    assert recorded(project, third) == ["each None", "newest None"]


def test_what_nobody_looked_at_is_recorded_by_the_first_who_tells(pushed):
    """The ref has left it already: superseded, or queued where each has to run; the second who tells changes nothing."""
    project, folder, first, second = pushed
    folder.commit("third")
    for _ in range(2):
        take_in(project, [Change(ref=MAIN, old=first, new=second)])
    assert recorded(project, second) == ["each None", "newest cancelled"]


def test_two_who_decide_at_once(pushed):
    """One reads the state, the other records first: the slower decides anew."""
    project, folder, first, second = pushed
    with open_project(Invocation(directory=folder.path, environ=folder.env)) as other:
        folder.commit("third")
        late = [Change(ref=MAIN, old=first, new=second)]
        accept = project.state.queue.accept

        def accept_later(arrival):
            project.state.queue.accept = accept
            folder.git("update-ref", MAIN, second)
            take_in(other, [Change(ref=MAIN, old=None, new=None)])
            return accept(arrival)

        project.state.queue.accept = accept_later
        take_in(project, late)
    assert recorded(project, second) == ["each None", "newest None"]
