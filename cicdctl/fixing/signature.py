"""Names a failure, so that equal ones are recognised: in another run, after a fix, tomorrow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from cicdctl.fixing.normal_text import template
from cicdctl.model.fixing import Diagnostic, Frame

MOST_DIAGNOSTICS = 50


def make_signature(
    stage: str,
    diagnostics: Iterable[Diagnostic],
    *,
    is_ours: Callable[[str], bool],
    exit_code: int | None,
    tail: Iterable[str] = (),
) -> str:
    """Return a sha256 over the stage and what was complained about, without numbers, times and paths of the day.

    Without diagnostics the exit code and the last lines stand for them. `is_ours` says of a file whether the
    repository has it.
    """
    seen = sorted(
        {
            (one.tool, one.kind, one.code or "", one.test_id or "", template(one.message)[:200], _top(one, is_ours))
            for one in diagnostics
        }
    )
    document: list[object] = [stage, seen[:MOST_DIAGNOSTICS]]
    if not seen:
        document.append([exit_code, [template(line)[:200] for line in tail]])
    return hashlib.sha256(msgspec.json.encode(document)).hexdigest()


def _top(diagnostic: Diagnostic, is_ours: Callable[[str], bool]) -> str:
    """The innermost frame that is the repository's own, as `file:function`; else the file."""
    own: list[Frame] = [frame for frame in diagnostic.frames if is_ours(frame.file)]
    if own:
        return f"{own[-1].file}:{own[-1].function or ''}"
    return diagnostic.file if diagnostic.file is not None and is_ours(diagnostic.file) else ""
