"""Stages of a Node project: the scripts that its package.json has, by the package manager it uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from cicdctl.config.sketch import Read, Sketch

CHECKS = ("lint", "typecheck", "type-check", "check-types", "tsc")
# What `npm init` writes where there are no tests.
NO_TESTS = "no test specified"
WATCHING = ("--watch", "nodemon")


def node_stages(names: Collection[str], read: Read) -> Iterator[Sketch]:
    """Yield check, build and test, each where the scripts for it are there."""
    if "package.json" not in names:
        return
    try:
        package = msgspec.json.decode(read("package.json") or b"{}")
    except (msgspec.DecodeError, RecursionError):
        package = {}
    package = package if isinstance(package, dict) else {}
    install, run = _manager(names, package)
    scripts = _scripts(package)
    checks = tuple(f"{run} {name}" for name in CHECKS if name in scripts)
    if checks:
        yield Sketch(name="check", run=(install, *checks))
    if "build" in scripts:
        yield Sketch(name="build", run=(install, f"{run} build"))
    if "test" in scripts:
        yield Sketch(name="test", run=(install, f"{run} test"))
    if not {"build", "test"} & set(scripts) and not checks:
        note = "package.json has no lint, build or test script; this makes sure that it can be installed."
        yield Sketch(name="install", run=(install,), note=note)


def _scripts(package: dict[str, Any]) -> dict[str, str]:
    written = package.get("scripts")
    found = written if isinstance(written, dict) else {}
    return {
        name: text
        for name, text in found.items()
        if isinstance(text, str)
        and text.strip()
        and NO_TESTS not in text
        and not any(word in text.split() for word in WATCHING)
    }


def _manager(names: Collection[str], package: dict[str, Any]) -> tuple[str, str]:
    wanted = str(package.get("packageManager") or "")
    if "pnpm-lock.yaml" in names or wanted.startswith("pnpm@"):
        return "pnpm install" + (" --frozen-lockfile" if "pnpm-lock.yaml" in names else ""), "pnpm run"
    if "yarn.lock" in names or wanted.startswith("yarn@"):
        is_modern = ".yarnrc.yml" in names or (wanted.startswith("yarn@") and not wanted.startswith("yarn@1"))
        frozen = " --immutable" if is_modern else " --frozen-lockfile"
        return "yarn install" + (frozen if "yarn.lock" in names else ""), "yarn run"
    if {"package-lock.json", "npm-shrinkwrap.json"} & set(names):
        return "npm ci --no-audit --no-fund", "npm run"
    return "npm install --no-audit --no-fund", "npm run"
