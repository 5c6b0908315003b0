"""The few Linux calls that Python does not offer, and what a runner asks of the kernel at its start."""

from __future__ import annotations

import signal
import threading
from typing import Any

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

_libc: Any = None
_is_subreaper = False


def libc() -> Any:
    """The C library, loaded once; its calls report through `ctypes.get_errno`."""
    global _libc
    if _libc is None:
        import ctypes

        _libc = ctypes.CDLL(None, use_errno=True)
    return _libc


def prctl(option: int, value: int) -> bool:
    """Call prctl(2) and say whether it worked; False where there is none."""
    call = getattr(libc(), "prctl", None)
    return call is not None and call(option, value, 0, 0, 0) == 0


def become_subreaper() -> bool:
    """Adopt every descendant that loses its parent, so that none can leave the tree. Idempotent."""
    global _is_subreaper
    if not _is_subreaper:
        _is_subreaper = prctl(_PR_SET_CHILD_SUBREAPER, 1)
    return _is_subreaper


def prepare_runner_process() -> None:
    """Make this process fit to run stages; call it once, in the main thread, before any stage.

    SIGCHLD back to default, subreaper, not dumpable, no core files (stages inherit that one).
    """
    import resource

    # With an inherited "ignore" the kernel throws exit statuses away, and Python reads 0 for a failure.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    elif signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        raise RuntimeError("SIGCHLD is ignored and can only be set back in the main thread")
    become_subreaper()
    # A stage of the same uid could otherwise read our environment and memory through /proc.
    prctl(_PR_SET_DUMPABLE, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
