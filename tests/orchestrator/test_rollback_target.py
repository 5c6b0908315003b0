"""What a rollback goes back to, told by the history of an environment alone."""

from __future__ import annotations

from cicdctl.model import Deployment, Verdict
from cicdctl.orchestrator.rollback import find_target


def history(*told: str) -> list[Deployment]:
    """Make a history, newest first, of words in order: `A` deployed commit A, `-A` failed to, `~A` only in part.

    `A<2` is a rollback that deployed what run 2 had, and undid the run before it.
    """
    made = []
    for number, word in enumerate(told, 1):
        commit, back, restores = word.lstrip("-~").partition("<")
        made.append(
            Deployment(
                environment="production",
                run=number,
                pipeline="deploy",
                commit=commit,
                verdict=Verdict.FAILED if word.startswith("-") else Verdict.PASSED,
                is_partial=word.startswith("~"),
                restores=int(restores) if back else None,
                undoes=number - 1 if back else None,
            )
        )
    return made[::-1]


def target(*told: str) -> int | None:
    found = find_target(history(*told))
    return None if found is None else found.run


def test_the_last_good_one_before_the_current():
    assert target() is None
    assert target("A") is None
    assert target("A", "B") == 1
    assert target("A", "B", "-C") == 2
    assert target("A", "-B", "-C") == 1
    assert target("-A", "-B") is None
    assert target("A", "~B", "-C") == 1


def test_after_a_good_one_something_else():
    assert target("A", "B", "B") == 1
    assert target("A", "B", "-B") == 2


def test_again_goes_further_back():
    assert target("A", "B", "C", "B<2") == 1
    assert target("A", "B", "A<1") is None
    assert target("A", "B", "A<1", "C") == 3


def test_who_went_forward_again_can_go_back_again():
    assert target("A", "B", "A<1", "B<2") == 3


def test_a_rollback_that_failed_is_tried_again():
    assert target("A", "-B", "-A<1") == 1
