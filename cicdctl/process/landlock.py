"""Landlock: the kernel's own sandbox, weaker than bubblewrap, for hosts without user namespaces.

It binds the thread that asks for it and what that thread starts; so a throwaway thread restricts itself,
starts the program and ends, and the runner stays free.
"""

from __future__ import annotations

import os
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from cicdctl.errors import SandboxError
from cicdctl.process.kernel import libc, prctl
from cicdctl.process.spec import Sandbox

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h: rights by bit; each version of the interface added some.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FIRST_RIGHTS = (1 << 13) - 1
_NET_TCP = 0b11
_SCOPED = 0b11
_READABLE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix/store", "/proc")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/shm")

Start = Callable[[], "subprocess.Popen[bytes]"]


def landlock_version() -> int:
    """The version of the interface this kernel has, 0 for none."""
    return max(0, int(libc().syscall(_CREATE, None, 0, 1)))


def restricted_start(sandbox: Sandbox) -> Callable[[Start], subprocess.Popen[bytes]]:
    """Return what starts a program under `sandbox`. Raises SandboxError when it cannot hold here."""
    version = landlock_version()
    if version == 0:
        raise SandboxError("this kernel has no Landlock", hint="install bubblewrap")
    if not sandbox.network:
        # It cannot close UDP, so "no network" would be a lie.
        raise SandboxError(
            "a stage without network needs bubblewrap, Landlock cannot close UDP",
            hint="install bubblewrap, or set network = true",
        )

    def start_restricted(start: Start) -> subprocess.Popen[bytes]:
        answers: list[subprocess.Popen[bytes]] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                _restrict_thread(sandbox, version)
                answers.append(start())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work, name="landlock")
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return answers[0]

    return start_restricted


def _restrict_thread(sandbox: Sandbox, version: int) -> None:
    handled = _FIRST_RIGHTS
    handled |= _REFER if version >= 2 else 0
    handled |= _TRUNCATE if version >= 3 else 0
    handled |= _IOCTL_DEV if version >= 5 else 0
    # struct landlock_ruleset_attr: file rights, network rights (4), scopes (6); older kernels take less.
    # The network is allowed here, so TCP stays unhandled; signals and abstract sockets stay inside.
    attributes = struct.pack("=QQQ", handled, 0, _SCOPED if version >= 6 else 0)
    attributes = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _call(_CREATE, attributes, len(attributes), 0)
    try:
        for name in (*_READABLE, *map(str, sandbox.readonly)):
            _allow(ruleset, Path(name), _READ & handled)
        for name in (*_DEVICES, *map(str, sandbox.writable)):
            _allow(ruleset, Path(name), handled)
        if not prctl(_PR_SET_NO_NEW_PRIVS, 1):
            raise SandboxError("the kernel refuses no_new_privs")
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _FILE_RIGHTS
        # struct landlock_path_beneath_attr, packed.
        _call(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: int | bytes) -> int:
    import ctypes

    result = int(libc().syscall(number, *arguments))
    if result < 0:
        problem = os.strerror(ctypes.get_errno())
        raise SandboxError(f"Landlock cannot be used: {problem}", hint="install bubblewrap")
    return result
