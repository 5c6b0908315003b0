"""One try of one stage in a worktree: environment, services, process, log, and the verdict on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cicdctl.masking import Masker
from cicdctl.model import Attempt, Service, StageRequest, Value, Verdict
from cicdctl.process import (
    Control,
    Exit,
    Limits,
    ProcessSpec,
    Sandbox,
    ServiceFailed,
    build_environment,
    parse_outputs,
    run_process,
    start_service,
)
from cicdctl.runner.places import Scratch, file_name, log_path
from cicdctl.runner.script import shell_argv
from cicdctl.store import LogInfo, LogWriter
from cicdctl.store.failpoints import reach
from cicdctl.units import format_duration, format_size

MAX_SUMMARY_BYTES = 65_536


class Site(Value, frozen=True, kw_only=True):
    """The folders and facts of this machine that every attempt of a run needs."""

    repository_id: str
    state_folder: Path
    cache_folder: Path
    environ: Mapping[str, str]
    env_allow: tuple[str, ...] = ()
    sandbox_paths: tuple[Path, ...] = ()
    grace_s: float = 10.0
    ceiling: Limits = Limits()


class Outcome(Value, frozen=True, kw_only=True):
    """What an attempt came to; the attempt itself, and what its stage said in the two files."""

    attempt: Attempt
    outputs: Mapping[str, str] = {}
    summary: str = ""
    log: LogInfo | None = None


Sink = Callable[[str, Mapping[str, Any]], None]


def run_attempt(
    site: Site,
    request: StageRequest,
    number: int,
    worktree: Path,
    sandbox: Sandbox | None,
    control: Control,
    tell: Sink,
) -> Outcome:
    """Run the stage's commands once and tell `output` as it comes, masked. Blocks; leaves no process behind."""
    relative = log_path(request.run, request.planned.id, number)
    started_at = time.time()
    tell("attempt_started", {"number": number, "at": started_at, "log": relative})
    path = site.state_folder / relative
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    masker = Masker(request.secrets)
    with Scratch(site.cache_folder, request.run, request.planned.id, number) as scratch, LogWriter(path) as log:

        def take(chunk: bytes) -> None:
            shown = masker.feed(chunk) if masker else chunk
            if shown:
                log.write(shown)
                tell("output", {"chunk": shown})

        reach("attempt-started")
        env = environment(site, request, number, worktree, scratch)
        try:
            ended = _run_with_services(site, request, number, worktree, sandbox, env, control, take)
        except ServiceFailed as error:
            ended = Exit(exit_code=None, reason="lost", detail=str(error))
        rest = masker.flush() if masker else b""
        if rest:
            log.write(rest)
            tell("output", {"chunk": rest})
        verdict, reason = judge(ended, request.planned.stage.timeout_s, request.planned.stage.idle_timeout_s)
        outputs, summary = {}, ""
        if verdict is Verdict.PASSED:
            try:
                outputs = parse_outputs(scratch.outputs.read_bytes())
            except (ValueError, OSError) as error:
                verdict, reason = Verdict.FAILED, f"CICD_OUTPUT: {error}"
        summary = _read_summary(scratch.summary, masker)
        closed = log.close()
    attempt = Attempt(
        number=number,
        verdict=verdict,
        exit_code=124 if verdict is Verdict.TIMED_OUT else ended.exit_code,
        reason=reason,
        started_at=started_at,
        seconds=ended.seconds,
        cpu_s=ended.cpu_s,
        peak_memory_bytes=ended.peak_memory_bytes,
        enforced_by=ended.enforced_by,
        sandbox=ended.sandbox,
        leftover_processes=ended.leftovers,
        log=relative,
    )
    return Outcome(attempt=attempt, outputs=outputs, summary=summary, log=closed)


def environment(site: Site, request: StageRequest, number: int, worktree: Path, scratch: Scratch) -> dict[str, str]:
    """Build everything the stage sees (configuration.md section 2), its secrets included."""
    kept = site.cache_folder / "home"
    home = scratch.home if request.planned.stage.home == "clean" or request.trust != "trusted" else kept
    home.mkdir(exist_ok=True, mode=0o700)
    return {
        **build_environment(site.environ, home=home, tmp=scratch.tmp, allow=site.env_allow),
        **request.env,
        **request.secrets,
        "CICD_ATTEMPT": str(number),
        "CI_PROJECT_DIR": str(worktree),
        "CICD_OUTPUT": str(scratch.outputs),
        "CICD_SUMMARY": str(scratch.summary),
    }


def judge(ended: Exit, timeout_s: float | None, idle_timeout_s: float | None) -> tuple[Verdict, str | None]:
    """Turn the way a process ended into a verdict and the reason people are told."""
    if ended.survivors:
        return Verdict.ERROR, f"{ended.survivors} processes of the stage could not be killed"
    if ended.reason == "timed_out":
        return Verdict.TIMED_OUT, f"no end after {format_duration(timeout_s or ended.seconds)} (timeout)"
    if ended.reason == "idle":
        return Verdict.TIMED_OUT, f"no output for {format_duration(idle_timeout_s or 0)} (idle_timeout)"
    if ended.reason == "cancelled":
        return Verdict.CANCELLED, ended.detail or "cancelled"
    if ended.reason == "memory":
        return Verdict.FAILED, ended.detail or f"memory limit, peak {format_size(ended.peak_memory_bytes)}"
    if ended.reason != "exited":
        return Verdict.ERROR, ended.detail or ended.reason
    if ended.exit_code == 0:
        return Verdict.PASSED, f"left {ended.leftovers} processes; killed" if ended.leftovers else None
    if ended.exit_code == 125:
        return Verdict.SKIPPED, "exit status 125: it skipped itself"
    if ended.exit_code is None:
        return Verdict.FAILED, f"killed by signal {ended.signal}"
    extra = {126: ": not executable", 127: ": command not found", 137: ": killed"}.get(ended.exit_code, "")
    return Verdict.FAILED, f"exit status {ended.exit_code}{extra}"


def _run_with_services(
    site: Site,
    request: StageRequest,
    number: int,
    worktree: Path,
    sandbox: Sandbox | None,
    env: dict[str, str],
    control: Control,
    take: Callable[[bytes], object],
) -> Exit:
    stage = request.planned.stage
    mark = f"{site.repository_id}/{request.run}/{request.planned.id}/{number}"
    spec = ProcessSpec(
        argv=shell_argv(request.commands),
        cwd=worktree,
        env=env,
        mark=mark,
        timeout_s=stage.timeout_s,
        idle_timeout_s=stage.idle_timeout_s,
        grace_s=site.grace_s,
        limits=_limits(site, request),
        sandbox=sandbox,
    )
    with ExitStack() as stack:
        for service in stage.services:
            port = str(_start(stack, site, request, number, service, spec, control))
            env[f"{_env_name(service.name)}_PORT"] = port
            if len(stage.services) == 1:
                env["PORT"] = port
        return run_process(replace(spec, env=env), take, control)


def _start(
    stack: ExitStack,
    site: Site,
    request: StageRequest,
    number: int,
    service: Service,
    spec: ProcessSpec,
    control: Control,
) -> int:
    """Start one service with a log of its own; it lives as long as `stack`. Returns its port."""
    relative = (
        log_path(request.run, request.planned.id, number).removesuffix(".log") + f".{file_name(service.name)}.log"
    )
    log = stack.enter_context(LogWriter(site.state_folder / relative))
    masker = Masker(request.secrets)
    return stack.enter_context(
        start_service(
            name=service.name,
            run=service.run,
            ready=service.ready,
            ready_timeout_s=service.ready_timeout_s,
            cwd=spec.cwd,
            env=spec.env,
            mark=spec.mark,
            on_output=lambda chunk: log.write(masker.feed(chunk) if masker else chunk),
            sandbox=spec.sandbox,
            control=control,
        )
    )


def _limits(site: Site, request: StageRequest) -> Limits:
    wanted = request.planned.stage.resources
    return Limits(
        memory_bytes=_lower(wanted.memory_bytes, site.ceiling.memory_bytes),
        cpus=_lower(wanted.cpus, site.ceiling.cpus),
    )


def _lower(first: Any, second: Any) -> Any:
    return second if first is None else first if second is None else min(first, second)


def _env_name(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).upper()


def _read_summary(path: Path, masker: Masker) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SUMMARY_BYTES)
    except OSError:
        return ""
    if masker:
        data = masker.feed(data) + masker.flush()
    return data.decode("utf-8", "replace")
