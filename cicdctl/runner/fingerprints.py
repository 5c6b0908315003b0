"""Asks tools on this machine who they are, for the keys of stages: once per run, command and environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.errors import CicdError, StoreError, describe
from cicdctl.model import Run, Stage
from cicdctl.project import Project
from cicdctl.runner.places import remove_scratch
from cicdctl.runner.sandboxes import needs_sandbox, sandbox_of

if TYPE_CHECKING:
    from cicdctl.process import Control

LIMIT_S = 60.0
MAX_BYTES = 65_536


class Fingerprints:
    """What the commands of one run answered."""

    def __init__(self, project: Project, run: Run) -> None:
        self._project = project
        self._run = run
        self._known: dict[tuple[str, ...], str] = {}
        self._asking: Control | None = None
        self._interrupted: str | None = None

    def interrupt(self, reason: str) -> None:
        """Ask nothing more, and end what is being asked within a second. Takes no lock, for a signal handler."""
        self._interrupted = reason
        if self._asking is not None:
            self._asking.reason = reason

    def ask(self, command: str, stage: Stage, env: Mapping[str, str]) -> str:
        """Run a command in an empty folder, sandboxed where the stage is; return its status and output.

        Raises StoreError when it does not end, or prints more than MAX_BYTES.
        """
        kind = f"{needs_sandbox(stage, self._run.trust)} {stage.network}"
        place = (command, kind, *(f"{name}={value}" for name, value in sorted(env.items())))
        if place not in self._known:
            try:
                self._known[place] = self._answer(command, stage, env)
            except (CicdError, OSError) as error:
                raise StoreError(f"fingerprint command {command!r}: {describe(error)}") from error
        return self._known[place]

    def _answer(self, command: str, stage: Stage, env: Mapping[str, str]) -> str:
        from tempfile import mkdtemp

        scratch = self._project.cache_folder / "scratch"
        scratch.mkdir(mode=0o700, exist_ok=True)
        folder = Path(mkdtemp(prefix=f"{self._run.number}-fingerprint-", dir=scratch))
        try:
            return self._run_in(folder, command, stage, env)
        finally:
            remove_scratch(folder)

    def _run_in(self, folder: Path, command: str, stage: Stage, env: Mapping[str, str]) -> str:
        from cicdctl.process import Control, ProcessSpec, build_environment, run_process

        project, output = self._project, bytearray()
        self._asking = control = Control()
        if self._interrupted is not None:
            raise StoreError(self._interrupted)
        paths = tuple(Path(path) for path in project.settings.orchestrator.sandbox_paths)

        def take(chunk: bytes) -> None:
            output.extend(chunk[: MAX_BYTES + 1 - len(output)])
            if len(output) > MAX_BYTES:
                control.cancel(f"it prints more than {MAX_BYTES >> 10} KB")

        ended = run_process(
            ProcessSpec(
                argv=("sh", "-c", command),
                cwd=folder,
                env=build_environment(project.environ, home=folder, tmp=folder) | dict(env),
                mark=f"{project.repository.id}/{self._run.number}/fingerprint",
                timeout_s=LIMIT_S,
                grace_s=0.0,
                sandbox=sandbox_of(stage, self._run.trust, project.environ, writable=(folder,), readonly=paths),
                backend="tree",
            ),
            take,
            control,
        )
        if ended.reason != "exited":
            raise StoreError(ended.detail or ended.reason)
        status = -(ended.signal or 0) if ended.exit_code is None else ended.exit_code
        return f"{status}:{output.decode('utf-8', 'replace').strip()}"
