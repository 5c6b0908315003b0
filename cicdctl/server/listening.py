"""The sockets to listen on: systemd's, or one of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence

from cicdctl.errors import CicdError
from cicdctl.loopback import is_loopback

_FIRST = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


def take_sockets(environ: Mapping[str, str], host: str, port: int) -> list[socket.socket]:
    """Return the sockets that systemd handed over, else one that listens on `host` and `port`.

    Raises CicdError when the address cannot be had.
    """
    sockets = _handed_over(environ) or [_listen(host, port)]
    for listener in sockets:
        # A run that goes on must not hold the port of a server that has ended.
        listener.set_inheritable(False)
    return sockets


def is_local(sockets: Sequence[socket.socket]) -> bool:
    """Whether all of them are reached from this machine only."""
    return all(listener.family == socket.AF_UNIX or is_loopback(listener.getsockname()[0]) for listener in sockets)


def show_address(sockets: Sequence[socket.socket]) -> str:
    """Return where the first of them is reached."""
    name = sockets[0].getsockname()
    if sockets[0].family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(name)}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


def _handed_over(environ: Mapping[str, str]) -> list[socket.socket]:
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid()) or not count.isdigit():
        return []
    try:
        return [socket.socket(fileno=_FIRST + number) for number in range(int(count))]
    except OSError as error:
        raise CicdError(f"LISTEN_FDS={count}, but there is no socket: {error.strerror}") from error


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # With its protocol named: asyncio sets TCP_NODELAY on no other, and each answer took 40 ms.
        listener = socket.socket(found[0], socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[4])
        listener.listen(1024)
    except OSError as error:
        why = error.strerror or str(error)
        hint = "--port PORT names another; 0 takes any free one"
        raise CicdError(f"cannot listen on {host}:{port}: {why}", hint=hint) from error
    return listener
