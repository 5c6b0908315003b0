"""Which failures are worked on by themselves, and the processes that do it. Loads of the room `fixing` what it must."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cicdctl.errors import CicdError
from cicdctl.model import RunSummary, Trust, Verdict
from cicdctl.model.fix_record import FixRecord, FixState
from cicdctl.model.verdict import TRIALS
from cicdctl.planning.names import matches_name
from cicdctl.project import Project

# The variable that the client of the service reads, too.
KEY_VARIABLE = "ANTHROPIC_API_KEY"
# Tools that repair what they complain about (fixers/presets.py), where a stage starts one.
_TOOLS = re.compile(
    r"\b(?:ruff|black|isort|prettier|eslint|gofmt|goimports|rustfmt|cargo (?:fmt|clippy)|pre-commit|npm ci|uv|poetry)\b"
)
# As many processes as one fix may cost without anybody asking for it.
MOST_PROCESSES = 5
_RED = (Verdict.FAILED, Verdict.TIMED_OUT)


def wants_fix(project: Project, summary: RunSummary) -> bool:
    """Whether fixers start by themselves for a run that has just ended: it failed, and somebody could try.

    Cheap, for it is asked after every failure.
    """
    run = summary.run
    if run.verdict not in (Verdict.FAILED, Verdict.TIMED_OUT) or run.trigger in TRIALS or run.is_partial:
        return False
    if run.options.get("no_fix") or run.trust is not Trust.TRUSTED:
        return False
    settings = project.settings
    if not settings.orchestrator.fixes_failures or settings.fix.mode not in ("propose", "auto"):
        return False
    failed = {one.stage.partition("[")[0] for one in summary.stages if one.verdict in _RED}
    on = [fixer for fixer in settings.fixers if fixer.enabled is not False]
    if any(matches_name(fixer.stages, name) for fixer in on for name in failed):
        return True
    if project.environ.get(KEY_VARIABLE):
        return True
    commands = _commands(project, summary, failed)
    return _TOOLS.search(" ".join(commands)) is not None or _shows_a_tool(project, summary, commands)


def _commands(project: Project, summary: RunSummary, failed: set[str]) -> list[str]:
    run = summary.run
    try:
        config = project.configuration.at(run.tree, text=run.options.get("config_text"))
    except CicdError:
        return []
    pipeline = config.pipeline(run.pipeline)
    return [text for stage in pipeline.stages if stage.name in failed for text in stage.run] if pipeline else []


def _shows_a_tool(project: Project, summary: RunSummary, commands: Sequence[str]) -> bool:
    """Whether a failed `make lint`, `npm run lint` or `tox` shows that it was a tool that can repair this.

    The log has to show its complaints, and the repository to name it: what merely looks alike starts nothing.
    """
    from cicdctl.fixing.own_tools import complaining_tools, is_used

    repository, tree = project.repository, summary.run.tree

    def read(name: str) -> str | None:
        content = repository.read_file(tree, name.encode())
        return None if content is None else content.decode("utf-8", "replace")

    try:
        tools = complaining_tools(project, (one for one in summary.stages if one.verdict in _RED))
        return any(is_used(tool, commands, read) for tool in tools)
    except CicdError:
        return False


def heal_in_front(project: Project, summary: RunSummary) -> None:
    """Run the fix of a run in a process of its own, which tells of itself here; the verdict stays what it is."""
    if not wants_fix(project, summary):
        return
    from cicdctl.process import own_environ
    from cicdctl.process.children import run_interactive

    project.close_state()  # while we wait nobody needs us to hold it
    run_interactive(_fix_argv(project, summary), cwd=_folder(project), env=own_environ(project.environ))


def start_fix_process(project: Project, summary: RunSummary, *, stage: str | None = None) -> None:
    """Start the fix of a run in the background; it outlives whoever started it."""
    from cicdctl.process import own_environ, start_detached

    log = project.state_folder / "logs" / str(summary.run.number)
    log.mkdir(parents=True, exist_ok=True, mode=0o700)
    start_detached(
        _fix_argv(project, summary, stage),
        cwd=project.repository.common_dir,
        env=own_environ(project.environ),
        log=log / "fix.log",
    )


def _fix_argv(project: Project, summary: RunSummary, stage: str | None = None) -> tuple[str, ...]:
    from cicdctl.process import own_argv

    which = str(summary.run.number) + (f"/{stage}" if stage else "")
    words = ("fix", "start", which, "--automatic")
    return own_argv(_folder(project), *words, config_file=project.invocation.config_file)


def _folder(project: Project) -> Path:
    return project.repository.work_tree or project.repository.git_dir


def go_on_with_fixes(project: Project) -> None:
    """Go on with every fix that a dead process left: each in a process of its own."""
    if not project.has_state or not any(map(may_go_on, project.fixes.unfinished())):
        return
    from cicdctl.fixing.sessions import close_dead

    for record in list(close_dead(project)):
        summary = project.state.load(record.run) if may_go_on(record) else None
        if summary is not None:
            start_fix_process(project, summary, stage=record.stage)


def may_go_on(record: FixRecord) -> bool:
    """Whether a fix without an outcome is gone on with by itself; one that kills its process each time is not."""
    return record.state is not FixState.DONE and record.epoch <= MOST_PROCESSES
