"""Matchers of plugins: asked in processes of their own, since a pattern that runs for ever holds its whole process."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from cicdctl.errors import PluginError
from cicdctl.fixing.matcher_child import checked
from cicdctl.fixing.matchers import Matcher
from cicdctl.fixing.matchers.drafts import MOST_BLOCK_LINES, Draft, Lines, positive
from cicdctl.kinds import MatcherKind
from cicdctl.model.fixing import Diagnostic, Frame
from cicdctl.plugin_manager import PluginManager, Provided

HOOK = "cicdctl_matchers"
LIMIT_S = 10.0
_MOST_WORD = 1000
_MOST_FRAMES = 200
# HOME and the rest say where the interpreter finds packages and libraries, as it did for us.
_PASSED = ("HOME", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH")


def plugin_matchers(
    plugins: PluginManager, environ: Mapping[str, str], *, limit_s: float = LIMIT_S
) -> tuple[Matcher, ...]:
    """Return what plugins provide, as the engine's own matchers are; none of it raises.

    Raises PluginError when a plugin does not answer which it has, as it should.
    """
    return tuple(_matcher(plugins, one, environ, limit_s) for one in plugins.provided(HOOK))


def _matcher(plugins: PluginManager, one: Provided, environ: Mapping[str, str], limit_s: float) -> Matcher:
    kind = one.kind
    assert isinstance(kind, MatcherKind)

    def find(lines: Lines) -> list[Draft]:
        if all(other.plugin != one.plugin for other in plugins.provided(HOOK)):
            return []  # another matcher of it has just hung
        try:
            found = _ask(one, kind, lines, environ, limit_s)
            drafts = [_draft(diagnostic, len(lines)) for diagnostic in found]
        except Exception as error:  # a plugin may raise or answer anything; the other matchers go on
            plugins.note(one.plugin, HOOK, _naming(kind.name, error))
            return []
        plugins.note(one.plugin, HOOK, None)
        return drafts

    return kind.marks, find


def _ask(
    one: Provided, kind: MatcherKind, lines: Lines, environ: Mapping[str, str], limit_s: float
) -> Iterable[Diagnostic]:
    if one.source is False:
        # It is built in, or somebody's object in this process: there is nothing to load anew.
        found: list[Diagnostic] = one.call(lambda: list(checked(kind.find(lines))))
        return found
    return _ask_child(one, kind, lines, environ, limit_s)


def _ask_child(
    one: Provided, kind: MatcherKind, lines: Lines, environ: Mapping[str, str], limit_s: float
) -> list[Diagnostic]:
    from cicdctl.process import run_captured

    file = str(one.source.absolute()) if isinstance(one.source, Path) else None
    asked = msgspec.json.encode({"plugin": one.plugin, "file": file, "matcher": kind.name})
    try:
        status, out, _ = run_captured(
            # Nothing that lies in a folder is imported because we are in it.
            (sys.executable, "-P", "-m", "cicdctl.fixing.matcher_child"),
            cwd=Path("/"),
            env={"LC_ALL": "C.UTF-8", **{name: environ[name] for name in _PASSED if name in environ}},
            timeout_s=limit_s,
            stdin=asked + b"\n" + "\n".join(lines).encode("utf-8", "replace"),
        )
    except TimeoutError as error:
        raise TimeoutError(f"no answer within {limit_s:g} s") from error
    try:
        answer = msgspec.json.decode(out, type=_Answer)
    except msgspec.ValidationError as error:
        raise TypeError(f"yielded a Diagnostic that is none: {error}") from error
    except msgspec.DecodeError as error:
        raise RuntimeError(f"its process ended with status {status}") from error
    if answer.error:
        raise PluginError(answer.error)
    return answer.found


class _Answer(msgspec.Struct):
    found: list[Diagnostic] = []
    error: str = ""


def _draft(one: Diagnostic, count: int) -> Draft:
    """Turn what a plugin yields into what matchers gather. Raises ValueError for a place that is none."""
    if not isinstance(one.log_span, tuple) or not 1 <= one.log_span[0] <= one.log_span[1] <= count:
        raise ValueError(f"yielded log_span {one.log_span!r:.80}: first and last line of {count}, from 1")
    start, end = one.log_span
    draft = Draft(
        one.tool[:_MOST_WORD],
        one.kind,
        " ".join(one.message.splitlines()),
        start,
        end=min(end, start + MOST_BLOCK_LINES),
        code=one.code and one.code[:_MOST_WORD],
        test_id=one.test_id and one.test_id[:_MOST_WORD],
    )
    if one.file is not None:
        draft.place(one.file[:_MOST_WORD], one.line, one.column)
    draft.frames = [
        Frame(
            file=frame.file[:_MOST_WORD],
            line=positive(frame.line),
            function=frame.function and frame.function[:_MOST_WORD],
        )
        for frame in one.frames[:_MOST_FRAMES]
    ]
    return draft


def _naming(matcher: str, error: Exception) -> Exception:
    """Say which matcher it was; a hang stays one."""
    if isinstance(error, TimeoutError):
        return TimeoutError(f'matcher "{matcher}": {error}')
    said = error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    return PluginError(f'matcher "{matcher}": {said}')
