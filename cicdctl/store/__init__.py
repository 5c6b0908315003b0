"""State, cache, blobs, logs, secrets and locks: everything that is remembered on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cicdctl.store.backup import back_up_state, check_state, last_backup, restore_state
    from cicdctl.store.blobs import BlobStore
    from cicdctl.store.cache import CachedResult, ResultCache, open_cache
    from cicdctl.store.changes import (
        AttemptEnded,
        AttemptStarted,
        Change,
        Noted,
        RunChanged,
        StageChanged,
        StageState,
    )
    from cicdctl.store.dependency_cache import DependencyCaches
    from cicdctl.store.fixes import FixJournal, open_fixes
    from cicdctl.store.folders import network_file_system, refuse_network
    from cicdctl.store.letters import ENDED, Letter, News, OutboxStore
    from cicdctl.store.locks import Lock, is_locked, lock, lock_patiently
    from cicdctl.store.log_reader import LogReader
    from cicdctl.store.log_times import read_times
    from cicdctl.store.log_writer import LogInfo, LogWriter
    from cicdctl.store.queued import QueueStore
    from cicdctl.store.recorder import Recorder
    from cicdctl.store.secrets import Secrets
    from cicdctl.store.sqlite_state import open_state
    from cicdctl.store.state import DeploymentStore, GreenFloor, OpenAttempt, StaleRunner, StateStore
    from cicdctl.store.upkeep import keep_state

_ROOM = "cicdctl.store."

# No name here may be a module's of this folder: importing that module would put itself in its place.
# A run that finds everything in the cache needs few of these; each is imported when it is first named.
_HOMES = {
    "AttemptEnded": "changes",
    "AttemptStarted": "changes",
    "BlobStore": "blobs",
    "CachedResult": "cache",
    "DependencyCaches": "dependency_cache",
    "Change": "changes",
    "FixJournal": "fixes",
    "DeploymentStore": "state",
    "ENDED": "letters",
    "GreenFloor": "state",
    "Letter": "letters",
    "Lock": "locks",
    "LogInfo": "log_writer",
    "LogReader": "log_reader",
    "LogWriter": "log_writer",
    "News": "letters",
    "Noted": "changes",
    "OpenAttempt": "state",
    "OutboxStore": "letters",
    "QueueStore": "queued",
    "Recorder": "recorder",
    "ResultCache": "cache",
    "RunChanged": "changes",
    "Secrets": "secrets",
    "StageChanged": "changes",
    "StageState": "changes",
    "StaleRunner": "state",
    "StateStore": "state",
    "back_up_state": "backup",
    "check_state": "backup",
    "is_locked": "locks",
    "keep_state": "upkeep",
    "last_backup": "backup",
    "lock": "locks",
    "lock_patiently": "locks",
    "network_file_system": "folders",
    "open_cache": "cache",
    "open_fixes": "fixes",
    "open_state": "sqlite_state",
    "read_times": "log_times",
    "refuse_network": "folders",
    "restore_state": "backup",
}

__all__ = [
    "ENDED",
    "AttemptEnded",
    "AttemptStarted",
    "BlobStore",
    "CachedResult",
    "Change",
    "DependencyCaches",
    "DeploymentStore",
    "FixJournal",
    "GreenFloor",
    "Letter",
    "Lock",
    "LogInfo",
    "LogReader",
    "LogWriter",
    "News",
    "Noted",
    "OpenAttempt",
    "OutboxStore",
    "QueueStore",
    "Recorder",
    "ResultCache",
    "RunChanged",
    "Secrets",
    "StageChanged",
    "StageState",
    "StaleRunner",
    "StateStore",
    "back_up_state",
    "check_state",
    "is_locked",
    "keep_state",
    "last_backup",
    "lock",
    "lock_patiently",
    "network_file_system",
    "open_cache",
    "open_fixes",
    "open_state",
    "read_times",
    "refuse_network",
    "restore_state",
]


def __getattr__(name: str) -> Any:
    """Import the module that holds `name` when somebody first asks for it."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ROOM + home), name)
    globals()[name] = value
    return value
