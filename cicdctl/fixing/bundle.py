"""Gathers everything that is known of a failed stage: its log made short, what it complains about, what has changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from cicdctl.errors import CicdError
from cicdctl.fixing.diagnosis import diagnose
from cicdctl.fixing.excerpt import make_excerpt
from cicdctl.fixing.inventory import inventory_of
from cicdctl.fixing.matchers import find_diagnostics
from cicdctl.fixing.normal_text import HEAD_BYTES, TAIL_BYTES, normal_lines, read_text, template
from cicdctl.fixing.paths import SECRETS
from cicdctl.fixing.redact import SECRET_NAME, Redactor
from cicdctl.fixing.signature import make_signature
from cicdctl.git import compile_globs
from cicdctl.model import Run, RunFilter, RunSummary, StageResult, TriggerKind, Verdict
from cicdctl.model.fixing import CodeWindow, Diagnostic, FailureBundle, TestInventory
from cicdctl.project import Project

MOST_WINDOWS = 12
WINDOW_LINES = 20
MOST_WINDOW_CHARS = 16_000
MOST_FILE_BYTES = 400_000
GREEN_LOGS = 3
MOST_CHANGED = 500


def capture_failure(project: Project, summary: RunSummary, result: StageResult) -> FailureBundle:
    """Return what is known of a failed stage, with every secret taken out. Raises RedactionFailed, StoreError."""
    run = summary.run
    redactor = make_redactor(project, run)
    lines = _clean_log(project, result, redactor)
    found = find_diagnostics(lines)
    paths = {entry.path.decode("utf-8", "replace") for entry in project.repository.walk(run.tree)}
    diagnostics = tuple(_located(one, paths) for one in found.diagnostics)
    greens = list(_green_runs(project, run, result.stage))
    known = {template(line) for _, green in greens for line in _clean_log(project, green, redactor)}
    excerpt, stats = make_excerpt(lines, found, known=known, has_green=bool(greens))
    category, reason = diagnose(result, diagnostics, lines)
    signature = make_signature(
        result.stage,
        diagnostics,
        is_ours=paths.__contains__,
        exit_code=result.exit_code,
        tail=[line for line in lines if line.strip()][-5:],
    )
    attempt = result.attempts[-1] if result.attempts else None
    inventory = inventory_of(project, result)
    if inventory.source == "none" and found.counts:
        inventory = TestInventory(source="text", counts=found.counts, coverage=inventory.coverage)
    green = greens[0][0] if greens else None
    return FailureBundle(
        run=run.number,
        stage=result.stage,
        attempt=attempt.number if attempt else 0,
        base=run.commit,
        base_tree=run.tree,
        command=_commands(project, run, result.stage, redactor),
        exit_code=result.exit_code,
        signal=9 if attempt is not None and "signal 9" in (attempt.reason or "") else None,
        timed_out=result.verdict is Verdict.TIMED_OUT,
        seconds=result.seconds,
        snapshot=run.snapshot,
        diagnostics=diagnostics,
        signature=signature,
        category=category,
        category_reason=reason,
        changed_since_green=_changed(project, green, run, redactor),
        green_run=green.number if green else None,
        inventory=inventory,
        excerpt=excerpt,
        excerpt_stats=stats,
        redactions=dict(redactor.counts),
        windows=tuple(_windows(project, run, diagnostics, paths, redactor)),
    )


def make_redactor(project: Project, run: Run) -> Redactor:
    """Return what hides the secrets of this repository and of whoever runs it."""
    values = {name: value for name, value in project.environ.items() if SECRET_NAME.search(name) and len(value) >= 6}
    try:
        values |= project.secrets.get(project.secrets.list(), {})[0]
    except CicdError as error:
        project.warn(f"secrets cannot be read, so only what looks like one is hidden: {error.message}")
    paths: frozenset[str] | None = None

    def is_tracked(text: str) -> bool:
        nonlocal paths
        if paths is None:
            names = (entry.path.decode("utf-8", "replace") for entry in project.repository.walk(run.tree))
            paths = frozenset(part for name in names for part in (name, *name.split("/")))
        return text in paths

    return Redactor(values, is_tracked=is_tracked)


def read_log(project: Project, summary: RunSummary, stage: str, redactor: Redactor) -> str | None:
    """Return the whole clean and redacted log of a stage, within the limits of reading; None when there is none."""
    result = next((one for one in summary.stages if one.stage == stage), None)
    if result is None or result.log is None:
        return None
    return "\n".join(_clean_log(project, result, redactor))


def _clean_log(project: Project, result: StageResult, redactor: Redactor) -> list[str]:
    if result.log is None:
        return []
    text = "\n".join(normal_lines(read_text(_read_plain(project, result.log))))
    return redactor.text(text).rstrip("\n").split("\n")


def _read_plain(project: Project, log: str) -> bytes:
    """Read head and tail of a log; a stage may have put a link or a pipe in its place."""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(project.state_folder / log, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return b""
            if facts.st_size <= HEAD_BYTES + TAIL_BYTES:
                return file.read()
            head = file.read(HEAD_BYTES)
            file.seek(facts.st_size - TAIL_BYTES)
            gap = facts.st_size - HEAD_BYTES - TAIL_BYTES
            return head + f"\n[… {gap} bytes left out …]\n".encode() + file.read(TAIL_BYTES)
    except OSError:
        return b""


def _green_runs(project: Project, run: Run, stage: str) -> Iterator[tuple[Run, StageResult]]:
    """Yield the last runs before this one in which the stage passed, those of the same branch first."""
    count = 0
    candidates = project.state.runs(
        RunFilter(pipeline=run.pipeline, verdict=Verdict.PASSED, before=run.number, limit=50)
    )
    for earlier in sorted(candidates, key=lambda one: (one.ref != run.ref, -one.number)):
        if earlier.trigger is TriggerKind.FIX:
            continue
        summary = project.state.load(earlier.number)
        result = next((one for one in summary.stages if one.stage == stage), None) if summary else None
        if result is None or result.verdict is not Verdict.PASSED:
            continue
        yield earlier, result
        count += 1
        if count == GREEN_LOGS:
            return


def _changed(project: Project, green: Run | None, run: Run, redactor: Redactor) -> tuple[str, ...]:
    if green is None:
        return ()
    try:
        changed = project.repository.changed_paths(green.tree, run.tree)
        return tuple(
            redactor.text(path.decode("utf-8", "replace"))
            for _, path in zip(range(MOST_CHANGED), changed, strict=False)
        )
    except CicdError:
        return ()


def _commands(project: Project, run: Run, stage: str, redactor: Redactor) -> tuple[str, ...]:
    try:
        config = project.configuration.at(run.tree, text=run.options.get("config_text"))
    except CicdError:
        return ()
    pipeline = config.pipeline(run.pipeline)
    name = stage.partition("[")[0]
    found = next((one for one in pipeline.stages if one.name == name), None) if pipeline else None
    return tuple(redactor.text(command) for command in found.run) if found else ()


def _located(diagnostic: Diagnostic, paths: set[str]) -> Diagnostic:
    """Name the repository's own file where a tool names it by a path of its worktree."""
    from msgspec.structs import replace

    def own(file: str) -> str:
        if file in paths:
            return file
        parts = file.split("/")
        for start in range(1, len(parts)):
            tail = "/".join(parts[start:])
            if tail in paths:
                return tail
        return file

    frames = tuple(replace(frame, file=own(frame.file)) for frame in diagnostic.frames)
    return replace(diagnostic, file=None if diagnostic.file is None else own(diagnostic.file), frames=frames)


def _windows(
    project: Project, run: Run, diagnostics: Sequence[Diagnostic], paths: set[str], redactor: Redactor
) -> Iterator[CodeWindow]:
    """Yield the code around what was complained about, the innermost own frame before the test that saw it."""
    is_secret = compile_globs(SECRETS)
    places: dict[tuple[str, int], None] = {}
    for one in diagnostics:
        for frame in reversed(one.frames):
            if frame.file in paths and frame.line:
                places[frame.file, frame.line] = None
        if one.file in paths and one.file is not None:
            places[one.file, one.line or 1] = None
    used = 0
    shown: dict[str, list[tuple[int, int]]] = {}
    count = 0
    for file, line in places:
        if count == MOST_WINDOWS or used >= MOST_WINDOW_CHARS or is_secret(file.encode()):
            continue
        if any(start <= line <= end for start, end in shown.get(file, [])):
            continue
        content = project.repository.read_file(run.tree, file.encode())
        if content is None or len(content) > MOST_FILE_BYTES or b"\0" in content:
            continue
        lines = content.decode("utf-8", "replace").split("\n")
        start, end = max(1, line - WINDOW_LINES), min(len(lines), line + WINDOW_LINES)
        text = redactor.text("\n".join(lines[start - 1 : end]))[: MOST_WINDOW_CHARS - used]
        shown.setdefault(file, []).append((start, end))
        used += len(text)
        count += 1
        yield CodeWindow(file=file, start=start, end=end, text=text)
