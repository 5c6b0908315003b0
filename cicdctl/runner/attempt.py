"""One try of one stage in a worktree: environment, services, process, log, and the verdict on it."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cicdctl.errors import CicdError, describe
from cicdctl.masking import Masker
from cicdctl.model import Attempt, Service, StageRequest, Value, Verdict
from cicdctl.process import (
    Control,
    Exit,
    Limits,
    ProcessSpec,
    ServiceFailed,
    build_environment,
    parse_outputs,
    run_process,
    shared_network,
    start_service,
)
from cicdctl.runner.health_check import Health, check_health, judge_health
from cicdctl.runner.judging import judge
from cicdctl.runner.places import Scratch, Workplace, file_name, log_path, read_plain
from cicdctl.runner.script import shell_argv
from cicdctl.runner.variables import variable_name
from cicdctl.store import LogInfo, LogWriter
from cicdctl.store.failpoints import reach

MAX_OUTPUT_BYTES = 65_536
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
    """What an attempt came to; the attempt itself, and what its stage said in the two files.

    `is_unhealthy`: its commands passed, and its health check did not.
    """

    attempt: Attempt
    outputs: Mapping[str, str] = {}
    summary: str = ""
    log: LogInfo | None = None
    is_unhealthy: bool = False


Sink = Callable[[str, Mapping[str, Any]], None]


def run_attempt(
    site: Site, request: StageRequest, number: int, place: Workplace, control: Control, tell: Sink
) -> Outcome:
    """Run the stage's commands once and tell `output` as it comes, masked. Blocks; leaves no process behind.

    Once `attempt_started` is told nothing is raised but what is a fault of ours: a full disk is an error of the
    attempt.
    """
    relative = log_path(request.run, request.planned.id, number)
    started_at = time.time()
    tell("attempt_started", {"number": number, "at": started_at, "log": relative})
    attempt = Attempt(number=number, verdict=Verdict.ERROR, started_at=started_at, log=relative)
    try:
        reach("attempt-started")
        ended, health, log = _run_logged(site, request, number, place, control, tell, relative)
        return _outcome(request, attempt, ended, health, log, place.scratch)
    except (CicdError, OSError) as error:
        reason = describe(error)
        if isinstance(error, OSError) and error.errno == errno.E2BIG:
            reason = "its commands, or a variable it gets, are larger than the 128 KB that the system takes"
        return Outcome(attempt=replace(attempt, reason=reason, seconds=time.time() - started_at))


def _run_logged(
    site: Site, request: StageRequest, number: int, place: Workplace, control: Control, tell: Sink, relative: str
) -> tuple[Exit, Health | None, LogInfo]:
    path = site.state_folder / relative
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    masker = Masker(request.secrets)
    with LogWriter(path) as log:

        def take(chunk: bytes) -> None:
            shown = masker.feed(chunk) if masker else chunk
            if shown:
                log.write(shown)
                tell("output", {"chunk": shown})

        env = environment(site, request, number, place.worktree, place.scratch)
        health = None
        try:
            ended, health = _run_with_services(site, request, number, place, env, control, take)
        except ServiceFailed as error:
            ended = Exit(exit_code=None, reason="lost", detail="; ".join(str(error).splitlines()))
        rest = masker.flush() if masker else b""
        if rest:
            log.write(rest)
            tell("output", {"chunk": rest})
        return ended, health, log.close()


def _outcome(
    request: StageRequest, attempt: Attempt, ended: Exit, health: Health | None, log: LogInfo, scratch: Scratch
) -> Outcome:
    """Put together what an ended process and its two files say, without any secret in it."""
    stage, mask = request.planned.stage, masking(request.secrets)
    verdict, reason = judge(ended, stage.timeout_s, stage.idle_timeout_s)
    is_unhealthy = False
    if health is not None and stage.health_check is not None:
        left = reason
        verdict, reason = judge_health(health, stage.health_check, stage.timeout_s)
        is_unhealthy = verdict in (Verdict.FAILED, Verdict.TIMED_OUT)
        reason = reason or left
        ended = replace(ended, exit_code=health.ended.exit_code, seconds=ended.seconds + health.seconds)
    outputs: Mapping[str, str] = {}
    if verdict is Verdict.PASSED:
        try:
            outputs = _read_outputs(scratch.outputs, mask)
        except ValueError as error:
            verdict, reason = Verdict.FAILED, str(error)
        except OSError as error:
            verdict, reason = Verdict.FAILED, f"CICD_OUTPUT cannot be read: {error.strerror}"
    attempt = replace(
        attempt,
        verdict=verdict,
        exit_code=124 if verdict is Verdict.TIMED_OUT else ended.exit_code,
        reason=None if reason is None else mask(reason),
        seconds=ended.seconds,
        cpu_s=ended.cpu_s,
        peak_memory_bytes=ended.peak_memory_bytes,
        enforced_by=ended.enforced_by,
        sandbox=ended.sandbox,
        leftover_processes=ended.leftovers,
    )
    summary = _read_summary(scratch.summary, request.secrets)
    return Outcome(attempt=attempt, outputs=outputs, summary=summary, log=log, is_unhealthy=is_unhealthy)


def environment(site: Site, request: StageRequest, number: int, worktree: Path, scratch: Scratch) -> dict[str, str]:
    """Build everything the stage sees (configuration.md section 2), its secrets included."""
    home = home_of(site, request, scratch)
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


def home_of(site: Site, request: StageRequest, scratch: Scratch) -> Path:
    """Return the stage's HOME: the one that is kept between trusted stages, or one of its own."""
    is_own = request.planned.stage.home == "clean" or request.trust != "trusted"
    return scratch.home if is_own else site.cache_folder / "home"


def _run_with_services(
    site: Site,
    request: StageRequest,
    number: int,
    place: Workplace,
    env: dict[str, str],
    control: Control,
    take: Callable[[bytes], object],
) -> tuple[Exit, Health | None]:
    """Run the commands, and then the health check in the same surroundings."""
    stage = request.planned.stage
    mark = f"{site.repository_id}/{request.run}/{request.planned.id}/{number}"
    spec = ProcessSpec(
        argv=shell_argv(request.commands),
        cwd=place.worktree,
        env=env,
        mark=mark,
        timeout_s=stage.timeout_s,
        idle_timeout_s=stage.idle_timeout_s,
        grace_s=site.grace_s,
        limits=_limits(site, request),
        sandbox=place.sandbox,
    )
    with ExitStack() as stack:
        if stage.services and spec.sandbox is not None:
            spec = replace(spec, sandbox=stack.enter_context(shared_network(spec.sandbox)))
        for service in stage.services:
            port = str(_start(stack, site, request, number, service, spec, control))
            env[f"{variable_name(service.name)}_PORT"] = port
            if len(stage.services) == 1:
                env["PORT"] = port
        spec = replace(spec, env=env)
        ended = run_process(spec, take, control)
        if stage.health_check is None or judge(ended, None, None)[0] is not Verdict.PASSED:
            return ended, None
        left_s = None if stage.timeout_s is None else stage.timeout_s - ended.seconds
        return ended, check_health(stage.health_check, spec, control, take, left_s=left_s)


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
    stack.callback(lambda: log.write(masker.flush()))  # when the service has ended
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


def masking(secrets: Mapping[str, str]) -> Callable[[str], str]:
    """Return what takes these secrets out of a whole text."""
    return Masker(secrets).text if secrets else str


def _read_outputs(path: Path, mask: Callable[[str], str]) -> Mapping[str, str]:
    """Read what the stage hands on. Raises ValueError, also for a secret: outputs are recorded and shown."""
    outputs = parse_outputs(read_plain(path, MAX_OUTPUT_BYTES + 1))
    for name, value in outputs.items():
        if mask(value) != value:
            raise ValueError(f'CICD_OUTPUT: the value of "{name}" holds a secret; name the secret where it is needed')
    return outputs


def _read_summary(path: Path, secrets: Mapping[str, str]) -> str:
    try:
        data = read_plain(path, MAX_SUMMARY_BYTES + 1)
    except OSError:
        return ""
    text = masking(secrets)(data.decode("utf-8", "replace"))
    if len(data) > MAX_SUMMARY_BYTES and secrets:
        # A secret that the end cuts in two is not recognised; its longest spelling is \\uXXXX for each character.
        text = text[: -6 * max(map(len, secrets.values()))]
    return text
