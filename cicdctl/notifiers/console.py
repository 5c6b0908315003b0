"""`uses = "console"`: a line per notice, into a file or terminal of your choice."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from cicdctl.errors import NotSent
from cicdctl.kinds import Notice, NotifierKind
from cicdctl.model import Value


class ConsoleOptions(Value, frozen=True, kw_only=True):
    """`file` is what lines are appended to; relative: in the state folder. `/dev/pts/3` and a pipe are files too."""

    file: str = "notices.log"
    text: bool = False


def kind_in(folder: Path) -> NotifierKind:
    """Return the kind whose relative files lie in `folder`."""
    return NotifierKind(
        name="console", options_type=ConsoleOptions, open=lambda options: Console(options, folder), uncommitted=True
    )


class Console:
    """Appends `time  title`, and with `text = true` the lines below it."""

    def __init__(self, options: ConsoleOptions, folder: Path) -> None:
        self._path = folder / Path(options.file).expanduser()
        self._has_text = options.text

    def send(self, notice: Notice) -> None:
        lines = [f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(notice.at))}  {notice.title}"]
        if self._has_text:
            lines += [f"    {line}" for line in notice.text.splitlines()]
        data = ("\n".join(lines) + "\n").encode("utf-8", "replace")
        try:
            # Nobody may read the pipe, or the terminal may be stopped: better tried again than stuck.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
            descriptor = os.open(self._path, flags, 0o600)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    data = b"" if _ends_with(self._path, data) else data
                os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NotSent(f'cannot write "{self._path}": {error.strerror}') from error


def _ends_with(path: Path, data: bytes) -> bool:
    """Whether the last thing in the file is this notice: it was written before somebody killed us."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(data)))
        return file.read() == data
