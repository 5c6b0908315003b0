"""Shows what is known of a failure: first what is wrong, then what it is known from."""

from __future__ import annotations

from collections.abc import Iterator

from cicdctl.fixing.excerpt import place_of
from cicdctl.model.fixing import Diagnostic, FailureBundle, TestInventory
from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_document, print_lines
from cicdctl.reports.text import quoted
from cicdctl.units import format_duration

CATEGORIES = {
    "code": "the code is wrong, or a test of it",
    "lint": "a linter or formatter complains; a command can mostly repair that",
    "lock": "a lock file does not fit its manifest",
    "config": "something the stage needs is not there",
    "infra": "not the code: the machine or the network",
    "flaky": "it fails now and then",
    "pre_existing": "it failed before this change already",
    "unknown": "of unknown kind",
}
MOST_DIAGNOSTICS = 20
MOST_CHANGED = 20
MOST_FRAMES = 6
MOST_LINE = 400


def print_failure(bundle: FailureBundle, *, json: bool) -> int:
    """Print one bundle. Returns exit status 0."""
    if json:
        print_document("failure", every_field(bundle))
        return 0
    print_lines(_head(bundle))
    print_lines(_diagnostics(bundle))
    print_lines(_windows(bundle))
    print_lines(_changed(bundle))
    print_lines(["", "The log, what matters of it", *_indented(bundle.excerpt)])
    print_lines(["", *_left_out(bundle)])
    return 0


def _head(bundle: FailureBundle) -> Iterator[str]:
    how = "failed"
    if bundle.timed_out:
        how = "timed out"
    elif bundle.signal is not None:
        how = f"killed by signal {bundle.signal}"
    elif bundle.exit_code is not None:
        how = f"exit {bundle.exit_code}"
    where = "the working tree (changed)" if bundle.snapshot else bundle.base[:10]
    yield f"{quoted(bundle.stage)} of run #{bundle.run} on {where}: {how} after {format_duration(bundle.seconds)}"
    yield f"  {bundle.category}: {CATEGORIES[bundle.category]}"
    if bundle.category_reason:
        yield f"  {quoted(bundle.category_reason, limit=MOST_LINE)}"
    tests = _tests(bundle.inventory)
    if tests:
        yield f"  tests   {tests}"
    yield f"  failure {bundle.signature[:12]}"


def _tests(inventory: TestInventory) -> str:
    counts = inventory.counts
    return ", ".join(f"{counts[name]} {name}" for name in ("failed", "passed", "skipped") if counts.get(name))


def _diagnostics(bundle: FailureBundle) -> Iterator[str]:
    if not bundle.diagnostics:
        yield from ("", "No complaint of a tool we know stands in the log.")
        return
    yield from ("", "What is complained about")
    for one in bundle.diagnostics[:MOST_DIAGNOSTICS]:
        yield from _diagnostic(one)
    more = len(bundle.diagnostics) - MOST_DIAGNOSTICS
    if more > 0:
        yield f"  and {more} more"


def _diagnostic(one: Diagnostic) -> Iterator[str]:
    code = f" [{one.code}]" if one.code and one.code not in one.message else ""
    place = f"{quoted(place_of(one), limit=MOST_LINE)}: " if one.file else ""
    message = quoted(one.message or one.test_id or one.tool, limit=MOST_LINE)
    yield f"  {place}{message}{quoted(code)}  ({quoted(one.tool)})"
    if one.test_id:
        yield f"    test {quoted(one.test_id, limit=MOST_LINE)}"
    for frame in one.frames[-MOST_FRAMES:] if len(one.frames) > 1 else ():
        function = f" in {frame.function}" if frame.function else ""
        yield f"    {quoted(f'{frame.file}:{frame.line}{function}', limit=MOST_LINE)}"


def _windows(bundle: FailureBundle) -> Iterator[str]:
    marked = {(one.file, one.line) for one in bundle.diagnostics}
    marked |= {(frame.file, frame.line) for one in bundle.diagnostics for frame in one.frames}
    for window in bundle.windows:
        yield from ("", f"{quoted(window.file)}, lines {window.start} to {window.end}")
        width = len(str(window.end))
        for number, line in enumerate(window.text.split("\n"), window.start):
            mark = ">" if (window.file, number) in marked else " "
            yield f"  {mark} {number:>{width}}  {quoted(line.expandtabs(4), limit=MOST_LINE)}".rstrip()


def _changed(bundle: FailureBundle) -> Iterator[str]:
    if bundle.green_run is None:
        yield from ("", "It has not passed before, so there is nothing to compare with.")
        return
    changed = bundle.changed_since_green
    if not changed:
        yield from ("", f"No file has changed since it passed in #{bundle.green_run}.")
        return
    yield from ("", f"Changed since it passed in #{bundle.green_run}")
    places = {one.file for one in bundle.diagnostics}
    places |= {frame.file for one in bundle.diagnostics for frame in one.frames}
    # Those that are complained about first.
    for path in sorted(changed, key=lambda path: (path not in places, path))[:MOST_CHANGED]:
        yield f"  {'>' if path in places else ' '} {quoted(path)}"
    if len(changed) > MOST_CHANGED:
        yield f"    and {len(changed) - MOST_CHANGED} more"


def _indented(text: str) -> Iterator[str]:
    return (f"  {quoted(line, limit=2_100)}".rstrip() for line in text.split("\n"))


def _left_out(bundle: FailureBundle) -> Iterator[str]:
    stats = bundle.excerpt_stats
    if stats.dropped:
        share = 100 * stats.kept / (stats.kept + stats.dropped)
        stage = quoted(bundle.stage)
        yield f"Shown are {stats.kept} characters of the log ({share:.1f} %);"
        yield f"cicdctl logs {bundle.run} {stage} prints it all."
    if bundle.redactions:
        found = ", ".join(f"{count} {quoted(rule)}" for rule, count in bundle.redactions.items())
        total = sum(bundle.redactions.values())
        yield f"Hidden {'is 1 value' if total == 1 else f'are {total} values'}: {found}."
