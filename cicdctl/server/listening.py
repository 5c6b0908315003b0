"""The sockets to listen on: systemd's, or one of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from cicdctl.errors import CicdError

_FIRST = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


def take_sockets(environ: Mapping[str, str], host: str, port: int) -> list[socket.socket]:
    """Return the sockets that systemd handed over, else one that listens on `host` and `port`.

    Raises CicdError when the address cannot be had.
    """
    if environ.get("LISTEN_PID") == str(os.getpid()):
        count = environ.get("LISTEN_FDS", "")
        if count.isdigit() and int(count) > 0:
            return [socket.socket(fileno=_FIRST + number) for number in range(int(count))]
    try:
        family = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family[0], socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(family[4])
        listener.listen(1024)
    except OSError as error:
        why = error.strerror or str(error)
        hint = "--port PORT names another; 0 takes any free one"
        raise CicdError(f"cannot listen on {host}:{port}: {why}", hint=hint) from error
    listener.set_inheritable(False)
    return [listener]
