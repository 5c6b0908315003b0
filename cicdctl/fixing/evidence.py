"""What the journal keeps of a fix beside its states: bundle, proof, patches, transcripts."""

from __future__ import annotations

import msgspec

from cicdctl.errors import StoreError
from cicdctl.model.fixing import FailureBundle, FixResult
from cicdctl.store import FixJournal

BUNDLE = "bundle"
PROOF = "proof"


def save_bundle(journal: FixJournal, id: str, bundle: FailureBundle) -> None:
    """Keep what is known of the failure."""
    journal.put_document(id, BUNDLE, msgspec.json.encode(bundle, order="sorted").decode())


def has_bundle(journal: FixJournal, id: str) -> bool:
    """Whether what is known of the failure was kept before its process died."""
    return journal.document(id, BUNDLE) is not None


def load_bundle(journal: FixJournal, id: str) -> FailureBundle:
    """Give what is known of the failure. Raises StoreError when it is missing or damaged."""
    text = journal.document(id, BUNDLE)
    try:
        return msgspec.json.decode(text or "", type=FailureBundle)
    except msgspec.DecodeError as error:
        raise StoreError(f"what was known of the failure of fix {id} cannot be read: {error}") from error


def save_attempt(journal: FixJournal, id: str, number: int, result: FixResult, diff: str) -> None:
    """Keep what a fixer said and did in one attempt."""
    journal.put_document(id, f"attempt/{number}/diff", diff)
    if result.transcript:
        journal.put_document(id, f"attempt/{number}/transcript", "\n".join(result.transcript))


def attempt_diff(journal: FixJournal, id: str, number: int) -> str:
    """Give the patch of one attempt; empty when it made none."""
    return journal.document(id, f"attempt/{number}/diff") or ""
