"""The operator's configuration in force: layers laid over each other, and where each value came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from cicdctl.config.fixing_rules import CLAUDE_FIXER, COMMAND_FIXER, PLUGIN_FIXER, Fixer
from cicdctl.config.problems import At, Problems, show_path, tell
from cicdctl.config.read import make_config
from cicdctl.config.rules import OPERATOR_FILE
from cicdctl.config.settings import Config, Settings
from cicdctl.config.shapes import WRONG, Shape, plain
from cicdctl.config.substitute import Missing, substitute
from cicdctl.config.table import Key, Named, Table
from cicdctl.errors import ConfigError
from cicdctl.model.values import Value

HIDDEN = "***"
_USERINFO = re.compile(r"(\w://)[^/@\s]*@")
_SECRET_OPTION = re.compile(r"url|token|secret|passw|key|credential|auth|dsn|webhook", re.IGNORECASE)


class Layer(Value, frozen=True, kw_only=True):
    """Raw operator sections, valid by themselves, and the name people know their origin by."""

    origin: str
    document: Mapping[str, Any]


class Resolved(Value, frozen=True, kw_only=True):
    """What is in force, and the keys that have no value because their environment variable is `missing`.

    `document` is the raw form before variables were filled in, `origins` who set which key of it.
    """

    settings: Settings
    missing: tuple[Missing, ...] = ()
    document: Mapping[str, Any] = {}
    origins: Mapping[At, str] = {}

    @property
    def values(self) -> tuple[tuple[str, Any, str], ...]:
        """Every key with its value as written and its origin; values of secrets are hidden."""
        return tuple(_values(OPERATOR_FILE, self.document, (), self.origins))

    def require(self, *path: str, but: At | None = None) -> None:
        """Raise ConfigError when a key below `path`, `but` one, wants an environment variable that is not set."""
        lost = [missing for missing in self.missing if missing.at[: len(path)] == path and missing.at != but]
        if lost:
            names = " ".join(sorted({missing.name for missing in lost}))
            raise ConfigError(tuple(missing.tell() for missing in lost), hint=f"set it before the start: {names}")


def config_layer(config: Config) -> Layer:
    """Return the layer of a file that was read."""
    return Layer(origin=config.source, document=config.document)


def resolve(layers: Sequence[Layer], environ: Mapping[str, str] | None = None) -> Resolved:
    """Lay layers over each other, weakest first, and fill in `${NAME}` from `environ`.

    Tables are merged key by key; anything else replaces what was there. Raises ConfigError when the
    whole makes no sense, for example because a variable holds what its key does not take.
    """
    document: dict[str, Any] = {}
    origins: dict[At, str] = {}
    for layer in layers:
        _lay(OPERATOR_FILE, document, layer.document, (), layer.origin, origins)
    filled, missing = substitute(document, environ or {})
    return Resolved(
        settings=read_settings(filled, missing),
        missing=missing,
        document=document,
        origins=origins,
    )


def read_settings(document: Mapping[str, Any], missing: Sequence[Missing] = ()) -> Settings:
    """Read raw operator sections whose variables are filled in."""
    problems = Problems()
    fields = OPERATOR_FILE.read(document, (), problems)
    if fields is WRONG:
        told = tell(problems.found, "configuration in force", dict)
        raise ConfigError((*told, *(lost.tell() for lost in missing)))
    config = make_config(fields, document, "")
    return Settings(**{name: getattr(config, name) for name in Settings.__struct_fields__})


def with_settings(config: Config, settings: Settings, *, ceiling: bool = False) -> Config:
    """Give pipelines the operator's time limits: where they have none, or with `ceiling` never more than those."""

    def limited(name: str, timeout_s: float | None) -> float | None:
        limit_s = settings.orchestrator.timeouts.get(name)
        if timeout_s is None or limit_s is None:
            return limit_s if timeout_s is None else timeout_s
        return min(timeout_s, limit_s) if ceiling else timeout_s

    pipelines = tuple(
        msgspec.structs.replace(pipeline, timeout_s=limited(pipeline.name, pipeline.timeout_s))
        for pipeline in config.pipelines
    )
    return msgspec.structs.replace(config, pipelines=pipelines)


def _lay(
    shape: Shape, below: dict[str, Any], above: Mapping[str, Any], at: At, origin: str, origins: dict[At, str]
) -> None:
    for name, value in above.items():
        part = shape_below(shape, name)
        here = (*at, name)
        if isinstance(part, Table | Named) and isinstance(value, Mapping):
            under = below.setdefault(name, {})
            if isinstance(under, dict):
                _lay(part, under, value, here, origin, origins)
                continue
        below[name] = plain(value)
        origins[here] = origin


def shape_below(shape: Shape, name: str) -> Shape | None:
    """Return the shape of one key of a table or map, None when it has none of its own."""
    if isinstance(shape, Named):
        return shape.of
    if isinstance(shape, Fixer):
        return _fixer_key(name)
    if isinstance(shape, Table):
        key = shape.by_name.get(name)
        return key.shape if key else shape.rest
    return None


def _fixer_key(name: str) -> Shape | None:
    for table in (COMMAND_FIXER, CLAUDE_FIXER, PLUGIN_FIXER):
        if name in table.by_name:
            return table.by_name[name].shape
    return None


def _values(
    shape: Shape, document: Mapping[str, Any], at: At, origins: Mapping[At, str]
) -> Iterator[tuple[str, Any, str]]:
    keys = shape.keys if isinstance(shape, Table) and not isinstance(shape, Fixer) else ()
    known = {key.name for key in keys}
    for key in keys:
        here = (*at, key.name)
        if isinstance(key.shape, Table | Named) and not _is_options(key):
            yield from _values(key.shape, document.get(key.name, {}), here, origins)
        else:
            value = document.get(key.name, _default(key))
            yield show_path(here), _shown(value, key.name, is_secret=key.secret), _origin(here, origins)
    for name, value in document.items():
        here = (*at, name)
        if name in known:
            continue
        if isinstance(value, Mapping):
            yield from _values(shape_below(shape, name) or shape, value, here, origins)
        else:
            is_secret = _SECRET_OPTION.search(name) is not None and at[:1] in (("notifiers",), ("fixers",))
            yield show_path(here), _shown(value, name, is_secret=is_secret), _origin(here, origins)


def _is_options(key: Key) -> bool:
    return key.name == "options"


def _origin(at: At, origins: Mapping[At, str]) -> str:
    for end in range(len(at), 0, -1):
        if at[:end] in origins:
            return origins[at[:end]]
    return "default"


def _default(key: Key) -> Any:
    from cicdctl.config.document import parse_document

    return plain(parse_document(f"v = {key.default}".encode(), "default")[0]["v"]) if key.default else None


def _shown(value: Any, name: str, *, is_secret: bool) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(part, key, is_secret=_SECRET_OPTION.search(key) is not None) for key, part in value.items()}
    if isinstance(value, list):
        return [_shown(part, name, is_secret=is_secret) for part in value]
    if isinstance(value, str):
        value = _USERINFO.sub(rf"\1{HIDDEN}@", value)
    is_reference = isinstance(value, str) and value.startswith("${") and value.endswith("}")
    return HIDDEN if is_secret and value is not None and not is_reference else value
