"""Pipelines, the queue and environments at one look."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cicdctl.model import Pipeline
from cicdctl.near_words import near_word
from cicdctl.orchestrator.asked import known_pipelines
from cicdctl.orchestrator.pausing import holder_of
from cicdctl.orchestrator.queue_view import QueueView, WaitingRun, look_at_queue
from cicdctl.orchestrator.rollback import known_environments
from cicdctl.reports.deploys import fields
from cicdctl.reports.document import run_fields
from cicdctl.server.answers import Refusal, answer
from cicdctl.server.api.query import number_of, read_query
from cicdctl.server.route import Route
from cicdctl.server.site import Site

MOST_LATEST = 50
MOST_DEPLOYMENTS = 1000


def list_pipelines(request: Request) -> Response:
    """Every pipeline of the configuration, and those that only have runs, by name."""
    limit = number_of(read_query(request, "limit"), "limit", 1, least=0, most=MOST_LATEST)
    assert limit is not None
    return answer(pipelines_document(request.state.site, limit))


def pipelines_document(site: Site, limit: int) -> dict[str, Any]:
    """Return the pipelines with their newest runs; `problem` says why the configuration has none."""
    with site.open() as project:
        known = known_pipelines(project)
        runs = project.state.latest_per_pipeline(limit) if limit else {}
        paused = project.state.queue.paused()
    declared = {one.name: one for one in known.pipelines}
    names = sorted({*declared, *runs})
    return {
        "pipelines": [
            {
                "name": name,
                **_declared(declared.get(name)),
                "paused": "" in paused or name in paused,
                "runs": [run_fields(run) for run in runs.get(name, ())],
            }
            for name in names
        ],
        "problem": known.problem,
    }


def _declared(pipeline: Pipeline | None) -> dict[str, Any]:
    if pipeline is None:
        return {
            "is_declared": False,
            "trigger": None,
            "after": None,
            "environment": None,
            "approval": False,
            "params": [],
            "stages": [],
        }
    return {
        "is_declared": True,
        "trigger": pipeline.trigger.kind.value,
        "after": pipeline.trigger.after,
        "environment": pipeline.environment,
        "approval": pipeline.approval,
        "params": [
            {"name": param.name, "default": param.default, "choices": list(param.choices)} for param in pipeline.params
        ],
        "stages": [stage.name for stage in pipeline.stages],
    }


def show_queue(request: Request) -> Response:
    """What runs and what waits, and for what."""
    read_query(request)
    project = request.state.site.project
    view = look_at_queue(project)
    holders = {name: holder_of(project, name) for name in view.paused if name}
    by = {name: run.number for name, run in holders.items() if run is not None}
    return answer(queue_document(view) | {"paused_by": by})


def queue_document(view: QueueView) -> dict[str, Any]:
    """Return the queue; of what waits the first ones, in the order in which they are taken."""
    return {
        "running": [run_fields(run) for run in view.running],
        "waiting": [_waiting(one) for one in view.waiting],
        "waiting_total": view.total,
        "paused": list(view.paused),
        "at_once": view.at_once,
    }


def _waiting(one: WaitingRun) -> dict[str, Any]:
    return {
        "run": run_fields(one.run),
        "why": one.why,
        "text": one.text,
        "behind": list(one.behind),
        "priority": one.waiting.priority,
        "group": one.waiting.group,
        "queued_at": one.waiting.queued_at,
        "tries": one.waiting.tries,
    }


def list_environments(request: Request) -> Response:
    """What was deployed last to each environment, and the names of all there are."""
    read_query(request)
    with request.state.site.open() as project:
        current = project.state.deployments.current()
        names = sorted({*current, *known_environments(project)})
    return answer({"environments": [fields(one) for one in current.values()], "names": names})


def show_environment(request: Request) -> Response:
    """The deployments of one environment, newest first."""
    name = request.path_params["name"]
    limit = number_of(read_query(request, "limit"), "limit", 20, least=1, most=MOST_DEPLOYMENTS)
    assert limit is not None
    with request.state.site.open() as project:
        found = project.state.deployments.of(name, limit=limit)
        known = [] if found else known_environments(project)
    if not found and name not in known:
        text = f'there is no environment "{name[:80]}"{near_word(name[:80], known)}'
        raise Refusal(404, "no_such_environment", text)
    return answer({"environment": name, "deployments": [fields(one) for one in found]})


ROUTES = (
    Route("GET", "/api/pipelines", list_pipelines),
    Route("GET", "/api/queue", show_queue),
    Route("GET", "/api/environments", list_environments),
    Route("GET", "/api/environments/{name}", show_environment),
)
