"""One opened repository: its configuration, state, cache and plugins. The only place below the door that reads
environment variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cicdctl.config import Settings
from cicdctl.errors import ConfigError, GitError, StoreError
from cicdctl.git import Repository, open_repository
from cicdctl.kinds import Places
from cicdctl.plugin_manager import PluginManager
from cicdctl.project_config import Configuration, Invocation, home_of, with_operator_file

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from cicdctl.config.settings import RedisSettings
    from cicdctl.git import WorktreePool
    from cicdctl.store import BlobStore, FixJournal, ResultCache, Secrets, StateStore


_ON_DISK = ("disk", "sqlite")


class Project:
    """Opens its parts when they are first used; close it, or use it with `with`."""

    is_here = True  # false where a server elsewhere keeps the runs

    def __init__(self, invocation: Invocation, repository: Repository, plugins: PluginManager) -> None:
        self.invocation = invocation
        self.repository = repository
        self.plugins = plugins
        self.warnings: list[str] = []
        self.mask: Callable[[str], str] = str  # takes the secrets of a run out of whatever is told
        self._told: set[str] = set()
        self.may_start_sender = True  # false in the process that sends
        self.serves_queue = False  # true in runners that the queue, or nobody in the foreground, waits for
        self._temporary: TemporaryDirectory[str] | None = None

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened, after the last warnings are told."""
        self.tell_warnings()
        self.start_sender()
        for name in ("state", "fixes", "cache", "blobs"):
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
            environ = with_operator_file(self.environ, self.invocation.operator_file)
            start_sender(state, self.state_folder, directory=folder, config_file=config_file, environ=environ)
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
            base = Path(self.environ.get("XDG_CACHE_HOME") or home_of(self.environ) / ".cache") / "cicdctl"
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

    @cached_property
    def configuration(self) -> Configuration:
        """What is to be run, and how: the files of the operator and of commits."""
        return Configuration(self.invocation, self.repository, warn=self.warn)

    @property
    def settings(self) -> Settings:
        """The operator's half in force; see `Configuration.settings`."""
        return self.configuration.settings

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
    def state(self) -> StateStore:
        """Runs and what waits. Only the operator's configuration selects where they are; a commit never does."""
        from cicdctl.store import open_state

        wanted = self.settings.orchestrator.persistence
        if wanted.backend in _ON_DISK:
            return open_state(self.state_folder, tells=self._notifies)
        where = "orchestrator.persistence"
        if wanted.backend not in {kind.name for kind in self.plugins.ask("cicdctl_state_stores")}:
            raise ConfigError(
                (f'{where}.backend: no plugin that is installed provides "{wanted.backend}"',),
                hint=f'`cicdctl plugins install cicdctl-{wanted.backend}`, or write "disk"',
            )
        options = {**_redis_options(wanted.redis), **wanted.options} if wanted.backend == "redis" else wanted.options
        state: StateStore = self.plugins.open_kind(
            "cicdctl_state_stores", wanted.backend, options, self.places, where=f"{where}.options"
        )
        state.tells = self._notifies
        return state

    @property
    def has_state(self) -> bool:
        """Whether runs may be remembered: false means that there are none, and that nobody need look."""
        if self.settings.orchestrator.persistence.backend not in _ON_DISK:
            return True
        return (self.repository.state_dir / "state.db").exists()

    @cached_property
    def fixes(self) -> FixJournal:
        """The journal of fixes: always here, wherever runs are kept."""
        from cicdctl.store import open_fixes

        return open_fixes(self.state_folder)

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

    def want_logs(self, stage: str) -> None:
        """Do nothing: the logs are here. A project elsewhere fetches those of a stage, or (empty) of all."""

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


def _redis_options(written: RedisSettings) -> Mapping[str, object]:
    """Give the table `persistence.redis` as options: the guide's own way to write them."""
    return {name: value for name in written.__struct_fields__ if (value := getattr(written, name)) is not None}


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


def _load_files(project: Project) -> None:
    """Load the plugin files that the user's own working tree names.

    A file that cannot be read names none: the commands that need it say so, all others go on without.
    """
    try:
        own = project.configuration.working
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
