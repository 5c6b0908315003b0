"""The evidence of a fix as one canonical document; its digest is a trailer of the commit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from cicdctl.model.fix_record import FixRecord
from cicdctl.model.fixing import SCHEMA, Verification

TRAILER = "Cicdctl-Proof:"


def make_proof(record: FixRecord, *, ended_at: float, config_sha256: str, kind: str, version: str) -> str:
    """Return the proof: what was changed, by whom, what was found and what was verified. It names the tree."""
    candidate, result = record.candidate, record.result
    assert candidate is not None
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "run": record.run,
        "stage": record.stage,
        "base": record.base,
        "base_tree": record.base_tree,
        "tree": candidate.tree,
        "fixer": {"name": record.fixer, "kind": kind, "version": version},
        "model": record.usage.model,
        "endpoint": record.usage.endpoint,
        "prompt_sha256": result.prompt_sha256 if result else None,
        "config_sha256": config_sha256,
        "tool_versions": dict(result.tool_versions) if result else {},
        "diff_sha256": candidate.diff_sha256,
        "files": candidate.files,
        "findings": record.findings,
        "verification": record.verification or Verification(),
        "cost_usd": round(record.usage.cost_usd, 6),
        "tokens": {
            "input": record.usage.input_tokens,
            "output": record.usage.output_tokens,
            "cache_read": record.usage.cache_read_tokens,
            "cache_write": record.usage.cache_write_tokens,
        },
        "request_ids": list(record.usage.request_ids),
        "attempts": len(record.attempts),
        "started": record.created_at,
        "ended": ended_at,
    }
    return canonical(document)


def canonical(document: Any) -> str:
    """Return a document as the one text that its digest is made of: sorted keys, sets too, no blanks.

    Every field of a value is in it, also one that is as it mostly is: a proof does not leave open what it claims.
    """
    return msgspec.json.encode(_whole(document), order="sorted").decode()


def digest_of(proof: str) -> str:
    """Return a proof's digest as the trailer has it."""
    return "sha256:" + hashlib.sha256(proof.encode()).hexdigest()


def _whole(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _whole(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value
