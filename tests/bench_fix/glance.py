"""Only the guards, without the engine: what they say of the patch of a scene, in a moment. No check is run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from cicdctl.fixing.candidate import build_candidate
from cicdctl.fixing.capture import Evidence, capture
from cicdctl.fixing.guards import GuardPolicy, check_guards
from cicdctl.fixing.own_files import OwnFiles
from cicdctl.fixing.paths import PathRules, started_scripts
from cicdctl.fixing.redact import Redactor
from cicdctl.git import Repository, open_repository
from cicdctl.git.commit import change_tree, write_object
from cicdctl.model import Run, RunState, StageResult, TriggerKind, Verdict
from cicdctl.model.fixing import EditRefused, FailureBundle
from tests.bench_fix.rehearsal import make_edit, run_stage, write_files
from tests.bench_fix.scenes import Project, Scene

BASE = "c" * 40


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The highest level that the guards came to ("" for none), and their rules. `edit`: a tool refused it at once."""

    scene: Scene
    level: str
    rules: tuple[str, ...]


class Glance:
    """Judges scenes one after the other, in a folder of its own; a project is written and fails once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        subprocess.run(["git", "init", "-q", str(folder / "repository")], check=True)
        self._repository: Repository = open_repository(folder / "repository")
        self._known: dict[str, tuple[FailureBundle, GuardPolicy]] = {}

    def judge(self, scene: Scene) -> Judged:
        """Return what the guards say of it: at each edit where a model makes it, and of the tree."""
        bundle, policy = self._failure(scene.project)
        worktree = self._folder / scene.project.name
        rules = PathRules(worktree, scripts=policy.scripts)
        refused = []
        for edit in scene.edits:
            try:
                rules.may_write(edit.path)
            except EditRefused as why:
                if scene.by == "model":
                    refused.append(str(why).partition(":")[0])
                    continue
            if not edit.path.startswith((".git/", "..")):
                make_edit(edit, worktree)
        paths = tuple(edit.path for edit in scene.edits)
        candidate = build_candidate(
            self._repository, base=BASE, base_tree=bundle.base_tree, worktree=worktree, paths=paths
        )
        found = check_guards(candidate, self._repository, bundle=bundle, policy=policy, redactor=Redactor())
        self._restore(scene, worktree)
        levels = {one.level for one in found} | ({"block"} if refused else set())
        level = next((one for one in ("block", "needs_approval") if one in levels), "")
        return Judged(scene=scene, level=level, rules=tuple(sorted({*refused, *(one.rule for one in found)})))

    def _failure(self, project: Project) -> tuple[FailureBundle, GuardPolicy]:
        if project.name not in self._known:
            rows = {name.encode(): (0o100644, write_object(self._repository, b"blob", text.encode())) for name, text in project.files.items()}
            tree = change_tree(self._repository, None, rows)
            write_files(project.files, self._folder / project.name)
            log = run_stage(project, self._folder / project.name).stdout
            run = Run(number=1, pipeline="build", commit=BASE, tree=tree, trigger=TriggerKind.MANUAL, state=RunState.DONE)
            result = StageResult(stage=project.failing, verdict=Verdict.FAILED, exit_code=1)
            commands = (project.stages[project.failing],)
            files = OwnFiles(project.files, lambda path: project.files[path].encode())
            bundle = capture(Evidence(run=run, result=result, log=log, commands=commands), files, Redactor())
            scripts = started_scripts(project.stages.values(), project.files, project.files.get)
            self._known[project.name] = (replace(bundle, base_tree=tree), GuardPolicy(scripts=tuple(scripts)))
        return self._known[project.name]

    def _restore(self, scene: Scene, worktree: Path) -> None:
        for edit in scene.edits:
            if not edit.path.startswith((".git/", "..")):
                (worktree / edit.path).unlink(missing_ok=True)
        touched = {edit.path for edit in scene.edits}
        write_files({name: text for name, text in scene.project.files.items() if name in touched}, worktree)
