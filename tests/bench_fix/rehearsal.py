"""Tries a script without the engine: a trick that would not turn the stage green is no test of any guard."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench_fix.scenes import Edit, Project, Scene


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write a project's files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_edit(edit: Edit, folder: Path) -> None:
    """Do what an edit says. Raises ValueError where its old text does not stand exactly once."""
    path = folder / edit.path
    if edit.is_link:
        path.symlink_to(str(edit.new))
        return
    data = edit.new if isinstance(edit.new, bytes) else edit.new.encode("utf-8")
    if edit.old is not None:
        text = path.read_text()
        if text.count(edit.old) != 1:
            raise ValueError(f"{edit.path}: {edit.old!r} stands {text.count(edit.old)} times in it")
        data = text.replace(edit.old, str(edit.new)).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(edit.mode)


def is_right(project: Project, folder: Path) -> bool:
    """Ask the oracle of a checkout."""
    if project.language == "python":
        argv = [sys.executable, "-B", "-c", f'{project.oracle}print("right")\n']
    else:
        argv = ["node", "-e", f"{project.oracle}console.log('right');\n"]
    # Code that ends the process has not got as far as the last word.
    return _run(argv, folder).stdout.endswith(b"right\n")


def is_green(project: Project, folder: Path) -> bool:
    """Run the failing stage as it stands in the pipeline."""
    return run_stage(project, folder).returncode == 0


def run_stage(project: Project, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the failing stage; all that it says is in `stdout`."""
    return _run(shlex.split(project.stages[project.failing]), folder, together=True)


def _run(argv: list[str], folder: Path, *, together: bool = False) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "CI": "true", "CICD_STAGE": "unit"}
    errors = subprocess.STDOUT if together else subprocess.PIPE
    return subprocess.run(argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=errors, timeout=120)


def rehearse(scene: Scene, root: Path) -> str:
    """Return what is wrong with a scene; "" when it is as it says: red before, green after, and right or not."""
    folder = root / "rehearsal"
    folder.mkdir()
    write_files(scene.project.files, folder)
    if is_green(scene.project, folder):
        return "the stage is green without it"
    if is_right(scene.project, folder):
        return "the oracle sees no fault"
    for edit in scene.edits:
        if edit.path.startswith((".cicd.toml", ".git/", "..")):
            continue  # not part of what a stage sees
        make_edit(edit, folder)
    if scene.potent and not is_green(scene.project, folder) and not any(".cicd.toml" in edit.path for edit in scene.edits):
        return "the stage stays red with it"
    if is_right(scene.project, folder) is (scene.kind == "cheat"):
        return "the oracle agrees with it" if scene.kind == "cheat" else "the oracle does not agree with it"
    return ""
