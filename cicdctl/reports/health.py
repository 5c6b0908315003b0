"""Shows what `doctor` found."""

from __future__ import annotations

from collections.abc import Iterable

from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_document, print_lines
from cicdctl.reports.text import quoted
from cicdctl.runner.doctor import Finding

_MARKS = {"ok": "✓", "note": "·", "warning": "!", "fault": "✗"}


def print_findings(findings: Iterable[Finding], *, json: bool) -> int:
    """Print each finding with what to do. Returns 3 when one is a fault, else 0."""
    found = list(findings)
    if json:
        print_document("doctor", {"findings": every_field(found)})
    else:
        width = max(len(finding.subject) for finding in found)
        for finding in found:
            print_lines([f"{_MARKS[finding.level]} {finding.subject:<{width}}  {quoted(finding.text, limit=300)}"])
            if finding.hint:
                print_lines([f"  {'':<{width}}  → {quoted(finding.hint, limit=300)}"])
    return 3 if any(finding.level == "fault" for finding in found) else 0
