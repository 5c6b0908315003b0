"""Fetches what is known of a failed stage from store and repository, and captures it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from cicdctl.errors import CicdError
from cicdctl.fixing.capture import Evidence, capture, clean_lines
from cicdctl.fixing.inventory import inventory_of
from cicdctl.fixing.known_secrets import login_secrets, remote_secrets, secret_variables
from cicdctl.fixing.matchers.declared import decode_report
from cicdctl.fixing.matchers.find import find_diagnostics
from cicdctl.fixing.normal_text import cut_line, normal_lines, read_text
from cicdctl.fixing.own_files import OwnFiles
from cicdctl.fixing.plugin_matchers import plugin_matchers
from cicdctl.fixing.redact import RedactionFailed, Redactor
from cicdctl.fixing.stage_log import read_stage_log
from cicdctl.model import Pipeline, Run, RunFilter, RunSummary, StageResult, TriggerKind, Verdict
from cicdctl.model.fixing import FailureBundle, TestInventory
from cicdctl.project import Project
from cicdctl.project_config import home_of

GREEN_LOGS = 3
GREEN_LOG_BYTES = 8 << 20
MOST_CHANGED = 500
MOST_REPORTS = 8
MOST_REPORT_BYTES = 8 << 20
MOST_TRACKED_BYTES = 32 << 20
_REPORT = re.compile(rb"(?:^|/)[^/]{0,200}(?:\.sarif|(?:ruff|eslint|lint|jest|report|results)[^/]{0,60}\.json)$")


def capture_failure(project: Project, summary: RunSummary, result: StageResult) -> FailureBundle:
    """Return what is known of a failed stage, with every secret taken out.

    Raises RedactionFailed, StoreError, and PluginError for a plugin that does not say which matchers it has.
    """
    run = summary.run
    greens = list(_green_runs(project, run, result.stage))
    green = greens[0][0] if greens else None
    entries = [entry.path.decode("utf-8", "surrogateescape") for entry in project.repository.walk(run.tree)]

    def read(path: str) -> bytes | None:
        return project.repository.read_file(run.tree, path.encode("utf-8", "surrogateescape"))

    evidence = Evidence(
        run=run,
        result=result,
        log=read_stage_log(project, result),
        greens=tuple(read_stage_log(project, one, limit=GREEN_LOG_BYTES) for _, one in greens),
        green_run=green.number if green else None,
        commands=_commands(project, run, result.stage),
        changed=_changed(project, green, run),
        documents=tuple(_documents(project, result)),
        inventory=inventory_of(project, result),
    )
    matchers = plugin_matchers(project.plugins, project.environ)
    return capture(evidence, OwnFiles(entries, read), make_redactor(project, run), matchers=matchers)


def make_redactor(project: Project, run: Run) -> Redactor:
    """Return what hides the secrets of this repository and of whoever runs it. Raises RedactionFailed."""
    values = secret_variables(project.environ)
    names: set[str] = set()
    for stage in (stage for pipeline in _pipelines(project, run) for stage in pipeline.stages):
        values |= secret_variables(stage.env)
        names.update(stage.secrets)
    values |= {name: project.environ[name] for name in names if name in project.environ}
    try:
        values |= project.secrets.get(project.secrets.list(), {})[0]
    except CicdError as error:
        raise RedactionFailed(f"the secrets to hide cannot be read: {error.message}", hint=error.hint) from error
    logins = [*remote_secrets(project.repository.config), *login_secrets(home_of(project.environ))]
    values |= {f"login {at}": value for at, value in enumerate(logins)}
    return Redactor(values, is_tracked=_tracked(project, run))


def read_log(project: Project, summary: RunSummary, stage: str, redactor: Redactor) -> str | None:
    """Return the whole clean and redacted log of a stage, within the limits of reading; None when there is none."""
    result = next((one for one in summary.stages if one.stage == stage), None)
    if result is None or result.log is None:
        return None
    lines = clean_lines(read_stage_log(project, result), redactor)
    return "\n".join(cut_line(line) for line in redactor.text("\n".join(lines)).split("\n"))


def told_inventory(project: Project, summary: RunSummary) -> TestInventory:
    """Return how many tests ran by what tools said at their ends in the logs, over all stages and invocations.

    Of what was tried more than once nothing is known: each try has summed up.
    """
    counts: Counter[str] = Counter()
    for result in summary.stages:
        if len(result.attempts) > 1:
            return TestInventory()
        counts.update(find_diagnostics(normal_lines(read_text(read_stage_log(project, result)))).counts)
    return TestInventory(source="text", counts=dict(counts)) if counts else TestInventory()


def _tracked(project: Project, run: Run) -> Callable[[str], bool]:
    """Say of a text whether some file of the tree holds it. Files are read when it is first asked, 32 MB of them."""
    blobs: list[bytes] | None = None
    answers: dict[str, bool] = {}

    def is_tracked(text: str) -> bool:
        nonlocal blobs
        if blobs is None:
            blobs, size = [], 0
            oids = [entry.oid for entry in project.repository.walk(run.tree) if entry.mode & 0o170000 == 0o100000]
            for _, content in project.repository.read_blobs(oids):
                size += len(content)
                if size > MOST_TRACKED_BYTES:
                    break
                blobs.append(content)
        if text not in answers:
            wanted = text.encode("utf-8", "surrogateescape")
            answers[text] = any(wanted in content for content in blobs)
        return answers[text]

    return is_tracked


def _green_runs(project: Project, run: Run, stage: str) -> Iterator[tuple[Run, StageResult]]:
    """Yield the last runs before this one in which the stage passed, those of the same branch first."""
    count = 0
    wanted = RunFilter(pipeline=run.pipeline, verdict=Verdict.PASSED, before=run.number, limit=50)
    for earlier in sorted(project.state.runs(wanted), key=lambda one: (one.ref != run.ref, -one.number)):
        summary = project.state.load(earlier.number) if earlier.trigger is not TriggerKind.FIX else None
        result = next((one for one in summary.stages if one.stage == stage), None) if summary else None
        if result is None or result.verdict is not Verdict.PASSED:
            continue
        yield earlier, result
        count += 1
        if count == GREEN_LOGS:
            return


def _changed(project: Project, green: Run | None, run: Run) -> tuple[str, ...]:
    if green is None:
        return ()
    try:
        changed = project.repository.changed_paths(green.tree, run.tree)
        return tuple(path.decode("utf-8", "replace") for _, path in zip(range(MOST_CHANGED), changed, strict=False))
    except CicdError:  # the green commit is gone
        return ()


def _pipelines(project: Project, run: Run) -> tuple[Pipeline, ...]:
    try:
        return tuple(project.configuration.at(run.tree, text=run.options.get("config_text")).pipelines)
    except CicdError:
        return ()


def _commands(project: Project, run: Run, stage: str) -> tuple[str, ...]:
    name = stage.partition("[")[0]
    pipeline = next((one for one in _pipelines(project, run) if one.name == run.pipeline), None)
    found = next((one for one in pipeline.stages if one.name == name), None) if pipeline else None
    return tuple(found.run) if found else ()


def _documents(project: Project, result: StageResult) -> Iterator[object]:
    """Yield the JSON reports among the artifacts of a stage."""
    if result.manifest is None:
        return
    try:
        artifacts = project.blobs.read_manifest(result.manifest)
        named = [one for one in artifacts if _REPORT.search(one.path) and 0 < one.size_bytes <= MOST_REPORT_BYTES]
        for one in named[:MOST_REPORTS]:
            document = decode_report(project.blobs.read(one.digest))
            if document is not None:
                yield document
    except CicdError:  # gone from the cache
        return
