"""Conditions of pipelines and stages, and the reader's words for the one that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cicdctl.model import Skip, When
from cicdctl.model.values import Value
from cicdctl.planning.names import matches_name

# Path globs are compiled by the git room; the caller hands its `compile_globs` in.
GlobCompiler = Callable[[Sequence[str]], Callable[[bytes], bool]]


class Facts(Value, frozen=True, kw_only=True):
    """What is known of the commit. `changed` are its paths since the base; None when unknown: path conditions hold."""

    branch: str | None = None
    tag: str | None = None
    changed: tuple[bytes, ...] | None = None


def find_skip(when: When, facts: Facts, params: Mapping[str, str], compile_globs: GlobCompiler) -> Skip | None:
    """Return why the conditions do not hold, or None when they do.

    With both `branches` and `tags` one of them is enough, since a run is on one or the other.
    """
    reason = _wrong_ref(when, facts) or _wrong_param(when, params) or _unchanged(when, facts, compile_globs)
    return Skip(reason=reason) if reason else None


def _wrong_ref(when: When, facts: Facts) -> str | None:
    if not when.branches and not when.tags:
        return None
    if facts.branch is not None and when.branches and matches_name(when.branches, facts.branch):
        return None
    if facts.tag is not None and when.tags and matches_name(when.tags, facts.tag):
        return None
    if facts.tag is not None and when.tags:
        return f'tag "{facts.tag}" is not {_one_of(when.tags)}'
    if facts.tag is not None:
        return f'this is tag "{facts.tag}", not branch {_one_of(when.branches)}'
    if facts.branch is not None and when.branches:
        return f'branch "{facts.branch}" is not {_one_of(when.branches)}'
    if facts.branch is not None:
        return f'this is branch "{facts.branch}", not tag {_one_of(when.tags)}'
    return f"this commit is on no branch or tag, wanted is {_one_of((*when.branches, *when.tags))}"


def _one_of(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"one of {', '.join(patterns)}"


def _wrong_param(when: When, params: Mapping[str, str]) -> str | None:
    for name, wanted in when.params.items():
        if name not in params:
            return f'param "{name}" is not set; this wants "{wanted}"'
        if not matches_name((wanted,), params[name]):
            return f'param "{name}" is "{params[name]}", not "{wanted}"'
    return None


def _unchanged(when: When, facts: Facts, compile_globs: GlobCompiler) -> str | None:
    if not when.paths or facts.changed is None or any(map(compile_globs(when.paths), facts.changed)):
        return None
    if not facts.changed:
        return f"no file changed; this wants a change in {', '.join(when.paths)}"
    return f"no changed file matches {', '.join(when.paths)}"
