"""The program that asks one matcher of one plugin about a log, and is killed when it does not end.

It reads a JSON document and, from the next line on, the log; it writes a JSON document.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from cicdctl.errors import PluginError
from cicdctl.kinds import MatcherKind
from cicdctl.model.fixing import Diagnostic
from cicdctl.model.values import Value
from cicdctl.plugin_contract import describe_error
from cicdctl.plugin_sources import find_installed, import_file, import_installed

HOOK = "cicdctl_matchers"
MOST_FOUND = 2000
MOST_ANSWER = 16_000_000


class Asked(Value, frozen=True, kw_only=True):
    """Which matcher of which plugin; `file` is None for one that is installed."""

    plugin: str
    matcher: str
    file: str | None = None


def main() -> None:
    """Answer what standard input asks."""
    head, _, log = sys.stdin.buffer.read().partition(b"\n")
    answer = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:  # what a plugin prints is no answer, and nobody holds it in memory
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        found = _find(msgspec.json.decode(head, type=Asked), log.decode("utf-8").split("\n"))
        data = msgspec.json.encode({"found": found})
        if len(data) > MOST_ANSWER:
            raise ValueError(f"yielded {len(data)} bytes, which are more than {MOST_ANSWER}")
    except BaseException as error:  # a plugin may raise anything, SystemExit too
        said = describe_error(error) if isinstance(error, Exception) else f"raised {error!r}"
        data = msgspec.json.encode({"error": said[:1000]})
    with os.fdopen(answer, "wb") as out:
        out.write(data)


def checked(found: Iterable[object]) -> Iterator[Diagnostic]:
    """Yield what a matcher yields. Raises TypeError for what is no Diagnostic, ValueError for too many."""
    for number, one in enumerate(found, 1):
        if not isinstance(one, Diagnostic):
            raise TypeError(f"yielded {one!r:.200}, not a Diagnostic")
        if number > MOST_FOUND:
            return
        yield one


def _find(asked: Asked, lines: list[str]) -> list[Diagnostic]:
    for kind in getattr(_load(asked), HOOK)():
        if isinstance(kind, MatcherKind) and kind.name == asked.matcher:
            return list(checked(kind.find(lines)))
    raise PluginError(f'"{asked.plugin}" does not provide it any more')


def _load(asked: Asked) -> object:
    if asked.file is not None:
        return import_file(Path(asked.file))
    for plugin in find_installed():
        if plugin.name == asked.plugin:
            return import_installed(plugin)
    raise PluginError(f'plugin "{asked.plugin}" is not installed any more')


if __name__ == "__main__":
    main()
