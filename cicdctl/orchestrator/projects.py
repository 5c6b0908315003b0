"""Which repositories a file named by `--config` is about: this one, another, several, or mirrors of some elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from cicdctl.config import Config, Settings, read_named
from cicdctl.config.operator import config_layer, resolve
from cicdctl.errors import ConfigError
from cicdctl.git.remotes import Address, is_elsewhere, read_address
from cicdctl.model import Value
from cicdctl.orchestrator.mirrors import make_mirror
from cicdctl.project_config import Invocation, read_named_file


class Found(Value, frozen=True, kw_only=True):
    """One repository: how it is opened. `address`, with credentials, is what a mirror is of.

    `name` is empty where there is only one. `is_here`: the file says that this is the repository to look at.
    """

    name: str
    invocation: Invocation
    address: str | None = None
    is_here: bool = False


def find_projects(invocation: Invocation) -> tuple[Found, ...]:
    """Say what an invocation is about. Mirrors are made where they are not there yet; nothing is fetched.

    A file with pipelines stands in for the commits' own; one without is an operator's, above all the others.
    Raises ConfigError, GitError, StoreError.
    """
    path = invocation.config_file
    if path is None:
        return (Found(name="", invocation=invocation),)
    config, settings = _read(path, invocation)
    if not config.pipelines:
        invocation = replace(invocation, config_file=None, operator_file=path.absolute())
    base = path.absolute().parent
    if settings.projects:
        named = zip(_names([(one.name, one.repository) for one in settings.projects]), settings.projects, strict=True)
        return tuple(place(invocation, one.repository, base, name=name) for name, one in named)
    if settings.project.repository is None:
        return (Found(name="", invocation=invocation),)
    return (place(invocation, settings.project.repository, base),)


def named_settings(invocation: Invocation) -> Settings:
    """Return what the named file says of everything that is no single project's. Raises ConfigError."""
    assert invocation.config_file is not None
    return _read(invocation.config_file, invocation)[1]


def _read(path: Path, invocation: Invocation) -> tuple[Config, Settings]:
    """Read one file and fill its variables in. Raises ConfigError."""
    config = read_named(read_named_file(path), source=str(path))
    return config, fill(config, invocation)


def fill(config: Config, invocation: Invocation) -> Settings:
    """Return what one file says. Raises ConfigError when a variable of an address or of the log is not set."""
    resolved = resolve([config_layer(config)], invocation.environ)
    for lost in resolved.missing:
        if lost.at[0] in ("project", "projects", "logging"):
            raise ConfigError((f"{config.source}: {lost.tell()}",), hint=f"set it before the start: {lost.name}")
    return resolved.settings


def place(invocation: Invocation, repository: str, base: Path, *, name: str = "") -> Found:
    """Return how a repository is opened: a path, relative to `base`, as it lies; an address by its mirror here."""
    if not is_elsewhere(repository):
        folder = base / Path(repository).expanduser()
        return Found(name=name, invocation=replace(invocation, directory=folder), is_here=True)
    folder = make_mirror(invocation.environ, read_address(repository))
    return Found(name=name, invocation=replace(invocation, directory=folder), address=repository, is_here=True)


def _names(projects: Sequence[tuple[str | None, str]]) -> list[str]:
    """Return a name for each, all different: the one it has, else the last part of the address."""
    names: list[str] = []
    for given, repository in projects:
        address = read_address(repository) if is_elsewhere(repository) else Address(plain=repository)
        name = given or address.short_name
        names.append(name if name not in names else f"{name}-{address.digest[:6]}")
    return names
