"""The stage kind `python`: a module run by the project's own interpreter."""

from __future__ import annotations

import shlex

from cicdctl.plugin_api import ConfigError, StageCommands, StageKind, Value, hookimpl

# Decided by the shell of the stage and not here: a kind must not look at files.
_INTERPRETER = '"$(if [ -x .venv/bin/python ]; then echo .venv/bin/python; else echo python3; fi)"'


class PythonOptions(Value, frozen=True, kw_only=True):
    """What may stand under `with`."""

    module: str
    args: tuple[str, ...] = ()


def resolve(options: PythonOptions) -> StageCommands:
    """Return the command line; the interpreter's version becomes part of the key."""
    if not all(part.isidentifier() for part in options.module.split(".")):
        raise ConfigError((f'with.module: "{options.module}" is not the name of a module',))
    command = shlex.join(("-m", options.module, *options.args))
    return StageCommands(
        run=(f"{_INTERPRETER} {command}",),
        fingerprint=(f"{_INTERPRETER} --version",),
        env={"PYTHONUNBUFFERED": "1"},
    )


@hookimpl
def cicdctl_stages() -> list[StageKind]:
    return [StageKind(name="python", options_type=PythonOptions, resolve=resolve)]
