"""The connection to a server: how long is waited for it, and whether it may be trusted with a history."""

from __future__ import annotations

from typing import Any

from redis import Redis, exceptions
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from cicdctl.plugin_api import StoreError
from cicdctl_redis.plugin import RedisOptions

OLDEST = (6, 2)


def connect(options: RedisOptions) -> Redis:
    """Give a client; nothing is sent yet. It is safe from any thread and works again after the server was away.

    redis-py's own defaults wait for a frozen server for 14 s. Here a server that is down is told after half a
    second, a frozen one after two: a time-out is not tried again, since nobody knows what became of the command.
    """
    return Redis(
        host=options.host,
        port=options.port,
        db=options.db,
        username=options.username,
        password=options.password,
        ssl=options.tls,
        socket_timeout=2.0,
        socket_connect_timeout=1.0,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 3, supported_errors=(exceptions.ConnectionError,)),
        protocol=2,
        decode_responses=True,
        # It keeps what others recorded in the arguments of a command out of reach of surprises.
        encoding_errors="strict",
    )


def name_of(options: RedisOptions) -> str:
    """Name the server in messages: host, port and database, nothing secret."""
    return f"redis at {options.host}:{options.port}/{options.db}"


def check(client: Redis, server: str) -> None:
    """Refuse a server that may forget what it acknowledged. Raises StoreError; what redis-py raises goes through."""
    facts: dict[str, Any] = {**client.info("server"), **client.info("memory"), **client.info("persistence")}
    version = tuple(int(part) for part in str(facts.get("redis_version", "0")).split(".")[:2])
    override = "or set start_check = false in [orchestrator.persistence.options]"
    if version < OLDEST:
        raise StoreError(f"{server} is version {facts.get('redis_version')}", hint="6.2 or newer is needed")
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise StoreError(
            f"{server} may drop runs when its memory is full: maxmemory-policy is {policy}",
            hint=f'set maxmemory-policy to "noeviction", {override}',
        )
    if not int(facts.get("aof_enabled", 0)):
        raise StoreError(
            f"{server} forgets what it acknowledged when it is restarted: appendonly is off",
            hint=f'set appendonly to "yes", {override}',
        )
