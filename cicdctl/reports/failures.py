"""Explains a failure to people: what kind it is, where it is, what is new in the log, and what was left out."""

from __future__ import annotations

from cicdctl.model.fixing import Diagnostic, FailureBundle
from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_document, print_lines
from cicdctl.reports.text import clean_line, quoted
from cicdctl.units import count

MOST_SHOWN = 20
MOST_CHANGED = 10


def print_failure(bundle: FailureBundle, *, json: bool) -> int:
    """Print what is known of a failure. Returns exit status 0."""
    if json:
        print_document("failure", every_field(bundle))
        return 0
    lines = [
        f"{quoted(bundle.stage)} of run #{bundle.run}: {bundle.category}  {quoted(bundle.category_reason)}".rstrip()
    ]
    how = "no end in time" if bundle.timed_out else f"exit status {bundle.exit_code}"
    lines.append(f"  ended        {how} after {bundle.seconds:.1f} s, attempt {bundle.attempt}")
    lines += [f"  command      {quoted(command)}" for command in bundle.command]
    if bundle.inventory.counts:
        counts = bundle.inventory.counts
        words = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("failed", "passed", "skipped"))
        lines.append(f"  tests        {words}")
    lines.append(f"  failure      {bundle.signature[:12]}")
    if bundle.diagnostics:
        lines += ["", count(len(bundle.diagnostics), "complaint")]
        lines += [f"  {_place(one)}" for one in bundle.diagnostics[:MOST_SHOWN]]
        if len(bundle.diagnostics) > MOST_SHOWN:
            lines.append(f"  and {len(bundle.diagnostics) - MOST_SHOWN} more (--json has all)")
    for window in bundle.windows[:3]:
        lines += ["", f"{quoted(window.file)}:{window.start}-{window.end}"]
        marked = {one.line for one in bundle.diagnostics if one.file == window.file}
        marked |= {frame.line for one in bundle.diagnostics for frame in one.frames if frame.file == window.file}
        for number, line in enumerate(window.text.split("\n"), window.start):
            if any(mark is not None and abs(number - mark) <= 4 for mark in marked):
                lines.append(f"{'>' if number in marked else ' '} {number:5d}  {clean_line(line)}")
    if bundle.green_run is not None:
        changed = bundle.changed_since_green
        lines += ["", f"changed since #{bundle.green_run}, which passed: {count(len(changed), 'path')}"]
        lines += [f"  {quoted(path)}" for path in changed[:MOST_CHANGED]]
        if len(changed) > MOST_CHANGED:
            lines.append(f"  and {len(changed) - MOST_CHANGED} more")
    lines += ["", *map(clean_line, bundle.excerpt.split("\n"))]
    if bundle.redactions:
        hidden = ", ".join(f"{rule} {number}" for rule, number in sorted(bundle.redactions.items()))
        lines += ["", f"hidden: {hidden}"]
    print_lines(lines)
    return 0


def _place(one: Diagnostic) -> str:
    where = ":".join(str(part) for part in (one.file, one.line, one.column) if part is not None)
    parts = [where, f"[{one.code}]" if one.code else "", one.test_id or "", one.message]
    return quoted("  ".join(part for part in parts if part), limit=240)
