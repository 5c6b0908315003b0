"""The state store `redis`: its options, and how it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cicdctl.plugin_api import Places, StateStoreKind, Value, hookimpl

if TYPE_CHECKING:
    from cicdctl.plugin_api import StateStore


class RedisOptions(Value, frozen=True, kw_only=True):
    """Where the server is: the table `persistence.redis`.

    `start_check` (in `persistence.options`) refuses a server that may forget what it acknowledged.
    """

    host: str = "localhost"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    start_check: bool = True


def open_redis(options: RedisOptions, places: Places) -> StateStore:
    """Open the state of a repository; the server is first asked when something is read or written."""
    # 0.1 s to import: only where runs are kept in Redis.
    from cicdctl_redis.state import RedisState

    return RedisState(options, places)


@hookimpl
def cicdctl_state_stores() -> list[StateStoreKind]:
    """Provide the state store `redis`."""
    return [StateStoreKind(name="redis", options_type=RedisOptions, open=open_redis)]
