"""Connects to a host by an address that was looked at: a target in `.cicd.toml` never leads into private networks."""

from __future__ import annotations

import ipaddress
import socket

from cicdctl.errors import NotSent

TIMEOUT_S = 9.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def dial(host: str, port: int, *, may_be_private: bool) -> socket.socket:
    """Connect by TCP; the name is resolved once, and the connection goes to an address that was checked.

    Unless `may_be_private`, every address of the host has to be public: loopback, link-local, private, shared
    and documentation ranges are refused, also inside IPv6. Raises NotSent, final for an address that is refused.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSent(f'cannot resolve "{host}": {getattr(error, "strerror", None) or error}') from error
    if not may_be_private:
        for *_, address in found:
            if not is_public(str(address[0])):
                raise NotSent(
                    f'"{host}" is a private address ({address[0]})',
                    hint="a target in .cicd.toml must be public; name this one in your own configuration",
                    is_final=True,
                )
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(TIMEOUT_S)
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    raise NotSent(f'cannot connect to "{host}" port {port}: {say(failure)}') from failure


def is_public(text: str) -> bool:
    """Whether anybody on the internet could reach this address; what it wraps counts for IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast and not address.is_reserved


def say(error: Exception | None) -> str:
    """Say what went wrong with a connection, without the numbers."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error)
