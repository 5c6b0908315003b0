"""Which pipelines there are: those of the working tree, or of the tip of a repository that has none."""

from __future__ import annotations

from cicdctl.errors import CicdError
from cicdctl.model import Pipeline, Trigger, TriggerKind, Value
from cicdctl.orchestrator.asked import known_pipelines
from cicdctl.project_config import CONFIG_NAME
from cicdctl.server.site import Site

_FRESH_S = 5.0


class Catalog(Value, frozen=True, kw_only=True):
    """Pipelines by name, in the order in which they are written. `problem`: why nothing is known of them."""

    pipelines: tuple[Pipeline, ...] = ()
    problem: str = ""

    def find(self, name: str) -> Pipeline | None:
        """Return a pipeline of this name."""
        return next((one for one in self.pipelines if one.name == name), None)


def catalog_of(site: Site) -> Catalog:
    """Return the pipelines as they were at most five seconds ago; a broken file is a problem, not an error."""
    return site.remember("catalog", _FRESH_S, lambda: _read(site))


def _read(site: Site) -> Catalog:
    try:
        with site.open() as project:
            known = known_pipelines(project)
    except CicdError as error:
        return Catalog(problem=error.message)
    return Catalog(pipelines=known.pipelines, problem=known.problem or "")


def absent_words(name: str, catalog: Catalog) -> str:
    """Say why something that has runs is no pipeline: runs of a commit whose file is wrong have that file's name."""
    if name == CONFIG_NAME:
        return "commits whose configuration is wrong"
    return "the configuration cannot be read" if catalog.problem else "no longer in the configuration"


def trigger_words(trigger: Trigger) -> str:
    """Say when a pipeline starts by itself."""
    if trigger.kind is TriggerKind.SCHEDULE:
        return f"at {trigger.cron}" + ("" if trigger.timezone == "UTC" else f" {trigger.timezone}")
    if trigger.kind is TriggerKind.AFTER:
        return f"after {trigger.after}"
    if trigger.kind is TriggerKind.TAG:
        return f"on tags {', '.join(trigger.tags)}" if trigger.tags else "on every tag"
    if trigger.kind is TriggerKind.COMMIT:
        return "on every commit"
    return "by hand"
