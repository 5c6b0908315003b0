"""`uses = "desktop"`: a notification on the desktop, by the program `notify-send`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from cicdctl.errors import NotSent
from cicdctl.kinds import Notice, NotifierKind
from cicdctl.notifiers.text import one_line

_PROGRAM = "notify-send"
_TIMEOUT_S = 9.0


def kind_in(folder: Path, environ: Mapping[str, str]) -> NotifierKind:
    """Return the kind whose program is found and started as the environment says."""
    return NotifierKind(name="desktop", open=lambda options: Desktop(folder, environ), uncommitted=True)


class Desktop:
    """Starts the program once per notice. Where there is none, or no desktop, that is said and not tried again."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ

    def send(self, notice: Notice) -> None:
        from cicdctl.process import run_captured

        urgency = "normal" if notice.verdict in ("passed", None) else "critical"
        # The body is read as markup.
        words = ("--app-name=cicdctl", f"--urgency={urgency}", "--", notice.title, escape(notice.text, quote=False))
        try:
            status, _, errors = run_captured(
                (_PROGRAM, *words), cwd=self._folder, env=self._environ, timeout_s=_TIMEOUT_S
            )
        except FileNotFoundError as error:
            raise NotSent(f'there is no program "{_PROGRAM}"', is_final=True) from error
        except TimeoutError as error:
            raise NotSent(f'"{_PROGRAM}" does not come to an end') from error
        if status:
            said = one_line(errors.decode("utf-8", "replace"), 120)
            raise NotSent(f'"{_PROGRAM}" ended with status {status}: {said}', is_final=True)
