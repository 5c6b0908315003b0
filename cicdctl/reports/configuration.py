"""Shows, checks and begins configurations."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec

from cicdctl.config import read_config, read_named
from cicdctl.config.substitute import missing_names
from cicdctl.errors import ConfigError, UsageError
from cicdctl.planning import check_needs
from cicdctl.project import Project, open_project
from cicdctl.project_config import CONFIG_NAME, Invocation
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.reports.text import quoted
from cicdctl.units import count


def print_validation(invocation: Invocation, revision: str, *, json: bool) -> int:
    """Check a file and print every problem. Returns 0, or 2 with `json`; raises ConfigError otherwise."""
    source, data = _read(invocation, revision)
    problems: tuple[str, ...] = ()
    found = 0
    try:
        config = (read_named if invocation.config_file else read_config)(data, source=source)
        found = len(config.pipelines)
        problems = tuple(problem for pipeline in config.pipelines for problem in check_needs(pipeline))
        problems += tuple(missing.tell() for missing in missing_names(config.document, invocation.environ))
        problems = tuple(f"{source}: {problem}" for problem in problems)
    except ConfigError as error:
        problems = error.problems
    if json:
        print_document("validation", {"source": source, "valid": not problems, "problems": list(problems)})
        return 2 if problems else 0
    if problems:
        raise ConfigError(problems)
    what = count(len(config.projects), "project") if config.projects else count(found, "pipeline")
    print_lines([f"{source} is valid: {what}"])
    return 0


def _read(invocation: Invocation, revision: str) -> tuple[str, bytes]:
    path = invocation.config_file
    if path is None:
        with open_project(invocation) as project:
            repository = project.repository
            if revision or repository.work_tree is None:
                data = repository.read_file(repository.resolve(revision or "HEAD").tree, CONFIG_NAME.encode())
                if data is None:
                    raise UsageError(f"there is no {CONFIG_NAME} in {revision or 'HEAD'}")
                return CONFIG_NAME, data
            path = repository.work_tree / CONFIG_NAME
    try:
        return os.path.relpath(path) if invocation.config_file else CONFIG_NAME, path.read_bytes()
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}",), hint="cicdctl init writes one") from error


def print_config(project: Project, *, resolved: bool, json: bool) -> int:
    """Print pipelines, or every operator value with its origin. Returns exit status 0."""
    if resolved:
        values = project.configuration.resolved.values
        rows = [(name, msgspec.json.encode(value).decode(), origin) for name, value, origin in values]
        if json:
            body: list[dict[str, Any]] = [
                {"key": name, "value": value, "origin": origin} for name, value, origin in values
            ]
            print_document("config", {"values": body})
        else:
            print_table([(name, "= " + quoted(value), origin) for name, value, origin in rows])
        return 0
    config = project.configuration.working
    if config is None and project.repository.work_tree is None:
        config = project.configuration.at(project.repository.resolve("HEAD").tree)
    if config is None:
        raise ConfigError((f"there is no {CONFIG_NAME} here",), hint="cicdctl init writes one")
    if json:
        print_document("config", {"pipelines": [msgspec.to_builtins(pipeline) for pipeline in config.pipelines]})
        return 0
    for pipeline in config.pipelines:
        print_lines([f"{pipeline.name}  ({pipeline.trigger.kind.value})"])
        print_table(
            [
                (f"  {stage.name}", quoted("; ".join(stage.run) or f"uses {stage.uses}", limit=100))
                for stage in pipeline.stages
            ]
        )
    return 0


def print_schema() -> int:
    """Print the JSON Schema. Returns exit status 0."""
    from cicdctl.config.schema import json_schema

    print(msgspec.json.format(msgspec.json.encode(json_schema())).decode())
    return 0


def print_init(invocation: Invocation, *, force: bool, dry_run: bool) -> int:
    """Write, or print, a first configuration. Returns exit status 0. Raises UsageError when one is there."""
    from cicdctl.config.detect import detect

    with open_project(invocation) as project:
        root = project.repository.work_tree
        if root is None:
            raise UsageError("a bare repository has no working tree to write to", hint="run it in a clone")
        names = sorted(entry.name for entry in os.scandir(root))
        text = detect(names, lambda name: _content(root / name))
        if dry_run:
            print(text, end="")
            return 0
        path = root / CONFIG_NAME
        try:
            with path.open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError as error:
            raise UsageError(f"{CONFIG_NAME} is there already", hint="--force replaces it") from error
        config = read_config(text, source=CONFIG_NAME)
        print_lines([f"wrote {CONFIG_NAME}: " + ", ".join(pipeline.name for pipeline in config.pipelines)])
        if config.pipelines:
            print(f"next: cicdctl run {config.pipelines[0].name}", file=sys.stderr)
    return 0


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError:
        return None
