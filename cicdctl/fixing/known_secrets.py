"""Values that are known to be secret: variables by their names, and what git and package managers log in with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from cicdctl.fixing.secret_shapes import SECRET_NAME

_MOST_FILE_BYTES = 1 << 16
_LEAST_CHARS = 6
# They speak of a session or of who may log in, and hold neither.
_HARMLESS = re.compile(
    r"XDG_|DESKTOP_SESSION|SESSION_MANAGER|DBUS_SESSION|GIT_AUTHOR_|GIT_COMMITTER_|AUTHOR|SSH_AUTH_SOCK|XAUTHORITY",
    re.IGNORECASE,
)
_WORDS = frozenset({"disabled", "enabled", "default", "optional", "required", "always", "keyring", "basic", "bearer"})
_USERINFO = re.compile(r"://([^/\s@]{1,1000})@")
_LINES = (
    (".netrc", re.compile(r"\bpassword\s+(\S{4,1000})")),
    (".npmrc", re.compile(r"(?:_authToken|_password|_auth)\s*=\s*(\S{4,1000})")),
    (".pypirc", re.compile(r"^\s*password\s*[=:]\s*(\S{4,1000})", re.MULTILINE)),
)


def secret_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are named like secrets, without what is plainly none."""
    return {name: value for name, value in environ.items() if _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    if SECRET_NAME.search(name) is None or _HARMLESS.match(name) is not None:
        return False
    is_short = len(value) < _LEAST_CHARS or (value.isdigit() and len(value) < 10)
    return not is_short and value.lower() not in _WORDS and not value.startswith(("/", "~/"))


def remote_secrets(config: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield what the URLs of git's configuration log in with: passwords, and tokens that stand where a name could."""
    for key, values in config.items():
        for value in values if key.endswith(("url", "proxy", "insteadof")) else ():
            for userinfo in _USERINFO.findall(value):
                user, colon, password = userinfo.partition(":")
                secret = password if colon else user if len(user) >= 16 else ""
                if secret:
                    yield from {secret, unquote(secret)}


def login_secrets(home: Path) -> Iterator[str]:
    """Yield the passwords of `.netrc`, `.npmrc` and `.pypirc`; a file that cannot be read is one nobody can leak."""
    for name, pattern in _LINES:
        try:
            with (home / name).open("rb") as file:
                text = file.read(_MOST_FILE_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        yield from (value.strip("'\"") for value in pattern.findall(text) if not value.startswith("${"))
