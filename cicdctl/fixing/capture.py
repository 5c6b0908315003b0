"""Makes a bundle out of what a failed stage left: its log, its reports, the code, and how it was when it passed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from msgspec.structs import replace

from cicdctl.fixing.diagnosis import diagnose
from cicdctl.fixing.excerpt import make_excerpt
from cicdctl.fixing.matchers import Found, Matcher, find_diagnostics
from cicdctl.fixing.normal_text import APART, cut_line, normal_lines, novel_lines, read_text
from cicdctl.fixing.own_files import OwnFiles
from cicdctl.fixing.redact import Redactor
from cicdctl.fixing.signature import make_signature
from cicdctl.model import Run, StageResult, TestFailure, Value, Verdict
from cicdctl.model.fixing import Diagnostic, FailureBundle, TestInventory
from cicdctl.units import format_duration

_MOST_DIAGNOSTICS = 200
_LONG_LINE_CHARS = 20_000
_MOST_SPAN_CHARS = 20_000
_SIGNAL = re.compile(r"signal (\d{1,3})")


class Evidence(Value, frozen=True, kw_only=True):
    """What is known before anything is looked into. `greens` are logs of the same stage from runs that passed.

    `documents` are decoded JSON reports that the stage left as files; `changed` are the paths that differ from the
    last green run.
    """

    run: Run
    result: StageResult
    log: bytes = b""
    greens: tuple[bytes, ...] = ()
    green_run: int | None = None
    commands: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    documents: tuple[Any, ...] = ()
    inventory: TestInventory = TestInventory()


def capture(
    evidence: Evidence, files: OwnFiles, redactor: Redactor, *, matchers: Sequence[Matcher] = ()
) -> FailureBundle:
    """Return what is known of the failure, every text redacted. Raises RedactionFailed: then nothing is known.

    `matchers` are those of plugins.
    Only what is shown is looked through for secrets, not the whole log; but a secret that spans lines, or is cut
    where a long line is cut, is looked for where it still is whole.
    """
    run, result = evidence.run, evidence.result
    lines = clean_lines(evidence.log, redactor)
    found = _with_reports(find_diagnostics(lines, documents=evidence.documents, matchers=matchers), result)
    found = replace(found, diagnostics=tuple(files.place(one) for one in found.diagnostics))
    greens = [normal_lines(read_text(green)) for green in evidence.greens]
    novel = novel_lines(lines, greens) if greens else None
    excerpt, stats = make_excerpt(
        lines, found, novel=novel, header=_header(evidence), show=lambda line: _short(line, redactor)
    )
    excerpt = redactor.text(excerpt)
    diagnostics = tuple(_redacted(one, lines, redactor) for one in found.diagnostics)
    category, reason = diagnose(result, diagnostics, lines)
    reason = redactor.text(reason)
    attempt = result.attempts[-1] if result.attempts else None
    killed = _SIGNAL.search((attempt.reason if attempt else None) or result.reason or "")
    inventory = evidence.inventory
    if inventory.source == "none" and found.counts:
        inventory = TestInventory(source="text", counts=found.counts, coverage=inventory.coverage)
    signature = make_signature(
        result.stage,
        diagnostics,
        is_ours=files.paths.__contains__,
        exit_code=result.exit_code,
        tail=[redactor.text(cut_line(line)) for line in _last(lines, 5)] if not diagnostics else (),
    )
    windows = tuple(files.windows(diagnostics, redactor.text))
    commands = tuple(redactor.text(command) for command in evidence.commands)
    changed = tuple(redactor.text(path) for path in evidence.changed)
    return FailureBundle(
        run=run.number,
        stage=result.stage,
        attempt=attempt.number if attempt else 0,
        base=run.commit,
        base_tree=run.tree,
        command=commands,
        exit_code=result.exit_code,
        signal=int(killed[1]) if killed and result.exit_code is None else None,
        timed_out=result.verdict is Verdict.TIMED_OUT,
        seconds=result.seconds,
        snapshot=run.snapshot,
        diagnostics=diagnostics,
        signature=signature,
        category=category,
        category_reason=reason,
        changed_since_green=changed,
        green_run=evidence.green_run,
        inventory=inventory,
        excerpt=excerpt,
        excerpt_stats=stats,
        redactions=redactor.counts,
        windows=windows,
    )


def clean_lines(raw: bytes, redactor: Redactor) -> list[str]:
    """Return the lines of a log, without private keys and secrets that overwriting would tear apart, but else as is."""
    text = read_text(raw)
    apart = "".join(letter for letter in APART if not redactor.knows(letter))
    lines = normal_lines(text, hides=redactor.holds_secret, apart=apart)
    if "-----BEGIN " in text:
        # The mark stands in one line: those of the key are left empty, so that the numbers stay.
        lines = _without_keys(lines, redactor)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def distil(output: bytes, redactor: Redactor, *, limit: int) -> str:
    """Return what a program wrote, clean and redacted: all of it, or what explains a failure within `limit` characters.

    Raises RedactionFailed.
    """
    lines = clean_lines(output, redactor)
    if sum(map(len, lines)) + len(lines) <= limit:
        return redactor.text("\n".join(lines))
    found = find_diagnostics(lines)
    excerpt, _ = make_excerpt(lines, found, novel=None, show=lambda line: _short(line, redactor), limit=limit)
    return redactor.text(excerpt)


def _last(lines: Sequence[str], count: int) -> list[str]:
    """Return the last lines that are not empty."""
    return list(islice((line for line in reversed(lines) if line.strip()), count))[::-1]


def _without_keys(lines: list[str], redactor: Redactor) -> list[str]:
    begin: int | None = None
    for at, line in enumerate(lines):
        if begin is None and "-----BEGIN " in line and "PRIVATE KEY" in line:
            begin = at
        if begin is not None and ("-----END " in line or at - begin >= 200 or at == len(lines) - 1):
            block = "\n".join(lines[begin : at + 1])
            hidden = redactor.text(block).split("\n")
            lines[begin : at + 1] = [*hidden, *[""] * (at + 1 - begin - len(hidden))]
            begin = None
    return lines


def _header(evidence: Evidence) -> list[str]:
    """Say what ran, and how it ended."""
    result = evidence.result
    shown = [line for command in evidence.commands for line in command.splitlines() if line.strip()]
    more = [f"… {len(shown) - 8} more lines"] if len(shown) > 8 else []
    how = "timed out" if result.verdict is Verdict.TIMED_OUT else f"exit {result.exit_code}"
    if result.exit_code is None and result.verdict is not Verdict.TIMED_OUT:
        how = result.reason or str(result.verdict)
    commands = [f"$ {cut_line(line, most=300)}" for line in shown[:8]]
    return [*commands, *more, f"{how} after {format_duration(result.seconds)}"]


def _short(line: str, redactor: Redactor) -> str:
    """Cut a line that is too long, after what would be torn apart is hidden."""
    if len(line) <= 2000:
        return line
    if len(line) > 2 * _LONG_LINE_CHARS:
        left = len(line) - 2000
        head, tail = redactor.text(line[:_LONG_LINE_CHARS]), redactor.text(line[-_LONG_LINE_CHARS:])
        return f"{head[:1000]} [… {left} characters …] {tail[-1000:]}"
    return cut_line(redactor.text(line))


def _redacted(one: Diagnostic, lines: Sequence[str], redactor: Redactor) -> Diagnostic:
    """Hide what the lines it stands in give away; a message alone may not tell that it holds a secret."""
    if one.log_span is not None:
        span = "\n".join(line[:2000] for line in lines[one.log_span[0] - 1 : one.log_span[1]])
        redactor.text(span[:_MOST_SPAN_CHARS])
    hide = redactor.text
    frames = tuple(
        replace(frame, file=hide(frame.file), function=frame.function and hide(frame.function)) for frame in one.frames
    )
    return replace(
        one,
        tool=hide(one.tool),
        code=one.code and hide(one.code),
        message=hide(one.message),
        file=one.file and hide(one.file),
        test_id=one.test_id and hide(one.test_id),
        frames=frames,
    )


def _with_reports(found: Found, result: StageResult) -> Found:
    """Add the failed tests of JUnit reports that the log does not tell of."""
    if result.tests is None:
        return found
    known = {_last_name(one.test_id) for one in found.diagnostics if one.test_id}
    told = list(_of_tests(failure for failure in result.tests.failures if _last_name(failure.name) not in known))
    return replace(found, diagnostics=(*found.diagnostics, *told)[:_MOST_DIAGNOSTICS])


def _of_tests(failures: Iterable[TestFailure]) -> Iterable[Diagnostic]:
    for failure in failures:
        message = next((line.strip() for line in failure.message.splitlines() if line.strip()), "")
        yield Diagnostic(
            tool="junit", kind="test", message=message[:500], file=failure.file, line=failure.line, test_id=failure.name
        )


def _last_name(test_id: str) -> str:
    """Return the name of a test without those of its files and classes."""
    return re.split(r"::|[./›]| > ", test_id.partition("[")[0])[-1].strip()
