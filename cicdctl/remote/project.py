"""A project whose repository is elsewhere: what looks at its state works as here, the rest says that it does not."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from cicdctl.config import Settings
from cicdctl.errors import StoreError, UsageError
from cicdctl.loopback import is_loopback
from cicdctl.plugin_manager import PluginManager
from cicdctl.project import Project
from cicdctl.project_config import Invocation
from cicdctl.remote.client import TOKEN_VARIABLE, Client, read_server_address
from cicdctl.remote.logs import LogCopies
from cicdctl.remote.state import RemoteState
from cicdctl.store import StateStore

_BY_NONSENSE = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError)


class _NotHere:
    """What only a repository here has. Raises UsageError when it is asked for."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        raise UsageError("this works on a repository here, not with --server", hint="leave --server out")

    def __set__(self, instance: object, value: object) -> None:
        """Take no note: `Project` sets what it was opened with."""


class RemoteProject(Project):
    """Opened by `--server`. Copies of logs live in a folder that goes when it is closed."""

    is_here = False

    def __init__(self, invocation: Invocation) -> None:
        assert invocation.server
        super().__init__(invocation, cast(Any, None), PluginManager())
        self.may_start_sender = False
        address, token = read_server_address(invocation.server), invocation.environ.get(TOKEN_VARIABLE, "")
        self.client = Client(address, token)
        if token and not address.is_secure and not is_loopback(address.host):
            self.warnings.append(f"{TOKEN_VARIABLE} travels in the open to {address.text}: it can be read")
        self._folder = tempfile.TemporaryDirectory(prefix="cicdctl-", ignore_cleanup_errors=True)
        self.logs = LogCopies(self.client, Path(self._folder.name))

    def __enter__(self) -> RemoteProject:
        return self

    def __exit__(self, *problem: object) -> None:
        super().__exit__(*problem)
        error = problem[1]
        # A server may tell anything: a word for a list, a time in the year 10^300. Nothing here is a bug for that.
        if self.client.has_heard and isinstance(error, _BY_NONSENSE):
            why = f"{type(error).__name__}: {error}"
            raise StoreError(
                f"the server tells what makes no sense here: {why}", hint="is it of the same version?"
            ) from error

    def close(self) -> None:
        """Let go of the server."""
        self.tell_warnings()
        self.plugins.close()
        self.client.close()
        self._folder.cleanup()

    def want_logs(self, stage: str) -> None:
        """Fetch the logs of a stage, or (empty) of all, with each look at a run."""
        self.logs.wanted = stage

    @cached_property
    def state(self) -> StateStore:
        """The state as the server tells it."""
        return cast(StateStore, self.remote_state)

    @cached_property
    def remote_state(self) -> RemoteState:
        """The same, as what it is."""
        return RemoteState(self.client, self.logs)

    @cached_property
    def state_folder(self) -> Path:
        """Where the copies of logs lie."""
        return Path(self._folder.name)

    @property
    def settings(self) -> Settings:
        """Those by default: the server has its own."""
        return Settings()

    # Whatever would need the repository itself.
    repository = blobs = cache = cache_folder = configuration = fixes = secrets = host_key = _NotHere()
    open_pool = _NotHere()
