"""The fixer that runs a command: the user's own, or one of a well-known tool. It may write what it was meant for."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from cicdctl.errors import CicdError
from cicdctl.fixers.presets import PRESETS, Preset
from cicdctl.fixers.written_files import changed_names, take_stock
from cicdctl.git import compile_globs
from cicdctl.kinds import FixerKind
from cicdctl.model import Value
from cicdctl.model.fixing import Applicability, FailureBundle, FixRequest, FixResult, FixStatus
from cicdctl.project import Project

LIMIT_S = 300.0
VERSION_LIMIT_S = 20.0
# What one command may have as text, below the 128 KiB that Linux takes as one argument.
MOST_NAMES = 100_000


class CommandOptions(Value, frozen=True, kw_only=True):
    """What a command fixer has to know; the section's own keys under their own names."""

    run: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    timeout_s: float | None = None
    network: bool = False
    name: str = "command"


def kinds_for(project: Project) -> Iterator[FixerKind]:
    """Yield the kind of `[fixers.NAME] run = …` and one for each preset."""
    yield FixerKind(name="command", options_type=CommandOptions, open=_opener(project, None))
    for preset in PRESETS:
        yield FixerKind(name=preset.name, options_type=CommandOptions, open=_opener(project, preset))


def _opener(project: Project, preset: Preset | None) -> Callable[[CommandOptions], CommandFixer]:
    return lambda options: CommandFixer(project, options, preset=preset)


class CommandFixer:
    """Runs commands twice in the worktree: the second time must change nothing. What they wrote is declared.

    `{files}` in a command stands for the files that were complained about. A preset declares only these; a command
    of the user declares every file of the base that it changed, and new ones that `paths` name. Guards look at all.
    """

    kind: Literal["command", "ai"] = "command"

    def __init__(self, project: Project, options: CommandOptions, *, preset: Preset | None) -> None:
        self.name = preset.name if preset else options.name
        self.priority = preset.priority if preset else 30
        self._project = project
        self._options = options
        self._preset = preset
        commands = options.run or tuple(step.run for step in (preset.steps if preset else ()))
        self.version = hashlib.sha256("\0".join(commands).encode()).hexdigest()[:12]
        self.problem = None if preset is None else _why_missing(preset, project.environ.get("PATH"))

    def can_fix(self, bundle: FailureBundle) -> Applicability:
        """See `Fixer.can_fix`: a preset answers its own tool, a command of the user any stage it is meant for."""
        preset = self._preset
        if preset is None:
            return Applicability(answer="maybe", reason="configured for this stage")
        if not preset.complaints(bundle):
            return Applicability(answer="no", reason=f"{preset.tools[0]} has not complained")
        if self.problem is not None:
            return Applicability(answer="no", reason=self.problem)
        return Applicability(answer="yes", reason=f"{preset.tools[0]} complained")

    def fix(self, request: FixRequest) -> FixResult:
        """See `Fixer.fix`."""
        preset = self._preset
        if preset is not None and not preset.is_used(request.bundle, request.worktree):
            return _nothing(f"neither the stage nor the repository names {preset.tools[0]}")
        files = self._named(request)
        commands = self._options.run or (preset.commands(request.bundle) if preset else ())
        if not files and any("{files}" in command for command in commands):
            return _nothing("no file of the repository was complained about")
        try:
            return self._try(request, list(_with_files(commands, files)), files)
        except CicdError as error:
            return FixResult(status=FixStatus.ERROR, reason=request.redact(f"{self.name}: {error.message}"))
        except OSError as error:
            return FixResult(status=FixStatus.ERROR, reason=f"{self.name}: its files cannot be read: {error.strerror}")

    def _try(self, request: FixRequest, commands: Sequence[str], files: Sequence[str]) -> FixResult:
        from cicdctl.fixers.sandboxed import open_shop

        preset, limit_s = self._preset, self._options.timeout_s or LIMIT_S
        network = self._options.network or bool(preset and preset.network)
        with open_shop(
            self._project,
            request.worktree,
            network=network,
            deadline=request.deadline,
            cancelled=request.cancelled,
        ) as shop:
            before = take_stock(request.worktree)
            status, output = shop.run(commands, limit_s=limit_s)
            after = take_stock(request.worktree, before)
            written = [name for name in changed_names(before, after) if self._may(name, name in before, files)]
            if not written:
                return _nothing(_why_nothing(status, output, request))
            shop.run(commands, limit_s=limit_s)
            again = take_stock(request.worktree, after)
            if any(self._may(name, name in before, files) for name in changed_names(after, again)):
                return FixResult(status=FixStatus.ERROR, reason=f"{self.name}: run again it changes its own result")
            version = self._tool_version(shop.run) if preset else self.version
        count = f"{len(written)} file" + "s" * (len(written) != 1)
        return FixResult(
            status=FixStatus.CHANGED,
            summary=f"what {self.name} repairs by itself",
            root_cause=f"{self.name} rewrote {count}",
            changed=tuple(written),
            tool_versions={self.name: request.redact(version)},
        )

    def _named(self, request: FixRequest) -> list[str]:
        """The files that were complained about, by the tool of a preset, and that are there."""
        preset = self._preset
        complaints = preset.complaints(request.bundle) if preset else request.bundle.diagnostics
        names = {one.file for one in complaints if one.file}
        return sorted(name for name in names if _is_plain(request.worktree, name))

    def _may(self, name: str, was_there: bool, files: Sequence[str]) -> bool:
        """Whether a changed file is declared: caches and reports that a command leaves behind are not."""
        paths = self._options.paths
        if not was_there:
            return bool(paths) and compile_globs(paths)(os.fsencode(name))
        if self._preset is None:
            return True
        if self._preset.rewrites:
            return name.rpartition("/")[2] in self._preset.rewrites
        return not files or name in files

    def _tool_version(self, run: Callable[..., tuple[int, str]]) -> str:
        command = self._preset.version if self._preset else ""
        status, output = run((command,), limit_s=VERSION_LIMIT_S) if command else (1, "")
        lines = output.strip().splitlines()
        return lines[0][:100] if status == 0 and lines else self.version


def _why_missing(preset: Preset, path: str | None) -> str | None:
    if any(shutil.which(program, path=path) for program in preset.programs):
        return None
    return f"{' or '.join(preset.programs)} is not installed"


def _with_files(commands: Sequence[str], files: Sequence[str]) -> Iterator[str]:
    """Yield the commands with names for `{files}`; with very many a command is run several times."""
    for command in commands:
        if "{files}" not in command:
            yield command
            continue
        batch: list[str] = []
        for word in [*map(shlex.quote, files), None]:
            if batch and (word is None or sum(map(len, batch)) + len(batch) + len(word) > MOST_NAMES):
                yield command.replace("{files}", " ".join(batch))
                batch = []
            if word is not None:
                batch.append(word)


def _is_plain(worktree: Path, name: str) -> bool:
    """Whether a name of a log is a file of the worktree: no option, no way out, no link at any level."""
    root = worktree.resolve()
    path = root / name
    return not name.startswith(("/", "-")) and path.resolve() == path and path.is_file()


def _nothing(reason: str) -> FixResult:
    return FixResult(status=FixStatus.NO_CHANGE, reason=reason)


def _why_nothing(status: int, output: str, request: FixRequest) -> str:
    if status == 0:
        return "changed nothing"
    last = [line.strip() for line in output.splitlines() if line.strip()]
    said = f": {request.redact(last[-1])[:200]}" if last else ""
    return f"changed nothing (exit status {status}){said}"
