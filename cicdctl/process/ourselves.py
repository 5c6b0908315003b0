"""How cicdctl starts itself: the same program in a process of its own, whatever PATH and git say."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def own_argv(folder: Path, *words: str, config_file: Path | None = None) -> tuple[str, ...]:
    """Return the command line for one of our commands on the repository at `folder`."""
    config = () if config_file is None else ("--config", str(config_file.absolute()))
    return (sys.executable, "-P", "-m", "cicdctl", "-C", str(folder), *config, *words)


def own_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what git sets for hooks: a relative GIT_DIR would mean another repository."""
    return {name: value for name, value in environ.items() if not name.startswith("GIT_")}
