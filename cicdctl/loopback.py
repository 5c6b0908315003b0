"""Whether a host is this machine as nobody else reaches it."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is reached from this machine only."""
    import ipaddress  # seldom needed, and it takes its time

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
