"""Conditions of pipelines and stages, and the reader's words for the one that does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cicdctl.model import Skip, When
from cicdctl.model.values import Value
from cicdctl.planning.names import matches_name

# Path globs are compiled by the git room; the caller hands its `compile_globs` in.
GlobCompiler = Callable[[Sequence[str]], Callable[[bytes], bool]]


class Facts(Value):
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
    wanted = " or ".join(_wanted(*pair) for pair in (("branch", when.branches), ("tag", when.tags)) if pair[1])
    if facts.tag is not None:
        return f'tag "{facts.tag}" is not {wanted}'
    if facts.branch is not None:
        return f'branch "{facts.branch}" is not {wanted}'
    return f"the commit is on no branch or tag; this wants {wanted}"


def _wanted(kind: str, patterns: Sequence[str]) -> str:
    listed = ", ".join(patterns)
    return f"{kind} {listed}" if len(patterns) == 1 else f"one of the {kind}{'e' * (kind == 'branch')}s {listed}"


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
