"""Starts runs that outlive the command: the same program, as a child that leads its own session."""

from __future__ import annotations

from cicdctl.model import Run
from cicdctl.project import Project
from cicdctl.runner.begin import begin
from cicdctl.runner.request import RunRequest


def start_detached_run(project: Project, request: RunRequest) -> Run:
    """Queue a run and start its runner; returns as soon as the run is durable."""
    run = begin(project, request).run
    start_runner(project, run)
    return run


def start_runner(project: Project, run: Run) -> None:
    """Start the runner of a queued run; a second one of the same run ends at once."""
    from cicdctl.process import own_environ, start_detached

    folder = project.state_folder / "logs" / str(run.number)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    start_detached(
        runner_argv(project, run),
        cwd=project.repository.common_dir,
        env=own_environ(project.environ),
        log=folder / "runner.log",
    )


def runner_argv(project: Project, run: Run) -> tuple[str, ...]:
    """Return the command that carries out a queued run."""
    from cicdctl.process import own_argv

    named = run.options.get("operator_file")
    settings = () if named is None else ("--operator-file", str(named))
    return own_argv(project.repository.work_tree or project.repository.git_dir, "_runner", *settings, str(run.number))
