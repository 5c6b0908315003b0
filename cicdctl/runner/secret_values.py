"""The secrets that the stages of a plan name: from the store, else from the environment by name."""

from __future__ import annotations

from collections.abc import Iterable

from cicdctl.errors import ConfigError
from cicdctl.model import Plan
from cicdctl.project import Project


def known_secrets(project: Project, names: Iterable[str]) -> dict[str, str]:
    """Return those of `names` that have a value; the others are left out."""
    return _look_up(project, names)[0]


def required_secrets(project: Project, plan: Plan) -> dict[str, str]:
    """Return the secrets that the stages of a plan name. Raises ConfigError listing each without a value.

    Stages that do not run need none; what is known of theirs is returned all the same, for their keys.
    """
    names = {name for planned in plan.stages for name in planned.stage.secrets}
    needed = {
        name
        for planned in plan.stages
        if planned.skip is None and not planned.given and plan.skip is None
        for name in planned.stage.secrets
    }
    found, missing = _look_up(project, names)
    missing = tuple(name for name in missing if name in needed)
    if missing:
        raise ConfigError(
            tuple(f'secret "{name}" is not set' for name in missing),
            hint="\n".join(f"cicdctl secrets set {name}" for name in missing),
        )
    return found


def _look_up(project: Project, names: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    wanted = sorted(set(names))
    if not wanted:
        return {}, ()
    # A name in the configuration is the allow-list: nothing else of the environment is looked at.
    return project.secrets.get(wanted, {name: project.environ[name] for name in wanted if name in project.environ})
