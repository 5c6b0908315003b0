"""Which configuration is in force: the operator's files in their order, and those of commits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.config import Config, Settings, read_config, read_operator
from cicdctl.config.document import MOST_BYTES
from cicdctl.errors import ConfigError, GitError
from cicdctl.git import Repository
from cicdctl.model import Value

if TYPE_CHECKING:
    from cicdctl.config.operator import Resolved

CONFIG_NAME = ".cicd.toml"
ENVIRON_PREFIX = "CICDCTL_"
OPERATOR_FILE_VARIABLE = "CICDCTL_CONFIG"


class Invocation(Value, frozen=True, kw_only=True):
    """What the command line says about every command. `verbosity` -1 is quiet; `color` None: as the terminal can.

    `config_file` stands in for the commit's `.cicd.toml`, `operator_file` above all other files of the operator.
    `server` is the address of one elsewhere, which is asked in place of a repository here.
    `pipelines_text` is a `.cicd.toml` of which only the pipelines are taken, in place of the commit's.
    """

    directory: Path = Path()
    server: str | None = None
    config_file: Path | None = None
    operator_file: Path | None = None
    pipelines_text: str | None = None
    verbosity: int = 0
    color: bool | None = None
    environ: Mapping[str, str] = {}


class Configuration:
    """Reads each file when it is first asked for; `warn` is told of one that is broken and not needed."""

    def __init__(self, invocation: Invocation, repository: Repository, *, warn: Callable[[str], object]) -> None:
        self._invocation = invocation
        self._repository = repository
        self._warn = warn
        self._parsed: tuple[bytes, Config] | None = None

    @cached_property
    def settings(self) -> Settings:
        """The operator's half in force. A broken file in the working tree is told and counts as none: what was
        run before must stay visible. Who starts something calls `require` before.
        """
        own = self._own_config
        files = any(map(self._counts, self.operator_files))
        if not files and not any(name.startswith(ENVIRON_PREFIX) for name in self._invocation.environ):
            # The usual case on a developer's machine: one file, nothing to lay over it, no variable to fill in.
            if own is None:
                return Settings()
            if "${" not in str(own.document):
                return own
        from cicdctl.config.webhook_secrets import COMMON_SECRET

        resolved = self._resolve(own)
        resolved.require("orchestrator", but=COMMON_SECRET)
        return resolved.settings

    def require(self) -> None:
        """Raise ConfigError when the file in the working tree, or the one named by `--config`, is broken."""
        _ = self.working

    @cached_property
    def _own_config(self) -> Config | None:
        try:
            return self.working
        except ConfigError as error:
            if self._invocation.config_file is not None:
                raise
            self._warn(f"{error.problems[0]}; settings of this file are not in force (cicdctl config validate)")
            return None

    @cached_property
    def resolved(self) -> Resolved:
        """The same with the origin of each value: defaults, the working tree's file, operator files, `CICDCTL_…`.

        Raises ConfigError when one of them is broken.
        """
        return self._resolve(self.working)

    def _resolve(self, own: Config | None) -> Resolved:
        from cicdctl.config.operator import config_layer, resolve
        from cicdctl.config.variables import environment_layers

        layers = [] if own is None else [config_layer(own)]
        for path in self.operator_files:
            if self._counts(path):
                layers.append(config_layer(read_operator(read_named_file(path), source=str(path))))
        layers += environment_layers(self._invocation.environ, layers)
        return resolve(layers, self._invocation.environ)

    def tightened(self, pushed: Config) -> tuple[Settings, tuple[str, ...]]:
        """Return what is in force for a run of a file that was pushed, and a warning for each key it cannot loosen."""
        own = self._own_config
        if not pushed.document or (own is not None and own.document == pushed.document):
            return self.settings, ()
        from cicdctl.config.tighten import keep_shared, tighten

        settings, warnings = tighten(self._resolve(own), pushed, self._invocation.environ)
        return keep_shared(self.settings, settings), warnings

    def put_in_force(self, settings: Settings) -> None:
        """Go by these settings from now on: this process serves one run, and its file is stricter."""
        self.__dict__["settings"] = settings

    def _counts(self, path: Path) -> bool:
        """Whether a file is to be read: one that a run was made with must not be passed over when it is gone."""
        return path == self._invocation.operator_file or path.is_file()

    @property
    def operator_files(self) -> tuple[Path, ...]:
        """Where an operator's own configuration may be, weakest first; the last is what whoever opened us names."""
        base = Path(self._invocation.environ.get("XDG_CONFIG_HOME") or home_of(self._invocation.environ) / ".config")
        named = self._invocation.environ.get(OPERATOR_FILE_VARIABLE)
        return (
            base / "cicdctl" / "config.toml",
            self._repository.common_dir / "cicdctl" / "config.toml",
            *(Path(one) for one in (named or "").split(os.pathsep) if one),
            *((self._invocation.operator_file,) if self._invocation.operator_file else ()),
        )

    @cached_property
    def working(self) -> Config | None:
        """The configuration lying in the working tree or named by `--config`; None when there is none."""
        named = self._invocation.config_file
        if named is not None:
            return self._read(named, str(named))
        if self._repository.work_tree is None:
            return None
        path = self._repository.work_tree / CONFIG_NAME
        return self._read(path, CONFIG_NAME) if path.is_file() else None

    def named_text(self) -> str | None:
        """Return what stands in for the commits' own files; None when nothing does.

        Raises ConfigError when the file that `--config` names cannot be read.
        """
        if self._invocation.pipelines_text is not None:
            return self._invocation.pipelines_text
        named = self._invocation.config_file
        return None if named is None else read_named_file(named).decode("utf-8", "surrogateescape")

    def at(self, tree: str, *, text: str | None = None) -> Config:
        """Return the configuration of a tree: its own `.cicd.toml`, or `text` in its place.

        Raises ConfigError with every problem, GitError when the tree has none.
        """
        if text is not None:
            return read_config(text, source="--config")
        data = self._repository.read_file(tree, CONFIG_NAME.encode())
        if data is None:
            raise GitError(
                f"there is no {CONFIG_NAME} in this commit",
                hint="cicdctl init writes one; --config FILE uses another for commits that have none",
            )
        return self.of(data)

    def of(self, data: bytes) -> Config:
        """Return the configuration that these bytes of a commit are. Raises ConfigError with every problem."""
        own = self._parsed
        if own is not None and own[0] == data:
            return own[1]
        return read_config(data, source=CONFIG_NAME)

    def _read(self, path: Path, source: str) -> Config:
        data = read_named_file(path)
        config = read_config(data, source=source)
        # The snapshot of a tree nobody edited holds the same bytes: they are not parsed twice.
        self._parsed = (data, config)
        return config


def with_operator_file(environ: Mapping[str, str], path: Path | None) -> dict[str, str]:
    """Return the environment in which one of our programs reads an operator's file above all others."""
    if path is None:
        return dict(environ)
    named = [one for one in (environ.get(OPERATOR_FILE_VARIABLE), str(path.absolute())) if one]
    return dict(environ) | {OPERATOR_FILE_VARIABLE: os.pathsep.join(named)}


def home_of(environ: Mapping[str, str]) -> Path:
    """Return the user's home."""
    return Path(environ.get("HOME") or Path.home())


def read_named_file(path: Path) -> bytes:
    """Read a configuration, and one byte more than it may have of what has no end."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}",)) from error
