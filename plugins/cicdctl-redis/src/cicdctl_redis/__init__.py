"""A cicdctl plugin: the state store `redis`."""

from cicdctl_redis.plugin import cicdctl_state_stores

__all__ = ["cicdctl_state_stores"]
