"""One private network for several sandboxes: a stage without network meets the services beside it there."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from cicdctl.errors import SandboxError
from cicdctl.process.bwrap import HOST_PATH, bwrap_program, missing_bwrap, nsenter_program
from cicdctl.process.spec import Sandbox

# Says who it is, then lives until we let go of its input, which is also when we are killed. Ctrl-C is for us to
# act on. Without `--dev` and `--proc`, or bubblewrap puts it into a second user namespace, out of reach.
_HOLD = ("/bin/sh", "-c", 'trap "" INT QUIT TERM HUP; echo $$; exec cat')
_ALONE = ("--unshare-user", "--unshare-net", "--cap-drop", "ALL", "--ro-bind", "/", "/")


@contextmanager
def shared_network(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give a sandbox whose programs, all of them, share one loopback device and no other network.

    For a stage with services and `network = false`: start them and the stage with what this gives, within the
    `with` block. A sandbox that has the network is given back as it is. Raises SandboxError.
    """
    if sandbox.network:
        yield sandbox
        return
    program = bwrap_program()
    if program is None or sandbox.level != "bwrap":
        raise missing_bwrap("bwrap is not installed")
    if nsenter_program() is None:
        raise SandboxError(
            "a stage without network can meet its services only with nsenter, which is not installed",
            hint="install util-linux, or set network = true",
        )
    # In our own session, so that it is taken for no stage's leftover.
    holder = subprocess.Popen(
        [program, *_ALONE, "--", *_HOLD],
        env={"PATH": HOST_PATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert holder.stdin is not None and holder.stdout is not None and holder.stderr is not None
    try:
        pid = holder.stdout.readline().strip()
        if not pid.isdigit():
            why = holder.stderr.read().decode("utf-8", "replace").strip().splitlines()
            raise SandboxError(
                f"no network can be made for the stage and its services: {why[-1] if why else 'no reason'}"
            )
        yield replace(sandbox, network_of=int(pid))
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
        holder.stderr.close()
