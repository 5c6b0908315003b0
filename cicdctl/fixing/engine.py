"""The states of a fix and the step that leads out of each. docs/self-healing.md draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from msgspec.structs import replace

from cicdctl.errors import CicdError
from cicdctl.fixing.attempt import attempt, choose_fixer
from cicdctl.fixing.offer import make_commit, publish
from cicdctl.fixing.proving import stage_candidate, verify
from cicdctl.fixing.understanding import check_flakiness, triage
from cicdctl.fixing.work import Ended, Work
from cicdctl.model.fix_record import FixOutcome, FixRecord, FixState
from cicdctl.model.fixing import FixStatus

# From the state a fix is in to what is done next. Each step ends in `advance` or `end`; each may be done twice.
STEPS: Mapping[FixState, Callable[[Work], None]] = {
    FixState.CAPTURED: triage,
    FixState.TRIAGED: check_flakiness,
    FixState.FLAKE_CHECK: check_flakiness,
    FixState.PLANNED: choose_fixer,
    FixState.PREPARED: attempt,
    FixState.GUARDED: stage_candidate,
    FixState.STAGED: verify,
    FixState.VERIFYING: verify,
    FixState.COMMITTED: make_commit,
    FixState.PUBLISHED: publish,
}


def heal(work: Work) -> FixRecord:
    """Lead a fix from where it stands to its outcome, and return it.

    What cannot be carried through, because git, the store or a runner fails, ends as `error` with the reason.
    Ctrl-C ends it as cancelled. Raises StaleFix when another process took it over.
    """
    _void_attempt(work)
    try:
        while True:
            work.stop_when_cancelled()
            STEPS[work.record.state](work)
    except Ended:
        pass
    except CicdError as error:
        # What is proved is not given up for a lock or a full disk: the next command goes on from here.
        if work.record.state not in (FixState.COMMITTED, FixState.PUBLISHED):
            _end_quietly(work, FixOutcome.ERROR, error.message)
        raise
    except KeyboardInterrupt:
        _end_quietly(work, FixOutcome.CANCELLED, "interrupted")
        raise
    return work.record


def _void_attempt(work: Work) -> None:
    """An attempt in whose midst the process died counts, and is worth nothing: what it did to the files is gone."""
    if work.record.state not in (FixState.PREPARED, FixState.APPLYING) or not work.record.attempts:
        return
    *earlier, last = work.record.attempts
    last = replace(last, status=FixStatus.ERROR, reason="its process died", void=True)
    work.advance(FixState.PLANNED, "the attempt is void: its process died", attempts=(*earlier, last))


def _end_quietly(work: Work, outcome: FixOutcome, reason: str) -> None:
    with suppress(Ended, CicdError):
        work.end(outcome, reason)
