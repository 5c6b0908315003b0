"""Writes the same work for each tool: a repository with files, stages and what each stage depends on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

IGNORED = "node_modules\n.turbo\n.nx\n.moon/cache\ndist\npackaged\n"
PACKAGE = {"name": "bench", "private": True, "packageManager": "npm@11.0.0"}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One unit of work. `inputs` are globs without a trailing part tools disagree on; `outputs` are folders."""

    name: str
    run: str
    inputs: Sequence[str] = ("src",)
    outputs: Sequence[str] = ()
    needs: Sequence[str] = ()


def wide(count: int) -> list[Stage]:
    """Return `count` stages that need nothing and one that needs them all.

    `true` ignores its argument; without one the stages would be equal, and cicdctl runs equal stages once.
    """
    stages = [Stage(name=f"s{number}", run=f"true {number}") for number in range(count)]
    return [*stages, Stage(name="join", run="true", needs=[stage.name for stage in stages])]


def write_files(folder: Path, count: int) -> None:
    """Write `count` small, different files below src/, 50 a folder."""
    for number in range(count):
        path = folder / "src" / f"part{number // 50}" / f"file{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number}\n" * 20)


def write_cicdctl(folder: Path, stages: Sequence[Stage]) -> None:
    lines = ["[project]", 'name = "bench"', "", "[pipelines.build]", 'trigger = "manual"', ""]
    for stage in stages:
        lines += [
            f"[pipelines.build.stages.{stage.name}]",
            f"run = {json.dumps(stage.run)}",
            f"inputs = {json.dumps([f'{name}/**' for name in stage.inputs])}",
            f"needs = {json.dumps(list(stage.needs))}",
        ]
        if stage.outputs:
            lines.append(f"artifacts = {json.dumps([f'{name}/**' for name in stage.outputs])}")
        lines.append("")
    (folder / ".cicd.toml").write_text("\n".join(lines))


def write_turbo(folder: Path, stages: Sequence[Stage]) -> None:
    """One package with one script per stage: with 200 tasks twice as fast as 200 workspace packages."""
    tasks = {
        stage.name: {
            "dependsOn": list(stage.needs),
            "inputs": [f"{name}/**" for name in stage.inputs],
            "outputs": [f"{name}/**" for name in stage.outputs],
        }
        for stage in stages
    }
    _write_json(folder / "turbo.json", {"tasks": tasks})
    _write_json(folder / "package.json", PACKAGE | {"scripts": {stage.name: stage.run for stage in stages}})


def write_nx(folder: Path, stages: Sequence[Stage]) -> None:
    """One project with one target per stage, only the built-in plugins: as fast as 200 projects or a little faster."""
    targets = {
        stage.name: {
            "executor": "nx:run-commands",
            "options": {"command": stage.run},
            "cache": True,
            "dependsOn": list(stage.needs),
            "inputs": [f"{{projectRoot}}/{name}/**" for name in stage.inputs],
            "outputs": [f"{{projectRoot}}/{name}" for name in stage.outputs],
        }
        for stage in stages
    }
    _write_json(folder / "project.json", {"name": "bench", "targets": targets})
    settings: Mapping[str, object] = {
        "plugins": [],
        "useInferencePlugins": False,
        "neverConnectToCloud": True,
        "analytics": False,
        "tui": {"enabled": False},
    }
    _write_json(folder / "nx.json", settings)
    _write_json(folder / "package.json", PACKAGE)


def write_moon(folder: Path, stages: Sequence[Stage]) -> None:
    (folder / ".moon").mkdir()
    (folder / ".moon/workspace.yml").write_text("projects:\n  bench: '.'\ntelemetry: false\n")
    tasks = {
        stage.name: {
            "script": stage.run,
            "deps": list(stage.needs),
            "inputs": [f"{name}/**/*" for name in stage.inputs],
            "outputs": [f"{name}/**/*" for name in stage.outputs],
        }
        for stage in stages
    }
    (folder / "moon.yml").write_text(json.dumps({"language": "unknown", "tasks": tasks}))


def commit_all(folder: Path, env: Mapping[str, str], modules: Path | None = None) -> None:
    """Make the folder a repository with one commit. `modules` is linked in as node_modules, ignored by git."""
    (folder / ".gitignore").write_text(IGNORED)
    if modules is not None:
        os.symlink(modules, folder / "node_modules")
    # A link is no folder, so the pattern of .gitignore above has no trailing slash.
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.test"]
        subprocess.run(["git", *identity, *command], cwd=folder, env=dict(env), check=True)


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=1))
