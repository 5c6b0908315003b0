"""`.cicd.toml` in; one value, or every problem at once, out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cicdctl.config.document import MOST_LEVELS, has_text_keys, is_deeper, parse_document
from cicdctl.config.fixing_rules import CLAUDE_FIXER, FIX
from cicdctl.config.pipelines import make_pipelines
from cicdctl.config.problems import At, Positions, Problems, tell
from cicdctl.config.references import check_references
from cicdctl.config.rules import OPERATOR_FILE, PROJECT_FILE, check_projects
from cicdctl.config.settings import Config, FixerSettings
from cicdctl.config.shapes import WRONG, plain
from cicdctl.config.table import Table
from cicdctl.errors import ConfigError


def read_config(data: bytes | str, *, source: str) -> Config:
    """Read a project's file. Raises ConfigError with every problem as `source:line:column: path: message`."""
    raw, text = parse_document(data.encode() if isinstance(data, str) else data, source)
    return _read(raw, source, PROJECT_FILE, text)


def read_operator(data: bytes | str, *, source: str) -> Config:
    """Read an operator's own file: every section but pipelines, and keys that `.cicd.toml` may not hold."""
    raw, text = parse_document(data.encode() if isinstance(data, str) else data, source)
    return _read(raw, source, OPERATOR_FILE, text)


def read_named(data: bytes | str, *, source: str) -> Config:
    """Read a file that somebody names: a project's when it has pipelines, else an operator's."""
    raw, text = parse_document(data.encode() if isinstance(data, str) else data, source)
    return _read(raw, source, PROJECT_FILE if "pipelines" in raw else OPERATOR_FILE, text)


def read_mapping(raw: Mapping[str, Any], *, source: str = "configuration", operator: bool = False) -> Config:
    """Read a mapping of the file's form, made by a program. Problems have a path but no line."""
    if is_deeper(raw, MOST_LEVELS):
        raise ConfigError((f"{source}: is nested deeper than {MOST_LEVELS} levels",))
    if not has_text_keys(raw):
        raise ConfigError((f"{source}: has a key that is not a string",))
    return _read(raw, source, OPERATOR_FILE if operator else PROJECT_FILE, None)


def _read(raw: Mapping[str, Any], source: str, table: Table, text: str | None) -> Config:
    problems = Problems()
    fields = table.read(raw, (), problems)
    if table is PROJECT_FILE:
        check_references(raw, problems)
        _check_outside(raw, problems)
    else:
        check_projects(raw, problems)
    if problems:
        raise ConfigError(tell(problems.found, source, lambda: _locate(text)))
    assert fields is not WRONG, "a wrong value without a problem"
    return make_config(fields, raw, source)


def make_config(fields: dict[str, Any], raw: Mapping[str, Any], source: str) -> Config:
    """Build the value from fields that were read without a problem."""
    config = Config(
        **(fields | {"pipelines": (), "fixers": make_fixers(fields.get("fixers", {}))}),
        source=source,
        document={key.name: plain(raw[key.name]) for key in OPERATOR_FILE.keys if key.name in raw},
    )
    return config if "pipelines" not in fields else _with_pipelines(config, fields["pipelines"])


def _with_pipelines(config: Config, pipelines: Mapping[str, Any]) -> Config:
    return msgspec.structs.replace(config, pipelines=make_pipelines(pipelines, config.orchestrator))


def make_fixers(sections: Mapping[str, dict[str, Any]]) -> tuple[FixerSettings, ...]:
    """Name the fixers and gather what only their plugin understands under `options`."""
    known = FixerSettings.__struct_fields__
    fixers = []
    for name, fields in sections.items():
        common = {key: value for key, value in fields.items() if key in known and key != "options"}
        options = {key: value for key, value in fields.items() if key not in known} | fields.get("options", {})
        common.setdefault("uses", "command" if "run" in fields else name)
        fixers.append(FixerSettings(name=name, options=options, **common))
    return tuple(fixers)


def _locate(text: str | None) -> Positions:
    if text is None:
        return {}
    from cicdctl.config.positions import find_positions  # only errors pay for it

    return find_positions(text)


def _check_outside(raw: Mapping[str, Any], problems: Problems) -> None:
    """Refuse keys that would let a repository move the fixer's endpoint or take its key (CVE-2026-21852)."""
    sections: list[tuple[At, Any, Table]] = [(("fix",), raw.get("fix"), FIX)]
    fixers = raw.get("fixers")
    if isinstance(fixers, Mapping):
        sections += [(("fixers", name), section, CLAUDE_FIXER) for name, section in fixers.items()]
    for at, section, table in sections:
        if not isinstance(section, Mapping):
            continue
        for key in table.keys:
            if key.outside and key.name in section:
                problems.add((*at, key.name), "belongs in the operator's own configuration, never in .cicd.toml")
