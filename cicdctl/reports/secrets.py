"""Takes secrets in and lists their names; a value is never shown."""

from __future__ import annotations

import sys
from pathlib import Path

from cicdctl.config.names import check_secret_name
from cicdctl.errors import UsageError
from cicdctl.masking import Masker
from cicdctl.project import Project
from cicdctl.reports.output import print_document, print_lines, print_table


def store_secret(project: Project, name: str, file: Path | None) -> int:
    """Take a value in and store it. Returns exit status 0. Raises UsageError for a bad name or value."""
    complaint = check_secret_name(name)
    if complaint is not None:
        raise UsageError(complaint)
    value = read_value(name, file)
    try:
        project.secrets.set(name, value)
    except ValueError as error:
        raise UsageError(str(error)) from error
    for warning in Masker({name: value}).warnings:
        project.warn(warning)
    print_lines([f'secret "{name}" is set'])
    return 0


def forget_secret(project: Project, name: str) -> int:
    """Forget a value. Returns exit status 0. Raises UsageError when there is none."""
    if not project.secrets.remove(name):
        raise UsageError(f'there is no secret "{name}"', hint="cicdctl secrets list shows them")
    print_lines([f'secret "{name}" is removed'])
    return 0


def read_value(name: str, file: Path | None) -> str:
    """Read a value from a file, a hidden prompt on a terminal, or stdin; one newline at the end is not part of it.

    Raises UsageError when it is empty, no UTF-8 or cannot be read.
    """
    if file is None and sys.stdin.isatty():
        import getpass

        value = getpass.getpass(f"{name}: ")
    else:
        try:
            data = sys.stdin.buffer.read() if file is None else file.read_bytes()
            value = data.decode()
        except OSError as error:
            raise UsageError(f'cannot read "{file}": {error.strerror}') from error
        except UnicodeDecodeError as error:
            raise UsageError(f'the value of "{name}" is not UTF-8 text', hint="encode it, say with base64") from error
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise UsageError(f'the value of "{name}" is empty', hint=f"cicdctl secrets set {name} < FILE reads it")
    return value


def print_secrets(project: Project, *, json: bool) -> int:
    """List stored names, and those the configuration wants. Returns exit status 0."""
    stored = set(project.secrets.list())
    users: dict[str, list[str]] = {name: [] for name in stored}
    config = project.configuration.working
    for pipeline in config.pipelines if config is not None else ():
        for stage in pipeline.stages:
            for name in stage.secrets:
                users.setdefault(name, []).append(f"{pipeline.name}/{stage.name}")
    where = {
        name: "stored" if name in stored else "environment" if name in project.environ else "missing" for name in users
    }
    if json:
        rows = [{"name": name, "where": where[name], "stages": stages} for name, stages in sorted(users.items())]
        print_document("secrets", {"secrets": rows})
    elif not users:
        print_lines(['no secrets; a stage names those it needs: secrets = ["TOKEN"]'])
    else:
        print_table([(name, where[name], ", ".join(stages)) for name, stages in sorted(users.items())])
    return 0
