"""Texts of a pipeline that each run fills in: the group it is of, and the environment it deploys to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cicdctl.config.names import check_line, check_name
from cicdctl.config.problems import At, Problems, quote
from cicdctl.config.shapes import Text

PLACEHOLDERS = ("branch", "ref", "pipeline", "environment")
_PARAM = r"\{params\.([A-Za-z_][A-Za-z0-9_]*)\}"
GROUP_PATTERN = r"^([^{}\x00-\x1f\x7f]|\{(branch|ref|pipeline|environment|params\.[A-Za-z_][A-Za-z0-9_]*)\})+$"
ENVIRONMENT_PATTERN = r"^(?!-)([A-Za-z0-9_-]|\{params\.[A-Za-z_][A-Za-z0-9_]*\})+$"


def fill_params(text: str, params: Mapping[str, str]) -> str:
    """Put the values of parameters in the place of `{params.NAME}`; one without a value leaves nothing."""
    return re.sub(_PARAM, lambda found: params.get(found[1], ""), text)


def check_group(group: str) -> str | None:
    """Say what is wrong with the name of a group, or None."""
    rest = re.sub(_PARAM, "", group)
    for name in PLACEHOLDERS:
        rest = rest.replace("{" + name + "}", "")
    if "{" in rest or "}" in rest:
        known = "{branch}, {ref}, {pipeline}, {environment} and {params.NAME}"
        return f"may hold {known} only, not {quote(group)}"
    return check_line(group)


def _check_environment(name: str) -> str | None:
    rest = re.sub(_PARAM, "x", name)
    if "{" in rest or "}" in rest:
        return f"may hold {{params.NAME}} only, not {quote(name)}"
    return check_name(rest)


ENVIRONMENT = Text(check=_check_environment, pattern=ENVIRONMENT_PATTERN, label="a name")


def check_named_params(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    """Note each parameter that such a text names and its pipeline does not declare."""
    params = raw.get("params")
    known = list(params) if isinstance(params, Mapping) else []
    for where, text in _texts(raw):
        for name in re.findall(_PARAM, text):
            if name not in known:
                complaint = f'names a parameter that is not declared: "{name}"'
                problems.add((*at, *where), complaint, word=name, known=known)


def _texts(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    concurrency = raw.get("concurrency")
    group = concurrency.get("group") if isinstance(concurrency, Mapping) else None
    for where, text in (
        (("environment",), raw.get("environment")),
        (("concurrency",), concurrency),
        (("concurrency", "group"), group),
    ):
        if isinstance(text, str):
            yield where, text


def refuse_rollback(raw: Mapping[str, Any], at: At, problems: Problems) -> None:
    """Note each `rollback` of a pipeline without an environment, which alone has a history to go back in."""
    if "environment" in raw:
        return
    stages = raw.get("stages")
    places: list[tuple[tuple[str, ...], Any]] = [((), raw)]
    for name, stage in stages.items() if isinstance(stages, Mapping) else ():
        check = stage.get("health_check") if isinstance(stage, Mapping) else None
        places.append((("stages", name, "health_check"), check))
    for where, table in places:
        if isinstance(table, Mapping) and table.get("rollback") is True:
            problems.add((*at, *where, "rollback"), 'needs "environment": where the pipeline deploys to')
