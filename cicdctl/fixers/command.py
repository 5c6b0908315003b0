"""The fixer that runs a command: the user's own, or one of a well-known tool. It may write what it was meant for."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from cicdctl.errors import CicdError
from cicdctl.fixers.presets import BY_NAME, Preset
from cicdctl.git import compile_globs
from cicdctl.kinds import FixerKind
from cicdctl.model import Value
from cicdctl.model.fixing import Applicability, FailureBundle, FixRequest, FixResult, FixStatus
from cicdctl.project import Project

LIMIT_S = 300.0
MOST_OUTPUT = 64_000
_TAIL_LINES = 5


class CommandOptions(Value, frozen=True, kw_only=True):
    """What a command fixer has to know; the section's own keys under their own names."""

    run: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    timeout_s: float | None = None
    network: bool = False
    name: str = "command"


def kinds_for(project: Project) -> Iterator[FixerKind]:
    """Yield the kind of `[fixers.NAME] run = …` and one for each preset."""
    yield FixerKind(
        name="command", options_type=CommandOptions, open=lambda options: CommandFixer(project, options, preset=None)
    )
    for preset in BY_NAME.values():
        yield FixerKind(name=preset.name, options_type=CommandOptions, open=_opener(project, preset))


def _opener(project: Project, preset: Preset) -> Callable[[CommandOptions], CommandFixer]:
    return lambda options: CommandFixer(project, options, preset=preset)


class CommandFixer:
    """Runs commands twice in the worktree: the second time must change nothing. What it wrote is the candidate."""

    kind: Literal["command", "ai"] = "command"

    def __init__(self, project: Project, options: CommandOptions, *, preset: Preset | None) -> None:
        self.name = preset.name if preset else options.name
        self.priority = preset.priority if preset else 30
        self._project = project
        self._options = options
        self._preset = preset
        commands = options.run or (preset.commands if preset else ())
        self._commands = commands
        self.version = hashlib.sha256("\0".join(commands).encode()).hexdigest()[:12]
        self.problem = None
        if preset is not None and preset.needs and not shutil.which(preset.needs, path=project.environ.get("PATH")):
            self.problem = f"{preset.needs} is not installed"

    def can_fix(self, bundle: FailureBundle) -> Applicability:
        """See `Fixer.can_fix`: a preset answers its own tool, a command of the user any stage it is meant for."""
        if self._preset is None:
            return Applicability(answer="maybe", reason="configured for this stage")
        preset = self._preset
        mine = [one for one in bundle.diagnostics if one.tool in preset.tools]
        mine = [one for one in mine if not preset.kinds or one.kind in preset.kinds]
        if not mine:
            return Applicability(answer="no", reason=f"{preset.tools[0]} has not complained")
        if self.problem is not None:
            return Applicability(answer="no", reason=self.problem)
        return Applicability(answer="yes", reason=f"{preset.tools[0]} complained")

    def fix(self, request: FixRequest) -> FixResult:
        """See `Fixer.fix`."""
        files = self._named(request)
        commands = [command.replace("{files}", " ".join(map(shlex.quote, files))) for command in self._commands]
        if not files and any("{files}" in command for command in self._commands):
            return FixResult(status=FixStatus.NO_CHANGE, reason="no file of the repository was complained about")
        before = _snapshot(request.worktree)
        try:
            status, output = self._run(commands, request)
            after = _snapshot(request.worktree)
            written = self._written(before, after, request)
            if not written:
                return FixResult(status=FixStatus.NO_CHANGE, reason=_why_nothing(status, output, request))
            digests = _digests(request.worktree, written)
            self._run(commands, request)
        except CicdError as error:
            return FixResult(status=FixStatus.ERROR, reason=request.redact(error.message))
        again = self._written(before, _snapshot(request.worktree), request)
        if set(again) != set(written) or _digests(request.worktree, written) != digests:
            reason = "run again it changes its own result"
            return FixResult(status=FixStatus.ERROR, reason=reason)
        count = f"{len(written)} file" + ("s" if len(written) != 1 else "")
        return FixResult(
            status=FixStatus.CHANGED,
            summary=f"what {self.name} repairs by itself",
            root_cause=f"{self.name} rewrote {count}",
            changed=tuple(sorted(written)),
            tool_versions={self.name: self.version},
        )

    def _named(self, request: FixRequest) -> list[str]:
        """The files that the tool complained about and that are there."""
        tools = self._preset.tools if self._preset else ()
        named = {one.file for one in request.bundle.diagnostics if one.file and one.tool in tools}
        return sorted(name for name in named if name and _is_plain(request.worktree, name))

    def _written(self, before: Mapping[str, _Facts], after: Mapping[str, _Facts], request: FixRequest) -> list[str]:
        """What was changed: files that were there, and new ones only where `paths` say that they are wanted."""
        wanted = compile_globs(self._options.paths) if self._options.paths else None
        changed = []
        for name in before.keys() | after.keys():
            if before.get(name) == after.get(name):
                continue
            is_new = name not in before
            if is_new and (wanted is None or not wanted(os.fsencode(name))):
                continue
            if self._preset is not None and not self._may(name, request):
                continue
            changed.append(name)
        return changed

    def _may(self, name: str, request: FixRequest) -> bool:
        """A preset may write what its tool complained about, and what it is there to write."""
        assert self._preset is not None
        if self._preset.rewrites:
            return name.rpartition("/")[2] in self._preset.rewrites
        named = set(self._named(request))
        return not named or name in named

    def _run(self, commands: Sequence[str], request: FixRequest) -> tuple[int, str]:
        """Run all commands in the worktree, sandboxed as a stage is; what they leave behind is killed."""
        from cicdctl.process import Control, ProcessSpec, build_environment, choose_sandbox, run_process
        from cicdctl.process.environment import toolchain_folders

        project, output, control = self._project, bytearray(), Control()
        network = self._options.network or bool(self._preset and self._preset.network)
        limit_s = self._options.timeout_s or LIMIT_S
        scratch = project.cache_folder / "scratch"
        scratch.mkdir(mode=0o700, exist_ok=True)
        status = 0
        with TemporaryDirectory(prefix="fix-", dir=scratch, ignore_cleanup_errors=True) as home:
            sandbox = None
            if not network and self._can_sandbox():
                sandbox = choose_sandbox(
                    "required",
                    trusted=False,
                    network=False,
                    writable=(request.worktree, Path(home)),
                    readonly=(*_git_folders(project), *toolchain_folders(project.environ)),
                    path=project.environ.get("PATH", ""),
                    home=project.environ.get("HOME", ""),
                )
            allow = project.settings.fix.env_allow
            env = build_environment(project.environ, home=Path(home), tmp=Path(home), allow=allow)
            for command in commands:
                left_s = min(limit_s, request.deadline - time.monotonic())
                if left_s <= 0 or request.cancelled():
                    raise CicdError("there is no time left for it")
                ended = run_process(
                    ProcessSpec(
                        argv=("sh", "-c", command),
                        cwd=request.worktree,
                        env=env,
                        mark=f"{project.repository.id}/fix",
                        timeout_s=left_s,
                        grace_s=1.0,
                        sandbox=sandbox,
                    ),
                    lambda chunk: output.extend(chunk[: max(0, MOST_OUTPUT - len(output))]),
                    control,
                )
                if ended.reason != "exited":
                    raise CicdError(f"{self.name}: {ended.detail or ended.reason}")
                status = status or (ended.exit_code or 0)
        return status, output.decode("utf-8", "replace")

    def _can_sandbox(self) -> bool:
        from cicdctl.process import probe_sandbox

        return self._project.settings.fix.sandbox != "off" and bool(probe_sandbox().bwrap)


_Facts = tuple[int, int, int, int]


def _snapshot(worktree: Path) -> dict[str, _Facts]:
    """Return kind, size, time and number of every file below a worktree; no link is followed, git's is left out."""
    found: dict[str, _Facts] = {}
    todo = [""]
    while todo:
        prefix = todo.pop()
        with os.scandir(worktree / prefix) as rows:
            for row in rows:
                name = f"{prefix}{row.name}"
                if name == ".git":
                    continue
                facts = row.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    todo.append(f"{name}/")
                else:
                    found[name] = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return found


def _digests(worktree: Path, names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        path = worktree / name
        is_plain = path.is_file() and not path.is_symlink()
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if is_plain else ""
    return found


def _is_plain(worktree: Path, name: str) -> bool:
    path = worktree / name
    return not name.startswith(("/", "-")) and ".." not in name.split("/") and path.is_file() and not path.is_symlink()


def _git_folders(project: Project) -> tuple[Path, ...]:
    """What git needs to read; a tool may ask it for the list of files."""
    return (project.repository.common_dir,)


def _why_nothing(status: int, output: str, request: FixRequest) -> str:
    if status == 0:
        return "changed nothing"
    last = [line.strip() for line in output.splitlines() if line.strip()][-_TAIL_LINES:]
    said = f": {request.redact(last[-1])[:200]}" if last else ""
    return f"changed nothing (exit status {status}){said}"
