"""One opened repository: its configuration, state, cache and plugins. The only place below the door that reads
environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.config import Config, Settings, read_config, read_operator
from cicdctl.config.document import MOST_BYTES
from cicdctl.errors import ConfigError, GitError, NotAvailable, StoreError
from cicdctl.git import Repository, open_repository
from cicdctl.kinds import Places
from cicdctl.model import Value
from cicdctl.plugin_manager import PluginManager

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from cicdctl.config.operator import Resolved
    from cicdctl.git import WorktreePool
    from cicdctl.store import BlobStore, ResultCache, Secrets, SqliteState

CONFIG_NAME = ".cicd.toml"
ENVIRON_PREFIX = "CICDCTL_"
OPERATOR_FILE_VARIABLE = "CICDCTL_CONFIG"


class Invocation(Value, frozen=True, kw_only=True):
    """What the command line says about every command. `verbosity` -1 is quiet; `color` None: as the terminal can."""

    directory: Path = Path()
    config_file: Path | None = None
    verbosity: int = 0
    color: bool | None = None
    environ: Mapping[str, str] = {}


class Project:
    """Opens its parts when they are first used; close it, or use it with `with`."""

    def __init__(self, invocation: Invocation, repository: Repository, plugins: PluginManager) -> None:
        self.invocation = invocation
        self.repository = repository
        self.plugins = plugins
        self.warnings: list[str] = []
        self.mask: Callable[[str], str] = str  # takes the secrets of a run out of whatever is told
        self._told: set[str] = set()
        self.may_start_sender = True  # false in the process that sends
        self._temporary: TemporaryDirectory[str] | None = None

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened, after the last warnings are told."""
        self.tell_warnings()
        self.start_sender()
        for name in ("state", "cache", "blobs"):
            part = self.__dict__.pop(name, None)
            if part is not None:
                part.close()
        self.plugins.close()
        self.repository.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def close_state(self) -> None:
        """Let go of the state database; it is opened again when it is next asked for."""
        state = self.__dict__.pop("state", None)
        if state is not None:
            state.close()

    def start_sender(self) -> None:
        """See to it that somebody tells what is due by now; nobody waits for it. What lives long asks now and then."""
        state = self.__dict__.get("state")
        if state is None or not self.may_start_sender or not self._notifies:
            return
        from cicdctl.sending import start_sender

        folder = self.repository.work_tree or self.repository.git_dir
        config_file = self.invocation.config_file
        try:
            start_sender(state, self.state_folder, directory=folder, config_file=config_file, environ=self.environ)
        except (StoreError, OSError) as error:
            self.warn(f"nobody is told yet: {error}")

    @property
    def _notifies(self) -> bool:
        return any(notifier.enabled for notifier in self.settings.notifiers)

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment cicdctl was started with."""
        return self.invocation.environ

    @cached_property
    def state_folder(self) -> Path:
        """`<git common dir>/cicdctl`, private to the user."""
        folder = self.repository.state_dir
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f'cannot create "{folder}": {error.strerror}', hint="check owner and mode") from error
        return folder

    @cached_property
    def cache_folder(self) -> Path:
        """`orchestrator.workspace`, or `$XDG_CACHE_HOME/cicdctl`; one folder per repository in it."""
        workspace = self.settings.orchestrator.workspace
        if workspace is not None:
            base = Path(workspace).expanduser()
        else:
            base = Path(self.environ.get("XDG_CACHE_HOME") or Path(self._home) / ".cache") / "cicdctl"
        folder = base.absolute() / self.repository.id
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
            problem = "not writable"
        except OSError as error:
            problem = error.strerror or str(error)
        self.warn(f'the cache folder "{folder}" cannot be used ({problem}); this run is not remembered')
        return self._temporary_folder()

    def _temporary_folder(self) -> Path:
        """Make a folder that is gone when the project is closed."""
        import tempfile

        self._temporary = tempfile.TemporaryDirectory(prefix="cicdctl-", ignore_cleanup_errors=True)
        return Path(self._temporary.name)

    @property
    def _home(self) -> str:
        return self.environ.get("HOME") or str(Path.home())

    @cached_property
    def settings(self) -> Settings:
        """The operator's half in force. A broken file in the working tree is told and counts as none: what was
        run before must stay visible. Who starts something calls `require_settings` before.
        """
        own = self._own_config
        files = any(path.is_file() for path in self.operator_files)
        if not files and not any(name.startswith(ENVIRON_PREFIX) for name in self.environ):
            # The usual case on a developer's machine: one file, nothing to lay over it, no variable to fill in.
            if own is None:
                return Settings()
            if "${" not in str(own.document):
                return own
        resolved = self._resolve(own)
        resolved.require("orchestrator")
        return resolved.settings

    def require_settings(self) -> None:
        """Raise ConfigError when the file in the working tree, or the one named by `--config`, is broken."""
        _ = self.working_config

    @cached_property
    def _own_config(self) -> Config | None:
        try:
            return self.working_config
        except ConfigError as error:
            if self.invocation.config_file is not None:
                raise
            self.warn(f"{error.problems[0]}; settings of this file are not in force (cicdctl config validate)")
            return None

    @cached_property
    def resolved(self) -> Resolved:
        """The same with the origin of each value: defaults, the working tree's file, operator files, `CICDCTL_…`.

        Raises ConfigError when one of them is broken.
        """
        return self._resolve(self.working_config)

    def _resolve(self, own: Config | None) -> Resolved:
        from cicdctl.config.operator import config_layer, resolve
        from cicdctl.config.variables import environment_layers

        layers = [] if own is None else [config_layer(own)]
        for path in self.operator_files:
            if path.is_file():
                layers.append(config_layer(read_operator(_read_file(path), source=str(path))))
        layers += environment_layers(self.environ, layers)
        return resolve(layers, self.environ)

    @property
    def operator_files(self) -> tuple[Path, ...]:
        """Where an operator's own configuration may be, weakest first; the last is what `CICDCTL_CONFIG` names."""
        base = Path(self.environ.get("XDG_CONFIG_HOME") or Path(self._home) / ".config")
        named = self.environ.get(OPERATOR_FILE_VARIABLE)
        return (
            base / "cicdctl" / "config.toml",
            self.repository.common_dir / "cicdctl" / "config.toml",
            *((Path(named),) if named else ()),
        )

    @cached_property
    def working_config(self) -> Config | None:
        """The configuration lying in the working tree or named by `--config`; None when there is none."""
        named = self.invocation.config_file
        if named is not None:
            return self._read(named, str(named))
        if self.repository.work_tree is None:
            return None
        path = self.repository.work_tree / CONFIG_NAME
        return self._read(path, CONFIG_NAME) if path.is_file() else None

    def named_config_text(self) -> str:
        """Return the text of the file that `--config` names. Raises ConfigError when it cannot be read."""
        assert self.invocation.config_file is not None
        return _read_file(self.invocation.config_file).decode("utf-8", "surrogateescape")

    def config_at(self, tree: str) -> Config:
        """Return the configuration of a tree, its own `.cicd.toml`.

        Raises ConfigError with every problem, GitError when the tree has none.
        """
        data = self.repository.read_file(tree, CONFIG_NAME.encode())
        if data is None:
            raise GitError(
                f"there is no {CONFIG_NAME} in this commit",
                hint="cicdctl init writes one; --config FILE uses another for commits that have none",
            )
        own = self.__dict__.get("_parsed")
        if own is not None and own[0] == data:
            config: Config = own[1]
            return config
        return read_config(data, source=CONFIG_NAME)

    def _read(self, path: Path, source: str) -> Config:
        data = _read_file(path)
        config = read_config(data, source=source)
        # The snapshot of a tree nobody edited holds the same bytes: they are not parsed twice.
        self.__dict__["_parsed"] = (data, config)
        return config

    @cached_property
    def host_key(self) -> bytes:
        """32 random bytes of this repository's state: digests of secrets and cache rows are keyed with it."""
        path = self.state_folder / "host.key"
        try:
            return path.read_bytes()
        except FileNotFoundError:
            aside = path.with_name(f"host.key.{os.urandom(8).hex()}")
            descriptor = os.open(aside, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(32))
                file.flush()
                os.fsync(descriptor)
            try:
                os.link(aside, path)  # the first of two processes wins, and both read the same
            except FileExistsError:
                pass
            finally:
                aside.unlink()
            return path.read_bytes()

    @cached_property
    def state(self) -> SqliteState:
        """The state database."""
        from cicdctl.store import open_state

        backend = self.settings.orchestrator.persistence.backend
        if backend not in ("disk", "sqlite"):
            raise NotAvailable(f'persistence.backend = "{backend}"', hint='use "disk", or install a plugin for it')
        return open_state(self.state_folder, tells=self._notifies)

    @cached_property
    def blobs(self) -> BlobStore:
        """Artifacts and large values by digest."""
        from cicdctl.store import BlobStore

        return BlobStore(self.cache_folder, warnings=self.warnings)

    @cached_property
    def cache(self) -> ResultCache:
        """Stage results by key."""
        from cicdctl.store import open_cache

        limits = self.settings.orchestrator.cache
        if limits.backend != "disk":
            where = "orchestrator.cache"
            return self.plugins.open_kind(  # type: ignore[no-any-return]
                "cicdctl_result_caches", limits.backend, limits.options, self.places, where=where
            )
        return open_cache(
            self.cache_folder,
            max_size_bytes=limits.max_size_bytes,
            ttl_s=limits.ttl_s,
            host_key=self.host_key,
            warnings=self.warnings,
        )

    @cached_property
    def secrets(self) -> Secrets:
        """Values that only the stage that names them gets to see."""
        from cicdctl.config.document import parse_document
        from cicdctl.store import Secrets

        return Secrets(self.state_folder, parse=lambda text: dict(parse_document(text.encode(), "secrets.toml")[0]))

    @property
    def places(self) -> Places:
        """The folders that a plugin's executor, cache or store may use."""
        return Places(
            git_dir=self.repository.common_dir, state=self.state_folder, cache=self.cache_folder, blobs=self.blobs
        )

    def open_pool(self, *, capacity: int) -> WorktreePool:
        """Open the pool of warm worktrees."""
        from cicdctl.git import WorktreePool

        return WorktreePool(self.repository, self.cache_folder, self.state_folder / "locks", capacity=capacity)

    def tell_warnings(self) -> None:
        """Tell what the stores found wrong since the last time; they may have found it in any thread."""
        told = list(self.warnings)
        del self.warnings[: len(told)]
        for text in told:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Tell people something that changes no verdict; the same words only once."""
        text = self.mask(text)
        if text not in self._told:
            self._told.add(text)
            self.plugins.announce("cicdctl_warning", text=text)


def open_project(invocation: Invocation, *, trace: Callable[[str], object] | None = None) -> Project:
    """Find the repository around `invocation.directory` and load the plugins; `trace` is told each hook call.

    Raises GitError when there is no repository, PluginError when a plugin does not load.
    """
    directory = invocation.directory.absolute()
    if not directory.is_dir():
        raise GitError(f'"{directory}" is not a folder')
    repository = open_repository(directory, git_program=_git_program, environ=invocation.environ)
    plugins = PluginManager(
        trace=trace, on_failure=lambda failure: plugins.announce("cicdctl_warning", text=failure.message)
    )
    project = Project(invocation, repository, plugins)
    try:
        if "CICDCTL_FAILPOINT" in invocation.environ:
            from cicdctl.store import failpoints

            failpoints.arm(invocation.environ["CICDCTL_FAILPOINT"], repository.state_dir)
        plugins.load_installed()
        _load_files(project)
        plugins.check()
    except BaseException:
        project.close()
        raise
    return project


def _read_file(path: Path) -> bytes:
    """Read a configuration, and one byte more than it may have of what has no end."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}",)) from error


def _load_files(project: Project) -> None:
    """Load the plugin files that the user's own working tree names.

    A file that cannot be read names none: the commands that need it say so, all others go on without.
    """
    try:
        own = project.working_config
    except ConfigError:
        return
    if own is None or project.repository.work_tree is None:
        return
    for name in own.plugins:
        project.plugins.load_file(project.repository.work_tree / name)


def _git_program(
    argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes = b""
) -> tuple[int, bytes, bytes]:
    from cicdctl.process import run_captured

    return run_captured(argv, cwd=cwd, env=env, timeout_s=600.0, stdin=stdin)
