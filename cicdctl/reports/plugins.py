"""Shows plugins, and lets pip change them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cicdctl.errors import PluginError, UsageError
from cicdctl.hookspecs import ASKED
from cicdctl.near_words import near_word
from cicdctl.project import Project
from cicdctl.reports.output import print_document, print_lines, print_table


def print_plugins(project: Project, *, json: bool) -> int:
    """List plugins with their origin and the kinds they provide. Returns exit status 0."""
    kinds = [(hook.removeprefix("cicdctl_"), kind.name) for hook in ASKED for kind in project.plugins.ask(hook)]
    names = {name: origin for name, origin in project.plugins.names().items() if origin != "built in"}
    if json:
        print_document(
            "plugins",
            {
                "plugins": [{"name": name, "origin": origin} for name, origin in names.items()],
                "provides": [{"what": what, "name": name} for what, name in kinds],
            },
        )
        return 0
    if not names:
        print_lines(["no plugins are installed; cicdctl plugins new NAME writes one to start from"])
    print_table(list(names.items()))
    if kinds:
        print_lines(["provided:", *(f"  {what}  {name}" for what, name in kinds)])
    return 0


def install_plugin(target: str) -> int:
    """Let pip install a distribution. Returns exit status 0. Raises PluginError when pip fails."""
    from cicdctl.plugin_sources import install_command

    return _let_pip("install", target, install_command(target))


def remove_plugin(name: str) -> int:
    """Let pip remove the distribution of a plugin. Returns exit status 0.

    Raises UsageError when no plugin and no distribution of one has this name, PluginError when pip fails.
    """
    from cicdctl.plugin_sources import find_installed, remove_command

    installed = find_installed()
    wanted = _normal(name)
    found = next((one for one in installed if wanted in (_normal(one.distribution), _normal(one.name))), None)
    if found is None:
        known = sorted({one.distribution for one in installed})
        hint = "installed: " + ", ".join(known) if known else "no plugins are installed"
        raise UsageError(f'there is no plugin "{name}"{near_word(name, known)}', hint=hint)
    return _let_pip("remove", found.distribution, remove_command(found.distribution))


def _let_pip(verb: str, target: str, argv: Sequence[str]) -> int:
    from cicdctl.process import run_interactive

    status = run_interactive(argv, cwd=Path.cwd(), env=dict(os.environ))
    if status != 0:
        raise PluginError(f'pip could not {verb} "{target}": exit status {status}', hint="its own message is above")
    return 0


def _normal(name: str) -> str:
    """Spell the name of a distribution as https://packaging.python.org/specifications/name-normalization/ does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def print_new(name: str, folder: Path) -> int:
    """Write a plugin skeleton and say what to do with it. Returns exit status 0."""
    from cicdctl.plugin_skeleton import write_skeleton

    paths = write_skeleton(name, folder)
    print_lines([f'wrote "{path}"' for path in paths])
    print(f"next: cicdctl plugins install {shlex.quote(str(paths[0].parent))}", file=sys.stderr)
    return 0
