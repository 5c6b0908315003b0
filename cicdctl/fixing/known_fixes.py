"""Patches that were proved before: the same failure of the same files needs no second conversation."""

from __future__ import annotations

import msgspec

from cicdctl.errors import CicdError
from cicdctl.fixing.evidence import PROOF
from cicdctl.fixing.work import OpenFixer, Work
from cicdctl.model.fix_record import FixOutcome, FixRecord

_PROVED = (FixOutcome.FIXED, FixOutcome.WAITING_FOR_APPROVAL)


def find_known(work: Work, fixer: OpenFixer) -> FixRecord | None:
    """Return an earlier fix by this model of the same failure in the same tree; None when it has to be asked.

    Commands are quick, and always run. Whoever insists on another try, or names another model, gets one.
    """
    record, options = work.record, work.options
    was_tried = any(one.fixer == fixer.name and not one.void for one in record.attempts[:-1])
    if not fixer.is_ai or options.again or was_tried:
        return None
    for other in work.project.fixes.alike(record.signature, 0.0):
        if (
            other.id != record.id
            and (other.base_tree, other.fixer, other.rejection) == (record.base_tree, fixer.name, None)
            and other.outcome in _PROVED
            and options.model in (None, other.usage.model)
            and _version_of(work, other) == fixer.fixer.version
            and _is_kept(work, other)
        ):
            return other
    return None


def _version_of(work: Work, other: FixRecord) -> str | None:
    proof = work.project.fixes.document(other.id, PROOF)
    return str(msgspec.json.decode(proof)["fixer"]["version"]) if proof is not None else None


def _is_kept(work: Work, other: FixRecord) -> bool:
    """Whether git still has what the fix made; a branch that was deleted takes it along some day."""
    if other.candidate is None or other.result is None:
        return False
    repository = work.project.repository
    try:
        repository.read_object(other.candidate.tree)
        for file in other.candidate.files:
            if file.new_blob is not None:
                repository.read_object(file.new_blob)
    except CicdError:
        return False
    return True
