"""What follows a deploy in whatever process it ran: those who wait for its environment, and its rollback."""

from __future__ import annotations

from cicdctl.hookspecs import hookimpl
from cicdctl.model import RunSummary, Verdict
from cicdctl.project import Project


class DeployEnds:
    """Built in: starts what waited for the environment, and says what becomes of a deploy that failed."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @hookimpl
    def cicdctl_run_finished(self, summary: RunSummary) -> None:
        if summary.run.deploy is None:
            return
        from cicdctl.orchestrator.after_run import drain_quietly  # only deploys pay for it

        drain_quietly(self._project)
        self._tell(summary)

    def _tell(self, summary: RunSummary) -> None:
        deployed = self._project.state.deployments.of_run(summary.run.number)
        if deployed is None or deployed.verdict in (Verdict.PASSED, Verdict.CANCELLED):
            return
        where = f'environment "{deployed.environment}"'
        if deployed.rolled_back_by is not None:
            rollback = self._project.state.load(deployed.rolled_back_by)
            goal = rollback.run.deploy if rollback is not None else None
            what = f" to what run #{goal.restores} had deployed" if goal is not None else ""
            self._project.warn(f"{where} is rolled back{what}: run #{deployed.rolled_back_by}")
        elif deployed.restores is not None:
            self._project.warn(f"the rollback of {where} did not pass; it is not tried again")
