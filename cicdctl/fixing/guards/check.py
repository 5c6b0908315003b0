"""Asks every guard of a candidate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from cicdctl.fixing.defang import defang_line
from cicdctl.fixing.guards.brace_code import find_in_braces
from cicdctl.fixing.guards.dangers import find_dangers
from cicdctl.fixing.guards.evasions import find_evasions
from cicdctl.fixing.guards.examples import find_changed_examples
from cicdctl.fixing.guards.hidden_letters import find_hidden_letters
from cicdctl.fixing.guards.patch import MOST_LINE, MOST_TEXT, ChangedFile, GuardPolicy, Patch
from cicdctl.fixing.guards.python_code import find_in_python
from cicdctl.fixing.guards.shape import find_in_paths, find_in_shape
from cicdctl.fixing.guards.special_cases import find_special_cases
from cicdctl.fixing.guards.undisguised import plainer
from cicdctl.fixing.redact import Redactor
from cicdctl.git import Repository
from cicdctl.model.fixing import Candidate, FailureBundle, GuardFinding

MOST_FINDINGS = 50
_ORDER = {"block": 0, "needs_approval": 1, "note": 2}
_PIECE = re.compile(r"[^\s'\"`,;:=()\[\]{}<>]+")


def check_guards(
    candidate: Candidate, repository: Repository, *, bundle: FailureBundle, policy: GuardPolicy, redactor: Redactor
) -> tuple[GuardFinding, ...]:
    """Return what the guards find, blocks first, at most 50. Their texts, which quote the patch, hold no secret and
    do nothing where they are shown.

    Pure but for reading the candidate's blobs. Raises GitError, RedactionFailed.
    """
    patch = Patch(candidate=candidate, files=tuple(ChangedFile(repository, file) for file in candidate.files))
    for file in patch.files:
        file.plainer = plainer(file)
    found = [
        *candidate.refused,
        *find_in_paths(patch, policy, bundle),
        *find_in_shape(patch, policy),
        *find_evasions(patch),
        *find_in_python(patch, bundle),
        *find_in_braces(patch),
        *find_dangers(patch),
        *find_special_cases(patch, bundle, repository),
        *find_changed_examples(patch),
        *find_hidden_letters(patch),
        *_secrets(patch, redactor),
    ]
    ordered = sorted(dict.fromkeys(found), key=lambda one: _ORDER[one.level])[:MOST_FINDINGS]
    return tuple(replace(one, text=defang_line(redactor.text(one.text), MOST_TEXT)) for one in ordered)


def _secrets(patch: Patch, redactor: Redactor) -> Iterator[GuardFinding]:
    for file in patch.files:
        # What stood there before, perhaps in other quotes, is not this patch's doing.
        lines = [
            (number, line[:MOST_LINE])
            for number, line in file.added
            if not all(piece in file.old for piece in _PIECE.findall(line))
        ]
        # At once first: line by line a large file would take half a minute.
        if redactor.holds_secret("\n".join(line for _, line in lines)):
            found = next((number for number, line in lines if redactor.holds_secret(line)), lines[0][0])
            yield file.finding("secrets", "block", "it holds what looks like a secret", found)
