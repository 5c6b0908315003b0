"""What can go wrong with a server, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from cicdctl.plugin_api import StoreError


class Unreachable(StoreError):
    """The server does not answer: nothing is known of what it holds."""


class Amnesia(StoreError):
    """The server answers, and does not hold what it held: it is never taken for an empty history."""


@contextmanager
def explained(server: str) -> Iterator[None]:
    """Translate what redis-py raises. `server` names host, port and database."""
    try:
        yield
    except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
        raise StoreError(
            f"{server} refuses us: {error}", hint="see username and password in [orchestrator.persistence.redis]"
        ) from error
    except exceptions.BusyLoadingError as error:
        raise Unreachable(f"{server} is still loading its data", hint="try again in a moment") from error
    except exceptions.TimeoutError as error:
        raise Unreachable(f"{server} does not answer in time", hint="see whether it hangs, or is overloaded") from error
    except (exceptions.ConnectionError, OSError) as error:
        raise Unreachable(
            f"{server} cannot be reached: {error}",
            hint="start it, or see host and port in [orchestrator.persistence.redis]",
        ) from error
    except exceptions.RedisError as error:
        # Before version 7 what stops a script arrives as words only.
        words = str(error)
        if isinstance(error, exceptions.OutOfMemoryError) or "OOM command" in words:
            raise StoreError(f"{server} is full: {error}", hint="raise its maxmemory") from error
        if isinstance(error, exceptions.ReadOnlyError) or "READONLY" in words:
            raise StoreError(f"{server} is a replica and takes no writes", hint="name the primary") from error
        raise StoreError(f"{server} cannot be used: {error}", hint="Redis 6.2 or newer is needed") from error
