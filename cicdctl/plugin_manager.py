"""Finds plugins, checks them, asks them and announces to them; none of them can change a run by failing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cicdctl.errors import ConfigError, PluginError
from cicdctl.hookspecs import ASKED, PREFIX
from cicdctl.kinds import Kind, Places, StageCommands, read_options
from cicdctl.model import Stage
from cicdctl.model.values import Value
from cicdctl.near_words import near_word
from cicdctl.plugin_contract import argument_names, check_hooks, check_kind, describe_error, find_hooks, new_pluggy

if TYPE_CHECKING:
    import pluggy

    from cicdctl.plugin_thread import PluginThread

LIMIT_S = 10.0
MAX_FAILURES_IN_A_ROW = 5


class PluginFailure(Value, frozen=True, kw_only=True):
    """A plugin that failed in an announced hook, or whose matcher did. `switched_off`: for the rest of this process."""

    plugin: str
    hook: str
    text: str
    switched_off: bool = False

    @property
    def message(self) -> str:
        """One line for people."""
        end = "; it is switched off" if self.switched_off else ""
        return f'plugin "{self.plugin}": {self.hook}: {self.text}{end}'


class Provided(NamedTuple):
    """A kind and who provides it. `source` is the plugin's file, or True for an installed one; another process can
    load it from there. `call(function, …)` calls what belongs to the plugin as its hooks are called here."""

    kind: Kind
    plugin: str
    source: Path | bool
    call: Callable[..., Any]


class _Plugin:
    """A registered plugin and how it has behaved."""

    def __init__(
        self, name: str, thing: object, thread: PluginThread | None, origin: str, source: Path | bool = False
    ) -> None:
        self.name = name
        self.thing = thing
        self.thread = thread
        self.origin = origin
        self.source = source
        self.is_off = False
        self.failures_in_a_row = 0
        self.hooks = find_hooks(name, thing)

    @property
    def is_plain(self) -> bool:
        """Whether pluggy is not needed to order it: built in, and content with its turn."""
        return self.thread is None and not any(
            mark.cicdctl_impl["tryfirst"] or mark.cicdctl_impl["trylast"] for mark in self.hooks.values()
        )

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments) if self.thread is None else self.thread.call(function, arguments)


class _Implementation:
    __slots__ = ("argument_names", "function", "plugin")

    def __init__(self, plugin: _Plugin, function: Callable[..., Any], names: tuple[str, ...]) -> None:
        self.plugin = plugin
        self.function = function
        self.argument_names = names


class PluginManager:
    """The plugins of one process. `announce` and `listens` are safe from any thread; the rest belongs to one.

    `on_failure` is called for each failure of an announced hook, from the thread that announces, and
    `trace` with a line for each call of a hook (`-vv`).
    """

    def __init__(
        self,
        *,
        disabled: Iterable[str] = (),
        on_failure: Callable[[PluginFailure], object] | None = None,
        trace: Callable[[str], object] | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.failures: list[PluginFailure] = []
        self._disabled = frozenset(disabled)
        self._on_failure = on_failure
        self._trace = trace
        self._limit_s = limit_s
        self._plugins: dict[str, _Plugin] = {}
        self._orders: dict[str, tuple[_Implementation, ...]] = {}
        self._pluggy: pluggy.PluginManager | None = None
        self._answers: dict[str, dict[str, tuple[_Plugin, Kind]]] = {}

    def register(
        self,
        thing: object,
        name: str,
        *,
        builtin: bool = True,
        origin: str = "built in",
        source: Path | bool = False,
    ) -> None:
        """Take in a module or object as a plugin; a disabled name is passed over in silence.

        Built-ins are called directly, all others in a thread of their own. `source` as in `Provided`. Raises
        PluginError when the name is taken, a hook is not marked, or one takes an argument that it has not.
        """
        if name in self._disabled:
            return
        if name in self._plugins:
            known = self._plugins[name].origin
            raise PluginError(f'there are two plugins "{name}": {known}, and {origin}', hint="remove one of them")
        thread = None if builtin else _new_thread(name, self._limit_s)
        self._plugins[name] = _Plugin(name, thing, thread, origin, source)
        self._forget()
        try:
            self._order("")  # lets pluggy check the arguments now
        except PluginError:
            del self._plugins[name]
            self._forget()
            raise

    def load_installed(self) -> None:
        """Register every installed distribution with an entry point in the group `cicdctl`."""
        from cicdctl.plugin_sources import find_installed, import_installed

        for found in find_installed():
            if found.name not in self._disabled:
                origin = f"{found.distribution} {found.version}"
                self.register(import_installed(found), found.name, builtin=False, origin=origin, source=True)

    def load_file(self, path: Path) -> None:
        """Register a Python file. Its name is the file's stem. Only for paths of the trusted configuration."""
        from cicdctl.plugin_sources import import_file

        if path.stem not in self._disabled:
            self.register(import_file(path), path.stem, builtin=False, origin=str(path), source=path)

    def check(self) -> None:
        """Raise PluginError when a plugin implements a hook that does not exist, naming the near word."""
        for plugin in self._plugins.values():
            check_hooks(plugin.name, plugin.hooks)

    def names(self) -> dict[str, str]:
        """Return the registered plugins and where each comes from, in the order they were registered."""
        return {plugin.name: plugin.origin for plugin in self._plugins.values()}

    def listens(self, hook: str) -> bool:
        """Say whether anybody would hear; cheap enough to ask before each announcement."""
        order = self._orders.get(hook)
        return bool(self._order(hook) if order is None else order)

    def announce(self, hook: str, **facts: Any) -> None:
        """Tell every plugin that listens, each by itself. Raises nothing that a plugin does."""
        for implementation in self._orders.get(hook) or self._order(hook):
            plugin = implementation.plugin
            if plugin.is_off:
                continue
            started = time.perf_counter()
            try:
                plugin.call(implementation.function, *(facts[name] for name in implementation.argument_names))
            except Exception as error:  # a plugin may raise anything; the run goes on
                hangs = isinstance(error, TimeoutError) and plugin.thread is not None and plugin.thread.hangs
                self._note_failure(plugin, hook, error, hangs=hangs)
            else:
                plugin.failures_in_a_row = 0
            if self._trace is not None:
                self._trace(f"{hook} -> {plugin.name} ({(time.perf_counter() - started) * 1000:.1f} ms)")

    def ask(self, hook: str) -> tuple[Kind, ...]:
        """Return what all plugins provide, each name once. They are asked the first time only.

        Raises PluginError naming the plugin that fails or whose answer is not what the hook promises.
        """
        return tuple(kind for _, kind in self._ask(hook).values())

    def provided(self, hook: str) -> tuple[Provided, ...]:
        """Return the same with who provides it, without those of plugins that are switched off. Raises as `ask`."""
        return tuple(
            Provided(kind, plugin.name, plugin.source, plugin.call)
            for plugin, kind in self._ask(hook).values()
            if not plugin.is_off
        )

    def note(self, name: str, hook: str, error: Exception | None) -> None:
        """Remember how a plugin did when something it provides was used; a failure is told, and no more than that.

        A TimeoutError is a hang.
        """
        plugin = self._plugins[name]
        if error is None:
            plugin.failures_in_a_row = 0
        else:
            self._note_failure(plugin, hook, error, hangs=isinstance(error, TimeoutError))

    def find(self, hook: str, name: str, *, where: str) -> Kind:
        """Return the kind with this name. Raises ConfigError at `where`, with the near word, when there is none."""
        return self._find(hook, name, where)[1]

    def open_kind(self, hook: str, name: str, options: Mapping[str, Any], places: Places, *, where: str) -> Any:
        """Open an executor, a cache or a store that a plugin provides. `where` names the setting that selects it.

        Raises ConfigError for an unknown kind or wrong options, PluginError when it does not open.
        """
        plugin, kind = self._find(hook, name, where)
        checked = read_options(kind, options, where=where)
        try:
            return plugin.call(kind.open, checked, places)  # type: ignore[attr-defined]
        except ConfigError:
            raise  # the kind's own words about options that do not go together
        except Exception as error:  # a plugin may raise anything
            raise PluginError(
                f'plugin "{plugin.name}": "{kind.name}" does not open: {describe_error(error)}'
            ) from error

    def resolve_stage(self, stage: Stage, *, where: str) -> StageCommands:
        """Turn a stage with `uses` into commands. `where` names the stage: `.cicd.toml: pipelines.test.stages.unit`.

        Raises ConfigError for an unknown kind or wrong options, PluginError when the kind breaks its contract.
        """
        plugin, kind = self._find("cicdctl_stages", stage.uses or "", f"{where}.uses")
        options = read_options(kind, stage.options, where=f"{where}.with")
        try:
            answer = plugin.call(kind.resolve, options)  # type: ignore[attr-defined]
            if not isinstance(answer, StageCommands):
                raise TypeError(f"answered {answer!r:.200}, not StageCommands")
            checked = msgspec.convert(msgspec.to_builtins(answer), StageCommands)
        except ConfigError:
            raise  # the kind's own words about options that do not go together
        except Exception as error:  # a plugin may raise anything
            raise PluginError(f'plugin "{plugin.name}": stage kind "{kind.name}": {describe_error(error)}') from error
        if not checked.run:
            raise PluginError(f'plugin "{plugin.name}": stage kind "{kind.name}" gave no command')
        return checked

    def close(self) -> None:
        """Let the plugins' threads end. Never waits."""
        for plugin in self._plugins.values():
            if plugin.thread is not None:
                plugin.thread.close()

    def _find(self, hook: str, name: str, where: str) -> tuple[_Plugin, Kind]:
        kinds = self._ask(hook)
        if name not in kinds:
            known = f"; known: {', '.join(sorted(kinds))}" if kinds else "; no plugin provides one"
            noun = hook.removeprefix(PREFIX).removesuffix("s").replace("_", " ")
            raise ConfigError((f'{where}: there is no {noun} kind "{name}"{near_word(name, kinds) or known}',))
        return kinds[name]

    def _ask(self, hook: str) -> Mapping[str, tuple[_Plugin, Kind]]:
        if hook not in self._answers:
            kinds: dict[str, tuple[_Plugin, Kind]] = {}
            for implementation in self._order(hook):
                for kind in _answer(implementation, hook):
                    if kind.name in kinds:
                        both = " and ".join(sorted({kinds[kind.name][0].name, implementation.plugin.name}))
                        raise PluginError(f'{hook}: "{kind.name}" is provided twice, by {both}')
                    kinds[kind.name] = (implementation.plugin, kind)
                if self._trace is not None:
                    self._trace(f"{hook} -> {implementation.plugin.name}")
            self._answers[hook] = kinds
        return self._answers[hook]

    def _note_failure(self, plugin: _Plugin, hook: str, error: Exception, *, hangs: bool) -> None:
        plugin.failures_in_a_row += 1
        plugin.is_off = hangs or plugin.failures_in_a_row >= MAX_FAILURES_IN_A_ROW
        failure = PluginFailure(plugin=plugin.name, hook=hook, text=describe_error(error), switched_off=plugin.is_off)
        self.failures.append(failure)
        if self._on_failure is not None:
            self._on_failure(failure)

    def _forget(self) -> None:
        self._orders.clear()
        self._answers.clear()
        self._pluggy = None

    def _order(self, hook: str) -> tuple[_Implementation, ...]:
        """Return who implements a hook, in pluggy's order: tryfirst, then the last registered first, then trylast."""
        if hook not in self._orders:
            if all(plugin.is_plain for plugin in self._plugins.values()):
                found = [(p, p.hooks[hook]) for p in reversed(self._plugins.values()) if hook in p.hooks]
                order = tuple(_Implementation(p, function, argument_names(function)) for p, function in found)
            else:
                if self._pluggy is None:
                    self._pluggy = new_pluggy((plugin.name, plugin.thing) for plugin in self._plugins.values())
                caller = getattr(self._pluggy.hook, hook, None) if hook else None
                order = tuple(
                    _Implementation(self._plugins[found.plugin_name], found.function, found.argnames)
                    for found in reversed(caller.get_hookimpls() if caller else ())
                )
            self._orders[hook] = order
        return self._orders[hook]


def _answer(implementation: _Implementation, hook: str) -> Sequence[Kind]:
    plugin, wanted = implementation.plugin, ASKED[hook]
    try:
        answer = list(plugin.call(implementation.function))
        for kind in answer:
            check_kind(kind, wanted)
    except Exception as error:  # a plugin may raise or answer anything
        raise PluginError(f'plugin "{plugin.name}": {hook}: {describe_error(error)}') from error
    return answer


def _new_thread(name: str, limit_s: float) -> PluginThread:
    # Only a process with plugins that are not built in needs threads for them.
    from cicdctl.plugin_thread import PluginThread

    return PluginThread(name, limit_s)
