"""The bubblewrap sandbox: what is mounted, how the program gets its environment, how it is reached."""

from __future__ import annotations

import json
import os
import select
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from cicdctl.errors import SandboxError
from cicdctl.process.spec import ProcessSpec, Sandbox

# Programs and their libraries; on merged systems all but /usr and /etc are links into /usr.
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix/store")
HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def bwrap_program() -> str | None:
    """Where the operator's bubblewrap is; never looked for in a stage's PATH."""
    return shutil.which("bwrap", path=os.environ.get("PATH", HOST_PATH))


def mount_arguments(sandbox: Sandbox) -> list[str]:
    """Arguments that build the file system and the namespaces, later ones over earlier ones."""
    args = ["--unshare-all", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    if sandbox.network or sandbox.network_of is not None:
        args += ["--share-net"]
    for folder in SYSTEM_FOLDERS:
        path = Path(folder)
        if path.is_symlink():
            args += ["--symlink", os.readlink(path), folder]  # noqa: PTH115 -- the text of the link
        elif path.is_dir():
            args += ["--ro-bind", folder, folder]
    args += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/run"]
    args += ["--tmpfs", "/var", "--symlink", "../tmp", "/var/tmp", "--symlink", "../run", "/var/run"]
    if sandbox.network:
        args += _resolver_arguments()
    binds = [("--ro-bind", path) for path in sandbox.readonly] + [("--bind", path) for path in sandbox.writable]
    # Outer folders first: a later mount covers what an earlier one put below it.
    for option, path in sorted(binds, key=lambda bind: len(bind[1].parts)):
        args += [option, str(path), str(path)]
    for path in sandbox.hidden:
        args += ["--tmpfs", str(path)] if path.is_dir() else ["--ro-bind", os.devnull, str(path)]
    return [*args, "--remount-ro", "/"]


def _resolver_arguments() -> list[str]:
    """Name resolution reads a file that is often a link out of /etc."""
    target = Path("/etc/resolv.conf").resolve()
    if target.is_relative_to("/etc") or not target.is_file():
        return []
    return ["--ro-bind", str(target), str(target)]


def _entering(sandbox: Sandbox) -> tuple[str, ...]:
    """The program, if any, that takes bubblewrap into a network others are in; it becomes bubblewrap, no parent."""
    if sandbox.network_of is None:
        return ()
    program = nsenter_program()
    if program is None:
        raise SandboxError("nsenter is not installed", hint="install util-linux")
    # A network belongs to a user namespace: only from inside that one it may be entered without root.
    names = (f"--{kind}=/proc/{sandbox.network_of}/ns/{kind}" for kind in ("user", "net"))
    return (program, *names, "--preserve-credentials", "--")


def nsenter_program() -> str | None:
    """Where the program is that enters namespaces; never looked for in a stage's PATH."""
    return shutil.which("nsenter", path=HOST_PATH)


class Bwrap:
    """One bubblewrap around one program."""

    def __init__(self, spec: ProcessSpec) -> None:
        assert spec.sandbox is not None
        program = bwrap_program()
        if program is None:
            raise missing_bwrap("bwrap is not installed")
        self._status_in, self._status_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._block_out, self._block_in = os.pipe2(os.O_CLOEXEC)
        self._args = os.memfd_create("bwrap", os.MFD_CLOEXEC)
        self._text = b""
        self._init: int | None = None
        args = [*mount_arguments(spec.sandbox), "--chdir", str(spec.cwd), "--clearenv"]
        # Through a file and not through its own environment: LD_PRELOAD would be loaded outside the
        # sandbox. Through a file and not its arguments: everybody can read those.
        for name, value in {**spec.env, "CICD_MARK": spec.mark}.items():
            args += ["--setenv", name, value]
        self._write_args(args)
        self.env = {"PATH": HOST_PATH}
        self.pass_fds = (self._args, self._status_out, self._block_out)
        fds = ["--args", str(self._args), "--json-status-fd", str(self._status_out), "--block-fd", str(self._block_out)]
        self.argv: tuple[str, ...] = (*_entering(spec.sandbox), program, *fds, "--", *spec.argv)

    def _write_args(self, args: Sequence[str]) -> None:
        block = b"".join(os.fsencode(arg) + b"\0" for arg in args)
        with open(self._args, "wb", closefd=False) as stream:
            stream.write(block)
        os.lseek(self._args, 0, os.SEEK_SET)

    def has_started(self) -> None:
        """Close the ends that are bwrap's, once it is running."""
        for fd in (self._args, self._status_out, self._block_out):
            os.close(fd)
        self._args = self._status_out = self._block_out = -1

    def release(self) -> None:
        """Let the program start, once its limits are set."""
        try:
            os.write(self._block_in, b"\1")
        except BrokenPipeError:
            return  # bwrap has failed; `finish` says so

    def init_pid(self, *, wait_s: float = 0.0) -> int | None:
        """The first process of the sandbox, as we see it; None when it was not (yet) made."""
        end = time.monotonic() + wait_s
        while self._init is None and self._status_in >= 0:
            at_end = self._read_status()
            self._init = self._find("child-pid")
            left_s = end - time.monotonic()
            if self._init is not None or at_end or left_s <= 0:
                break
            select.select([self._status_in], [], [], left_s)
        return self._init

    def _read_status(self) -> bool:
        try:
            chunk = os.read(self._status_in, 65536)
        except BlockingIOError:
            return False
        self._text += chunk
        return not chunk

    def _find(self, key: str) -> int | None:
        for line in self._text.splitlines():
            try:
                document = json.loads(line)
            except ValueError:
                continue
            if key in document:
                return int(document[key])
        return None

    def finish(self) -> str:
        """Close everything; say what went wrong when the program was never started, else ""."""
        while self._status_in >= 0 and not self._read_status():
            if self._find("exit-code") is not None:
                break
            if not select.select([self._status_in], [], [], 0.0)[0]:
                break
        code = self._find("exit-code")
        for fd in (self._args, self._status_out, self._block_out, self._status_in, self._block_in):
            if fd >= 0:
                os.close(fd)
        self._args = self._status_out = self._block_out = self._status_in = self._block_in = -1
        return "" if code is not None else "the sandbox did not start the program; its output says why"


def missing_bwrap(why: str) -> SandboxError:
    """The one message for a sandbox that is required and not to be had."""
    return SandboxError(
        f"this stage must run in a sandbox, and {why}",
        hint="install bubblewrap 0.8 or newer; on Ubuntu 24.04 allow it user namespaces (AppArmor profile bwrap)",
    )
