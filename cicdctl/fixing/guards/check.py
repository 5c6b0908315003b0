"""Asks every guard of a candidate."""

from __future__ import annotations

from collections.abc import Iterator

from cicdctl.fixing.guards.dangers import find_dangers
from cicdctl.fixing.guards.evasions import find_evasions
from cicdctl.fixing.guards.patch import ChangedFile, GuardPolicy, Patch
from cicdctl.fixing.guards.python_code import find_in_python
from cicdctl.fixing.guards.shape import find_in_paths, find_in_shape
from cicdctl.fixing.redact import Redactor
from cicdctl.git import Repository
from cicdctl.model.fixing import Candidate, FailureBundle, GuardFinding

MOST_FINDINGS = 50


def check_guards(
    candidate: Candidate, repository: Repository, *, bundle: FailureBundle, policy: GuardPolicy, redactor: Redactor
) -> tuple[GuardFinding, ...]:
    """Return what the guards find, blocks first, at most 50. Pure but for reading the candidate's blobs."""
    patch = Patch(candidate=candidate, files=tuple(ChangedFile(repository, file) for file in candidate.files))
    found = [
        *find_in_paths(patch, policy),
        *find_in_shape(patch, policy),
        *find_evasions(patch),
        *find_in_python(patch),
        *find_dangers(patch, bundle),
        *_secrets(patch, redactor),
    ]
    order = {"block": 0, "needs_approval": 1, "note": 2}
    return tuple(sorted(dict.fromkeys(found), key=lambda one: order[one.level])[:MOST_FINDINGS])


def _secrets(patch: Patch, redactor: Redactor) -> Iterator[GuardFinding]:
    for file in patch.files:
        for number, line in file.added:
            if redactor.holds_secret(line):
                yield file.finding("secrets", "block", "it holds what looks like a secret", number)
                break
