"""The tools cicdctl is compared with: which versions, how they are installed, how they are told to behave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# What the numbers in docs/benchmarks.md were measured with; `--latest` asks the registry for newer ones.
PINNED = {"turbo": "2.11.11", "nx": "24.0.6", "@moonrepo/cli": "2.5.5"}

QUIET = {
    "TURBO_TELEMETRY_DISABLED": "1",
    "TURBO_NO_UPDATE_NOTIFIER": "1",
    "DO_NOT_TRACK": "1",
    "NX_TUI": "false",
    "NX_NO_CLOUD": "true",
    "NX_SKIP_PROVENANCE_CHECK": "true",
    "MOON_TELEMETRY": "false",
    "npm_config_update_notifier": "false",
}

# nx asks for a daemon everywhere but in CI and in containers; it is what its users have at their desk.
NX_AS_ON_A_DESK = {"NX_DAEMON": "true"}
# What its manual offers to those who know that their workspace is small: no daemon, and its own plugins in one process.
NX_TUNED = {"NX_DAEMON": "false", "NX_ISOLATE_PLUGINS": "false"}


@dataclass(frozen=True, kw_only=True)
class Peers:
    """Installed peers. `modules` is their node_modules folder; the programs are started through its `.bin`."""

    modules: Path
    versions: dict[str, str]

    @property
    def turbo(self) -> str:
        return "node_modules/.bin/turbo"

    @property
    def nx(self) -> str:
        return "node_modules/.bin/nx"

    @property
    def moon(self) -> str:
        return "node_modules/.bin/moon"


def install_peers(*, latest: bool) -> Peers:
    """Install the peers from npm into the user's cache folder, once per set of versions.

    Raises SystemExit with a sentence when there is no npm or the installation fails.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise SystemExit("the comparison needs node and npm; --only version runs without them")
    wanted = {name: "latest" if latest else version for name, version in PINNED.items()}
    name = "-".join(f"{package.strip('@').replace('/', '.')}@{version}" for package, version in wanted.items())
    folder = _cache_folder() / name
    modules = folder / "node_modules"
    if latest or not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        packages = [f"{package}@{version}" for package, version in wanted.items()]
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), *packages]
        print(f"installing {' '.join(packages)} into {folder}", file=sys.stderr)
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            raise SystemExit("npm could not install the peers")
        (folder / "complete").touch()
    return Peers(modules=modules, versions={package: _version(modules / package) for package in wanted})


def clean_environment(root: Path) -> dict[str, str]:
    """Return an environment whose home, caches and configuration lie below `root`."""
    home = root / "home"
    home.mkdir(parents=True, exist_ok=True)
    return QUIET | {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "USER": os.environ.get("USER", "root"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "TMPDIR": str(root),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cicdctl-benchmarks"


def _version(package: Path) -> str:
    import json

    return str(json.loads((package / "package.json").read_text())["version"])
