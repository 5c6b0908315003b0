"""`${NAME}` in operator sections, filled in from an environment that is handed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cicdctl.config.problems import At, quote, show_path
from cicdctl.model.values import Value

# `$${` stands for the text `${` itself.
_NAME = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\$\{")
# A shell fills in what a command holds; a value put there by us would be run as code.
UNTOUCHED = frozenset({"run"})


class Missing(Value, frozen=True, kw_only=True):
    """A key whose variable is not set."""

    at: At
    name: str

    def tell(self) -> str:
        """Say so in one line."""
        return f"{show_path(self.at)}: the environment variable {quote(self.name)} is not set"


def substitute(document: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], tuple[Missing, ...]]:
    """Return a copy of raw operator sections with every `${NAME}` filled in.

    A key whose variable is not set is left out and named in the answer; it is for the user of that key
    to complain, since a run without Slack does not need Slack's address.
    """
    missing: list[Missing] = []
    filled = {
        key: value if key == "pipelines" else _fill(value, (key,), environ, missing) for key, value in document.items()
    }
    dropped = {lost.at for lost in missing}
    return _without(filled, (), dropped), tuple(missing)


def missing_names(document: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Missing, ...]:
    """Name every key whose variable is not set."""
    return substitute(document, environ)[1]


def _fill(raw: Any, at: At, environ: Mapping[str, str], missing: list[Missing]) -> Any:
    if isinstance(raw, Mapping):
        return {
            key: value if key in UNTOUCHED else _fill(value, (*at, key), environ, missing)
            for key, value in raw.items()
        }
    if isinstance(raw, list | tuple):
        return [_fill(value, at, environ, missing) for value in raw]
    if not isinstance(raw, str) or "${" not in raw:
        return raw

    def value_of(match: re.Match[str]) -> str:
        dollar, name = match.groups()
        if dollar or name is None:
            return match.group()[1:]
        if name not in environ:
            missing.append(Missing(at=at, name=name))
        return environ.get(name, "")

    return _NAME.sub(value_of, raw)


def _without(raw: dict[str, Any], at: At, dropped: set[At]) -> dict[str, Any]:
    return {
        key: _without(value, (*at, key), dropped) if isinstance(value, dict) else value
        for key, value in raw.items()
        if (*at, key) not in dropped
    }
