"""Where plugins come from: installed distributions and files of the trusted configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from cicdctl.errors import PluginError, UsageError
from cicdctl.model.values import Value

GROUP = "cicdctl"
_HEADING = b"[cicdctl]"


class InstalledPlugin(Value, frozen=True, kw_only=True):
    """An entry point of the group `cicdctl`; `target` is `module` or `module:attribute`."""

    name: str
    target: str
    distribution: str
    version: str


def find_installed(search_path: Sequence[str] | None = None) -> tuple[InstalledPlugin, ...]:
    """List the installed plugins along `search_path` (default `sys.path`), first found first.

    Reads the metadata itself: importing importlib.metadata alone takes longer than the whole look-up. The
    current folder is left out, so that nothing a repository holds becomes a plugin by being there.
    """
    here = os.path.realpath("")
    found: dict[str, InstalledPlugin] = {}
    for folder in dict.fromkeys(sys.path if search_path is None else search_path):
        if folder and os.path.realpath(folder) != here:
            for plugin in _find_in(folder):
                found.setdefault(plugin.name, plugin)
    return tuple(found.values())


def import_installed(plugin: InstalledPlugin) -> object:
    """Import what the entry point names. Raises PluginError when that fails in any way."""
    module_name, _, attribute = plugin.target.partition(":")
    try:
        thing: object = import_module(module_name)
        for part in filter(None, attribute.split(".")):
            thing = getattr(thing, part)
    except Exception as error:  # a plugin may raise anything while it is imported
        raise PluginError(
            f'plugin "{plugin.name}" of {plugin.distribution} {plugin.version} does not load: {_describe(error)}',
            hint=f'update it, or remove it with "cicdctl plugins remove {plugin.distribution}"',
        ) from error
    return thing


def import_file(path: Path) -> object:
    """Run a Python file as a plugin module of its own. Raises PluginError when it is missing or does not load."""
    # Only runs that have file plugins pay for this import.
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    class Loader(SourceFileLoader):
        """Keeps no bytecode: beside the file it would be a new file in the user's working tree."""

        def set_data(self, *_: object, **__: object) -> None:
            pass

    name = f"cicdctl_file_plugin_{''.join(c if c.isalnum() else '_' for c in path.stem)}"
    spec = spec_from_file_location(name, path, loader=Loader(name, str(path)))
    if spec is None or spec.loader is None or not path.is_file():
        raise PluginError(f'there is no plugin file "{path}"', hint="a plugin is a Python file")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a plugin may raise anything while it is imported
        del sys.modules[name]
        raise PluginError(f'plugin "{path}" does not load: {_describe(error)}') from error
    return module


def install_command(target: str) -> tuple[str, ...]:
    """Return the command that installs a plugin into the environment cicdctl runs in."""
    return _pip("install", target)


def remove_command(distribution: str) -> tuple[str, ...]:
    """Return the command that removes a plugin's distribution from the environment cicdctl runs in."""
    return (*_pip("uninstall", distribution), "--yes")


def _pip(verb: str, target: str) -> tuple[str, ...]:
    if not target or target.startswith("-"):
        raise UsageError(f'"{target}" is not a plugin', hint="name a package, a folder or a file")
    return (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", verb, target)


def _find_in(folder: str) -> Iterator[InstalledPlugin]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is wanted, and this is on every start
    except OSError:
        return  # sys.path may name what is no folder
    for name in sorted(names):
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        try:
            text = Path(folder, name, "entry_points.txt").read_bytes()
        except OSError:
            continue
        if _HEADING in text:
            distribution, _, version = name.rpartition(".")[0].partition("-")
            for key, value in _entries(text.decode("utf-8", "replace")):
                yield InstalledPlugin(
                    name=key, target=value, distribution=distribution.replace("_", "-"), version=version.split("-py")[0]
                )


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Read our group as https://packaging.python.org/en/latest/specifications/entry-points/ lays it down."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == "[cicdctl]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.partition("[")[0].replace(" ", "")


def _describe(error: Exception) -> str:
    """Say what was raised and on which line of the plugin's own code."""
    last, place = error.__traceback__, ""
    while last is not None:
        file = last.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and file != __file__:
            place = f" ({file}:{last.tb_lineno})"
        last = last.tb_next
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}:{error.lineno})"
        return f"{type(error).__name__}: {error.msg}{place}"
    return f"{type(error).__name__}: {error}{place}"
