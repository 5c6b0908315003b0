"""Shows plugins, and lets pip change them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cicdctl.errors import PluginError
from cicdctl.hookspecs import ASKED
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


def change_plugin(verb: str, target: str) -> int:
    """Let pip install or remove a distribution. Returns its exit status; 3 when it failed."""
    from cicdctl.plugin_sources import install_command, remove_command
    from cicdctl.process import run_interactive

    argv = install_command(target) if verb == "install" else remove_command(target)
    status = run_interactive(argv, cwd=Path.cwd(), env=dict(os.environ))
    if status != 0:
        raise PluginError(f'pip could not {verb} "{target}": exit status {status}', hint="its own message is above")
    return 0


def print_new(name: str, folder: Path) -> int:
    """Write a plugin skeleton and say what to do with it. Returns exit status 0."""
    from cicdctl.plugin_skeleton import write_skeleton

    paths = write_skeleton(name, folder)
    print_lines([f"wrote {path}" for path in paths])
    print(f"cicdctl plugins install {folder / name} installs it", file=sys.stderr)
    return 0
