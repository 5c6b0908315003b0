"""The matcher `shellcheck`: what shellcheck complains about in its own format, on which line of which script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from cicdctl.plugin_api import Diagnostic, MatcherKind, hookimpl

_PLACE = re.compile(r"^In (.{1,500}) line (\d{1,9}):$")
_COMPLAINT = re.compile(r"^( *)\^-*\^?(?:--)? (SC\d{4}) \((?:error|warning|info|style)\): (.+)$")


def find(lines: Sequence[str]) -> Iterator[Diagnostic]:
    """Yield the complaints below each `In FILE line N:`, which each of them begins with."""
    file, line, heading = "", 0, 0
    for number, text in enumerate(lines, 1):
        if place := _PLACE.match(text):
            file, line, heading = place[1], int(place[2]), number
        elif file and (complaint := _COMPLAINT.match(text)):
            yield Diagnostic(
                tool="shellcheck",
                kind="lint",
                message=complaint[3],
                file=file,
                line=line,
                column=len(complaint[1]) + 1,
                code=complaint[2],
                log_span=(heading, number),
            )


@hookimpl
def cicdctl_matchers() -> list[MatcherKind]:
    return [MatcherKind(name="shellcheck", marks=("SC1", "SC2", "SC3"), find=find)]
