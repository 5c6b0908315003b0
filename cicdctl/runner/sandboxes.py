"""The sandbox that a stage, and whatever else a repository makes us start, has to be in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.model import Stage, Trust

if TYPE_CHECKING:
    from cicdctl.process import Sandbox


def needs_sandbox(stage: Stage, trust: Trust) -> bool:
    """Whether a stage runs in one, or not at all. False is the usual case: nothing has to be looked up then."""
    return not stage.network or stage.sandbox == "required" or trust is not Trust.TRUSTED


def sandbox_of(
    stage: Stage, trust: Trust, environ: Mapping[str, str], *, writable: Sequence[Path], readonly: Sequence[Path]
) -> Sandbox | None:
    """Return the sandbox of a stage, or None; `environ` is the operator's. Raises SandboxError when there is none."""
    if not needs_sandbox(stage, trust):
        return None
    from cicdctl.process import choose_sandbox
    from cicdctl.process.environment import toolchain_folders

    return choose_sandbox(
        stage.sandbox,
        trusted=trust is Trust.TRUSTED,
        network=stage.network,
        writable=writable,
        # Shims in PATH start what lies in the folders of toolchains.
        readonly=(*readonly, *toolchain_folders(environ)),
        path=environ.get("PATH", ""),
        home=environ.get("HOME", ""),
    )
