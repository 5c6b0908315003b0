"""What can go wrong, in classes that somebody catches; each knows its exit status."""

from __future__ import annotations

from typing import ClassVar


class CicdError(Exception):
    """One line says what is wrong; `hint` says what to do next."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CicdError):
    """The command line asks for something that cannot be asked."""

    exit_code = 2


class ConfigError(CicdError):
    """The configuration is wrong; `problems` holds every one, not the first."""

    exit_code = 2

    def __init__(self, problems: tuple[str, ...], *, hint: str = "") -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class NotAvailable(ConfigError):
    """A documented key or command whose engine is not part of this version."""

    def __init__(self, feature: str, *, hint: str = "") -> None:
        super().__init__((f"{feature} is not available yet",), hint=hint)


class GitError(CicdError):
    """No repository here, no such revision, or a repository we refuse to read."""


class PluginError(CicdError):
    """A plugin did not load, or broke its contract."""


class NotSent(CicdError):
    """A notice did not arrive. It is tried again, not before `retry_after_s`; never again when `is_final`."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 0.0, is_final: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s
        self.is_final = is_final


class Paused(CicdError):
    """Somebody waits for a run that does not start, since the queue is paused."""

    exit_code = 6


class StoreError(CicdError):
    """Saved results cannot be read or written."""


class SandboxError(CicdError):
    """A sandbox or a limit that is required cannot be provided here."""


def describe(error: Exception) -> str:
    """Say in one line what went wrong, without the errno of an OSError."""
    if isinstance(error, CicdError):
        return error.message
    strerror, name = getattr(error, "strerror", None), getattr(error, "filename", None)
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return f'{strerror}: "{name}"' if strerror and name else strerror or str(error)
