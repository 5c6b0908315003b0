"""Holds a plugin to its contract: marked hooks, known arguments, and answers that are what they promise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from cicdctl import hookspecs
from cicdctl.errors import CicdError, PluginError
from cicdctl.hookspecs import ANNOUNCED, ASKED, PREFIX
from cicdctl.kinds import Kind, MatcherKind
from cicdctl.near_words import near_word

if TYPE_CHECKING:
    import pluggy

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def find_hooks(name: str, thing: object) -> dict[str, Any]:
    """Return the hooks a plugin implements. Raises PluginError for one that is not marked, or a wrapper."""
    hooks = {}
    for attribute in dir(thing):
        if attribute.startswith(PREFIX) and callable(function := getattr(thing, attribute)):
            mark = getattr(function, "cicdctl_impl", None)
            if mark is None:
                raise PluginError(f'plugin "{name}": "{attribute}" is not marked', hint="put @hookimpl above it")
            if mark.get("wrapper") or mark.get("hookwrapper") or mark.get("specname"):
                problem = "is a wrapper or has a specname, which is not offered"
                raise PluginError(f'plugin "{name}": "{attribute}" {problem}')
            hooks[attribute] = function
    return hooks


def check_hooks(name: str, hooks: dict[str, Any]) -> None:
    """Raise PluginError for a hook that does not exist, with the near word."""
    for hook, function in hooks.items():
        if hook not in ASKED and hook not in ANNOUNCED and not function.cicdctl_impl.get("optionalhook"):
            near = near_word(hook, (*ASKED, *ANNOUNCED))
            raise PluginError(f'plugin "{name}": there is no hook "{hook}"{near}', hint="see docs/plugins.md")


def argument_names(function: Any) -> tuple[str, ...]:
    """Return the facts that an unwrapped function or bound method asks for."""
    code = function.__code__
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount - len(function.__defaults__ or ())]
    return names[1:] if hasattr(function, "__self__") else names


def check_kind(kind: object, wanted: type[Kind]) -> None:
    """Raise TypeError or ValueError when one answer is not what the hook promises."""
    if not isinstance(kind, wanted):
        raise TypeError(f"answered {kind!r:.200}, not a {wanted.__name__}")
    if not isinstance(kind.name, str) or not _NAME.fullmatch(kind.name):
        raise ValueError(f"{kind.name!r:.80} is no name: letters, digits, dot, dash and underscore")
    if not isinstance(kind.options_type, type) or not issubclass(kind.options_type, msgspec.Struct):
        raise TypeError(f'the options_type of "{kind.name}" is no Value')
    for field in ("resolve", "open", "load", "find"):
        if not callable(getattr(kind, field, check_kind)):
            raise TypeError(f'"{field}" of "{kind.name}" cannot be called')
    if isinstance(kind, MatcherKind) and not _are_words(kind.marks):
        raise ValueError(f'the marks of "{kind.name}" are {kind.marks!r:.200}: a tuple of texts, at least one')


def _are_words(marks: object) -> bool:
    return isinstance(marks, tuple) and bool(marks) and all(isinstance(mark, str) and mark for mark in marks)


def new_pluggy(plugins: Iterable[tuple[str, object]]) -> pluggy.PluginManager:
    """Return a manager that knows our hooks and these plugins; it orders them and checks their arguments.

    Raises PluginError naming the plugin that takes an argument its hook has not.
    """
    # 10 ms to import: only paid where a plugin is not built in.
    import pluggy

    class Specified(pluggy.PluginManager):
        def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
            return {} if name in ASKED or name in ANNOUNCED else None

    manager = Specified("cicdctl")
    manager.add_hookspecs(hookspecs)
    for name, thing in plugins:
        try:
            manager.register(thing, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f'plugin "{name}": {error}', hint="see docs/plugins.md") from error
    return manager


def describe_error(error: Exception) -> str:
    """Say what a plugin raised: our own errors in their words, others with their class."""
    return str(error) if isinstance(error, CicdError) else f"{type(error).__name__}: {error}"
