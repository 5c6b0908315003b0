"""Explains a miss: which components of the key differ, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from cicdctl.model.values import Value

# The order in which a reader wants them: what people change first, what machines change last.
_ORDER = (
    "inputs",
    "commands",
    "settings",
    "artifacts",
    "env",
    "params",
    "matrix",
    "outputs",
    "variables",
    "fingerprint",
    "secrets",
    "commit",
    "shell",
    "directory",
    "platform",
    "runner",
    "sandbox",
    "trust",
    "version",
)
_WORDS = {
    "inputs": "files changed",
    "commands": "other commands",
    "settings": "uses, options, artifacts, reports, services, network, home, workspace or health check changed",
    "artifacts": "laid down in another order",
    "commit": "another commit, and the stage reads history",
    "version": "results of another version of cicdctl",
}
_MAX_NAMES = 5


class Difference(Value, frozen=True, kw_only=True):
    """One component that differs. `names` are the parts of it, for example the variables; `text` is for people."""

    component: str
    change: Literal["added", "removed", "changed"]
    names: tuple[str, ...] = ()
    text: str = ""


def explain(
    now: Mapping[str, str], before: Mapping[str, str], *, details: Mapping[str, str] | None = None
) -> list[Difference]:
    """Compare two maps of components as `stage_key` returns them; no difference, empty list.

    `details` may give better words for a component, such as `{"inputs": "3 files changed: a.py, b.py, c.py"}`.
    """
    changed = [name for name in {**now, **before} if now.get(name) != before.get(name)]
    groups: dict[str, list[str]] = {}
    for name in sorted(changed):
        groups.setdefault(name.partition(".")[0], []).append(name)
    order = {component: position for position, component in enumerate(_ORDER)}
    return [
        _difference(component, groups[component], now, before, (details or {}).get(component))
        for component in sorted(groups, key=lambda component: (order.get(component, len(order)), component))
    ]


def find_nearest(now: Mapping[str, str], earlier: Sequence[Mapping[str, str]]) -> int | None:
    """Return the position of the earlier components that differ least, the first of equals; None for none."""

    def distance(position: int) -> int:
        before = earlier[position]
        return sum(1 for name in {**now, **before} if now.get(name) != before.get(name))

    return min(range(len(earlier)), key=distance, default=None)


def _difference(
    component: str, names: list[str], now: Mapping[str, str], before: Mapping[str, str], detail: str | None
) -> Difference:
    # The order of artifacts is a component of its own, and worth a word only when nothing else of them differs.
    parts = [name for name in names if name != component] or names
    changes = {name: _change(name, now, before) for name in parts}
    kinds = set(changes.values())
    text = detail or (
        _values(component, parts[0], now, before)
        if len(parts) == 1 and changes[parts[0]] == "changed"
        else _listed(component, changes)
    )
    return Difference(
        component=component,
        change=kinds.pop() if len(kinds) == 1 else "changed",
        names=tuple(name.removeprefix(component + ".") for name in parts if name != component),
        text=f"{component}: {text}",
    )


def _change(name: str, now: Mapping[str, str], before: Mapping[str, str]) -> Literal["added", "removed", "changed"]:
    if name not in before:
        return "added"
    return "changed" if name in now else "removed"


def _values(component: str, name: str, now: Mapping[str, str], before: Mapping[str, str]) -> str:
    part = name.removeprefix(component + ".")
    if component == name and component in _WORDS:
        return _WORDS[component]
    # Digests say nothing to people, not even that of an artifact.
    hidden = component in ("artifacts", "secrets") or "sha256:" in (now[name][:7], before[name][:7])
    if hidden:
        return "changed" if component == name else f"{part} changed"
    values = f"{_quoted(now[name])}, was {_quoted(before[name])}"
    return values if component == name else f"{part} is {values}"


def _quoted(value: str) -> str:
    return f'"{value}"' if not value or " " in value else value


def _listed(component: str, changes: Mapping[str, str]) -> str:
    listed = [
        change if name == component else f"{name.removeprefix(component + '.')} {change}"
        for name, change in changes.items()
    ]
    more = len(listed) - _MAX_NAMES
    return ", ".join(listed[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
