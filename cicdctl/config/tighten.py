"""A pushed file may make the operator's limits stricter, never looser; what it may not do is told, not done."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from cicdctl.config.document import parse_document
from cicdctl.config.fixing_rules import Fixer, fixer_table
from cicdctl.config.operator import Resolved, read_settings, shape_below
from cicdctl.config.problems import At, Problems, describe, show_path
from cicdctl.config.rules import OPERATOR_FILE
from cicdctl.config.settings import Config, Settings
from cicdctl.config.shapes import WRONG, Choice, Shape
from cicdctl.config.substitute import substitute
from cicdctl.config.table import Key, Named, Table

_MAY = {
    "never": "a pushed file cannot change it",
    "lower": "a pushed file may only lower it",
    "higher": "a pushed file may only raise it",
    "off": "a pushed file may only switch it off",
    "on": "a pushed file may only switch it on",
    "narrower": "a pushed file may only leave some out",
    "add": "a pushed file may only add to it",
    "order": "a pushed file may only be stricter",
}


def tighten(
    operator: Resolved, pushed: Config, environ: Mapping[str, str] | None = None
) -> tuple[Settings, tuple[str, ...]]:
    """Return what is in force for a run of a pushed file, and a warning for each key it could not loosen.

    Nothing of the pushed file is filled in from `environ`; that is for the operator's own values.
    """
    document = copy.deepcopy(dict(operator.document))
    tightening = _Tightening(pushed.source)
    tightening.walk(OPERATOR_FILE, document, pushed.document, ())
    filled, missing = substitute(document, environ or {})
    return read_settings(filled, missing), tuple(tightening.warnings)


def keep_shared(operator: Settings, tightened: Settings) -> Settings:
    """Return the tightened settings without those by which one run would reach the others.

    A push must not empty everybody's cache, hold the queue, or keep what happened from those who are told.
    """
    ours, theirs = operator.orchestrator, tightened.orchestrator
    orchestrator = replace(
        theirs,
        max_parallel_pipelines=ours.max_parallel_pipelines,
        polling_interval_s=ours.polling_interval_s,
        cache=replace(theirs.cache, max_size_bytes=ours.cache.max_size_bytes, ttl_s=ours.cache.ttl_s),
        failure_handling=replace(theirs.failure_handling, pause_on_failure=ours.failure_handling.pause_on_failure),
    )
    return replace(tightened, orchestrator=orchestrator, notifiers=operator.notifiers)


class _Tightening:
    """Walks both documents at once and changes the operator's in place."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.warnings: list[str] = []

    def walk(self, shape: Shape, ours: dict[str, Any], theirs: Mapping[str, Any], at: At) -> None:
        for name, value in theirs.items():
            here = (*at, name)
            key = _key(shape, name)
            part = key.shape if key else shape_below(shape, name)
            if at in (("fixers",), ("notifiers",)) and name not in ours and name != "claude":
                self._section(ours, name, value, here)
            elif isinstance(part, Table | Named) and isinstance(value, Mapping):
                if at == ("fixers",):
                    part = fixer_table(str(ours.get(name, {}).get("uses", name)), has_run="run" in ours.get(name, {}))
                under = ours.get(name, {})
                self.walk(part, under, value, here)
                if under:
                    ours[name] = under
            else:
                limits = Key(name=name, shape=part or shape, doc="", tighten="lower") if _is_limit(at) else key
                self._leaf(limits, ours, name, value, here)

    def _section(self, ours: dict[str, Any], name: str, value: Any, at: At) -> None:
        if isinstance(value, Mapping) and value.get("enabled") is False:
            return
        self.warnings.append(f"{self.source}: {show_path(at)} is ignored: a pushed file cannot add a {str(at[0])[:-1]}")

    def _leaf(self, key: Key | None, ours: dict[str, Any], name: str, value: Any, at: At) -> None:
        how = key.tighten if key is not None else "never"
        if key is None:
            if name not in ours or ours[name] != value:
                self._warn(at, value, None, _MAY["never"], is_secret=True)
            return
        present = ours[name] if name in ours else _default(key)
        now, wanted = _read(key, present), _read(key, value)
        if now == wanted or wanted is WRONG:
            return
        taken = _stricter(key, now, wanted)
        if taken is not None:
            ours[name] = _raw(taken, value, wanted, now)
        if taken != wanted and how != "add":
            self._warn(at, value, present, _MAY[how], is_secret=key.secret)

    def _warn(self, at: At, value: Any, present: Any, why: str, *, is_secret: bool) -> None:
        written = "" if is_secret else f" = {_show(value)}"
        force = "" if is_secret or present is None else f" (in force: {_show(present)})"
        self.warnings.append(f"{self.source}: {show_path(at)}{written} is ignored: {why}{force}")


def _key(shape: Shape, name: str) -> Key | None:
    return shape.by_name.get(name) if isinstance(shape, Table) and not isinstance(shape, Fixer) else None


def _is_limit(at: At) -> bool:
    return at == ("orchestrator", "timeouts")


def _stricter(key: Key, now: Any, wanted: Any) -> Any:
    """Return the value in force when both have a say; None when the operator's stands."""
    how = key.tighten
    if how == "lower":
        return wanted if now is None or wanted < now else None
    if how == "higher":
        return wanted if now is None or wanted > now else None
    if how == "off":
        return False if wanted is False else None
    if how == "on":
        return True if wanted is True else None
    if how == "narrower":
        kept = tuple(one for one in wanted if one in (now or ()) or "*" in (now or ()))
        return kept if kept or not wanted else None
    if how == "add":
        return (*(now or ()), *(one for one in wanted if one not in (now or ())))
    if how == "order" and isinstance(key.shape, Choice):
        options = key.shape.options
        return wanted if options.index(wanted) > options.index(now) else None
    return None


def _default(key: Key) -> Any:
    return parse_document(f"v = {key.default}".encode(), "default")[0]["v"] if key.default else None


def _read(key: Key, raw: Any) -> Any:
    if raw is None or (isinstance(raw, str) and raw.startswith("${")):
        return raw
    return key.shape.read(raw, (), Problems())


def _raw(taken: Any, value: Any, wanted: Any, now: Any) -> Any:
    if not isinstance(taken, tuple):
        return value if taken == wanted else taken
    # What is new comes from the pushed file: `${NAME}` in it must not read the operator's environment.
    return [one if one in (now or ()) or not isinstance(one, str) else one.replace("${", "$${") for one in taken]


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        shown = ", ".join(describe(one) for one in value[:5])
        return f"[{shown}{', …' if len(value) > 5 else ''}]"
    return describe(value)
