"""Secret values of one repository: a file only its owner can read, then the environment by allow-list."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cicdctl.errors import ConfigError, StoreError
from cicdctl.store.folders import create_private_file, make_private_folder, sync_folder
from cicdctl.store.locks import Lock, lock

FILE = "secrets.toml"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secrets:
    """`secrets.toml` (0600) in the state folder. `parse` reads TOML; it raises ValueError or ConfigError.

    No method but `get` ever gives a value away, and no message holds one.
    """

    def __init__(self, folder: Path, *, parse: Callable[[str], Mapping[str, Any]]) -> None:
        self.path = folder / FILE
        self._parse = parse

    def list(self) -> tuple[str, ...]:
        """Give the names that are stored, in order."""
        return tuple(sorted(self._read()))

    def set(self, name: str, value: str) -> None:
        """Store a value of any text, also of several lines, in place of an earlier one.

        ValueError when the name is none an environment variable can have, or the value holds a NUL.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' cannot name a secret: letters, digits and '_', not beginning with a digit")
        if "\0" in value:
            raise ValueError(f"the value of secret '{name}' holds a NUL character, which no environment variable can")
        if not _is_unicode(value):
            raise ValueError(f"the value of secret '{name}' is not text; encode it, for example with base64")
        with self._turn():
            self._write({**self._read(), name: value})

    def remove(self, name: str) -> bool:
        """Forget a value; False when there was none."""
        with self._turn():
            known = self._read()
            if known.pop(name, None) is None:
                return False
            self._write(known)
            return True

    def get(self, names: Sequence[str], environ: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Give the values of `names`, and those names that have none.

        The stored value goes before that of `environ`, which holds only what is allowed.
        """
        if not names:
            return {}, ()
        known = self._read()
        found = {name: known.get(name, environ.get(name)) for name in names}
        values = {name: value for name, value in found.items() if value is not None}
        return values, tuple(name for name in found if name not in values)

    def _turn(self) -> Lock:
        make_private_folder(self.path.parent)
        held = lock(self.path.parent / "locks" / "secrets", blocking=True)
        assert held is not None
        return held

    def _read(self) -> dict[str, str]:
        try:
            text = _read_private(self.path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"cannot read '{self.path}': {error.strerror}", hint="it must be yours") from error
        try:
            found = self._parse(text)
        except (ValueError, ConfigError):
            # Not the parser's message: it may quote the line, and with it a value.
            raise StoreError(f"'{self.path}' is not valid TOML", hint="repair it, or set the secrets again") from None
        wrong = sorted(name for name, value in found.items() if not isinstance(value, str) or not _NAME.fullmatch(name))
        if wrong:
            raise StoreError(f"'{self.path}': {', '.join(wrong)}: not a name with text", hint='write NAME = "value"')
        return dict(found)

    def _write(self, values: Mapping[str, str]) -> None:
        import tomli_w

        content = tomli_w.dumps(dict(sorted(values.items()))).encode()
        aside = self.path.with_name(f".{FILE}.new")
        try:
            aside.unlink(missing_ok=True)
            with os.fdopen(create_private_file(aside), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise StoreError(f"cannot write '{self.path}': {error.strerror}", hint="is the disk full?") from error


def _read_private(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if facts.st_uid not in (os.geteuid(), 0):
            raise StoreError(f"'{path}' belongs to another user", hint="make it yours, or remove it")
        if stat.S_IMODE(facts.st_mode) & 0o077:
            raise StoreError(f"'{path}' can be read by others", hint=f"`chmod 600 '{path}'`, and renew what is in it")
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise StoreError(f"'{path}' is not UTF-8 text", hint="repair it, or set the secrets again") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
