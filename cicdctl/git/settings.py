"""What git is configured to: the repository's own files over the user's, without running git."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.git_config import is_true, read_git_config

_MOST_INCLUDES = 10


class Settings:
    """Values by key, the last one wins. The user's files are read when first asked, conditional includes are not."""

    def __init__(self, own: dict[str, list[str]], environ: Mapping[str, str]) -> None:
        self._own = own
        self._environ = environ
        self._outside: dict[str, list[str]] | None = None

    def text(self, key: str) -> str:
        """Give the value of a key, "" when it is not set."""
        found = self._own.get(key) or self._users().get(key)
        return found[-1] if found else ""

    def is_true(self, key: str, default: bool = False) -> bool:
        """Read a key as git reads booleans."""
        return is_true(self._own if key in self._own else self._users(), key, default)

    def path(self, key: str) -> Path | None:
        """Read a key as a path, "~/" is the home folder; core.excludesFile and attributesFile have defaults."""
        value = self.text(key)
        if value:
            return self._expand(value)
        name = {"core.excludesfile": "ignore", "core.attributesfile": "attributes"}.get(key)
        folder = self._config_folder()
        return folder / name if name and folder else None

    def outside(self) -> dict[str, str]:
        """Give the values of the user's and the system's files."""
        return {key: values[-1] for key, values in self._users().items()}

    def _users(self) -> dict[str, list[str]]:
        if self._outside is None:
            self._outside = {}
            for path in self._files():
                _read_with_includes(path, self._outside, self._expand)
        return self._outside

    def _files(self) -> list[Path]:
        environ = self._environ
        files = []
        if environ.get("GIT_CONFIG_NOSYSTEM", "").lower() not in ("1", "true", "yes", "on"):
            files.append(Path("/etc/gitconfig"))
        if "GIT_CONFIG_GLOBAL" in environ:
            return [*files, Path(environ["GIT_CONFIG_GLOBAL"])] if environ["GIT_CONFIG_GLOBAL"] else files
        folder = self._config_folder()
        if folder is not None:
            files.append(folder / "config")
        if environ.get("HOME"):
            files.append(Path(environ["HOME"]) / ".gitconfig")
        return files

    def _config_folder(self) -> Path | None:
        folder = self._environ.get("XDG_CONFIG_HOME")
        if folder:
            return Path(folder) / "git"
        home = self._environ.get("HOME")
        return Path(home) / ".config" / "git" if home else None

    def _expand(self, value: str) -> Path:
        if value.startswith("~/") and self._environ.get("HOME"):
            return Path(self._environ["HOME"]) / value[2:]
        return Path(os.path.expanduser(value)) if value.startswith("~") else Path(value)  # noqa: PTH111 - "~name"


def _read_with_includes(path: Path, values: dict[str, list[str]], expand: Callable[[str], Path]) -> None:
    todo = [path]
    for _ in range(_MOST_INCLUDES):
        if not todo:
            return
        path = todo.pop()
        try:
            found = read_git_config(path)
        except GitError:
            # Another user's file, or one that git itself would refuse: not ours to stop at.
            continue
        for key, many in found.items():
            values.setdefault(key, []).extend(many)
        for included in found.get("include.path", []):
            target = expand(included)
            todo.append(target if target.is_absolute() else path.parent / target)
