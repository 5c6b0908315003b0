"""What every source of changes makes: a ref that has moved, and what its author asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cicdctl.model import Value

THIS_REPOSITORY = ""
_REMOTE_PREFIX = "refs/cicd/remote/"
_ZERO = re.compile(r"0+")
_SKIP_TOKEN = re.compile(r"\[(?:skip ci|ci skip|no ci|skip actions)\]", re.IGNORECASE)
_SKIP_TRAILER = re.compile(r"^skip-checks:\s*true\s*$", re.IGNORECASE | re.MULTILINE)
_FLAGS = {
    "ci.skip": "skip",
    "skip-ci": "skip",
    "ci.no-cache": "no_cache",
    "ci.no-fix": "no_fix",
    "ci.wait": "wait",
    "ci.nowait": "nowait",
}


class Wishes(Value, frozen=True, kw_only=True):
    """What push options ask for. No `pipelines`: those whose trigger it is. `unknown` are options nobody knows."""

    skip: bool = False
    no_cache: bool = False
    no_fix: bool = False
    wait: bool = False
    nowait: bool = False
    pipelines: tuple[str, ...] = ()
    params: Mapping[str, str] = {}
    unknown: tuple[str, ...] = ()


class Change(Value, frozen=True, kw_only=True):
    """A hint to look at a ref. Hex ids, None where it did not or does not exist; `new` is what the source saw.

    `source` is the repository: the empty one is ours, else a URL whose refs lie below `refs/cicd/remote/`.
    """

    ref: str
    old: str | None
    new: str | None
    source: str = THIS_REPOSITORY
    wishes: Wishes = Wishes()


def remote_name(ref: str) -> str:
    """Return where a watched remote's ref is kept in this repository."""
    return _REMOTE_PREFIX + ref.removeprefix("refs/")


def object_id(text: str) -> str | None:
    """Return a hex id, or None for the zeros that stand for none in git's hooks."""
    return None if _ZERO.fullmatch(text) else text


def read_wishes(options: Iterable[str]) -> Wishes:
    """Read push options; those of other programs, without `ci.`, are passed over."""
    flags: dict[str, bool] = {}
    pipelines: list[str] = []
    params: dict[str, str] = {}
    unknown: list[str] = []
    for option in options:
        name, _, value = option.partition("=")
        key, second, text = value.partition("=")
        if option in _FLAGS:
            flags[_FLAGS[option]] = True
        elif name == "ci.pipeline" and value:
            pipelines.append(value)
        elif name in ("ci.variable", "ci.input") and second and key:
            params[key] = text
        elif name.startswith("ci."):
            unknown.append(option)
    return Wishes(pipelines=tuple(pipelines), params=params, unknown=tuple(unknown), **flags)


def asks_to_skip(message: str) -> bool:
    """Whether a commit's message says that no pipeline is wanted."""
    return _SKIP_TOKEN.search(message) is not None or _SKIP_TRAILER.search(message) is not None
