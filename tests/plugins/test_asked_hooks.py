"""Asked hooks: the answer is used, and a bad one names the plugin."""

from __future__ import annotations

import pytest

from cicdctl.errors import ConfigError, PluginError
from cicdctl.hookspecs import ASKED
from cicdctl.kinds import (
    CommandKind,
    ExecutorKind,
    FixerKind,
    Kind,
    MatcherKind,
    MonitorKind,
    NotifierKind,
    ResultCacheKind,
    StageCommands,
    StageKind,
    StateStoreKind,
    WorkflowKind,
    read_options,
)
from cicdctl.model import Stage
from cicdctl.plugin_api import Value, hookimpl

WHERE = ".cicd.toml: pipelines.test.stages.unit"


class Options(Value, frozen=True, kw_only=True):
    module: str
    args: tuple[str, ...] = ()


KIND = StageKind(
    name="python", options_type=Options, resolve=lambda o: StageCommands(run=(f"python -m {o.module}", *o.args))
)
PROVIDED = {
    "cicdctl_monitors": MonitorKind(name="poll", open=print),
    "cicdctl_stages": KIND,
    "cicdctl_fixers": FixerKind(name="ruff", open=print),
    "cicdctl_matchers": MatcherKind(name="terraform", marks=("Error: ",), find=lambda lines: []),
    "cicdctl_notifiers": NotifierKind(name="slack", open=print),
    "cicdctl_state_stores": StateStoreKind(name="redis", open=print),
    "cicdctl_result_caches": ResultCacheKind(name="redis", open=print),
    "cicdctl_executors": ExecutorKind(name="reapi", open=print),
    "cicdctl_workflows": WorkflowKind(name="release", run=print),
    "cicdctl_commands": CommandKind(name="hello", load=print),
}


def providing(*kinds, hook="cicdctl_stages"):
    def implementation():
        return list(kinds)

    implementation.__name__ = hook
    return {hook: hookimpl(implementation)}


def test_every_asked_hook_has_a_case_here():
    assert set(PROVIDED) == set(ASKED)


@pytest.mark.parametrize("builtin", [True, False])
@pytest.mark.parametrize("hook", PROVIDED)
def test_what_a_plugin_provides_is_found_by_name(make_manager, hook, builtin):
    kind = PROVIDED[hook]
    manager = make_manager(builtin, example=providing(kind, hook=hook))
    assert manager.ask(hook) == (kind,)
    assert manager.find(hook, kind.name, where="x") is kind


def test_a_plugin_is_asked_once(make_manager):
    asked = []

    @hookimpl
    def cicdctl_stages():
        asked.append(1)
        return [KIND]

    manager = make_manager(example={"cicdctl_stages": cicdctl_stages})
    manager.ask("cicdctl_stages")
    manager.ask("cicdctl_stages")
    assert asked == [1]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda: ["x"], "TypeError: answered 'x', not a StageKind"),
        (lambda: [PROVIDED["cicdctl_fixers"]], "TypeError: answered FixerKind"),
        (lambda: [StageKind(name="a b", resolve=print)], "ValueError: 'a b' is no name"),
        (lambda: [StageKind(name="", resolve=print)], "ValueError: '' is no name"),
        (lambda: [StageKind(name="a", resolve=3)], 'TypeError: "resolve" of "a" cannot be called'),
        (lambda: [StageKind(name="a", options_type=dict, resolve=print)], 'TypeError: the options_type of "a" is no Value'),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_bad_answer_is_an_error_that_names_the_plugin(make_manager, answer, problem):
    @hookimpl
    def cicdctl_stages():
        return answer()

    with pytest.raises(PluginError) as caught:
        make_manager(wrong={"cicdctl_stages": cicdctl_stages}).ask("cicdctl_stages")
    assert str(caught.value).startswith(f'plugin "wrong": cicdctl_stages: {problem}')


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (MatcherKind(name="a", marks=(), find=print), "ValueError: the marks of \"a\" are (): a tuple of texts"),
        (MatcherKind(name="a", marks="Error", find=print), "ValueError: the marks of \"a\" are 'Error': a tuple"),
        (MatcherKind(name="a", marks=("Error", ""), find=print), "ValueError: the marks of \"a\" are ('Error', '')"),
        (MatcherKind(name="a", marks=("Error",), find=None), 'TypeError: "find" of "a" cannot be called'),
        (KIND, "TypeError: answered StageKind"),
    ],
)
def test_a_matcher_without_marks_or_function_is_refused(make_manager, kind, problem):
    with pytest.raises(PluginError) as caught:
        make_manager(wrong=providing(kind, hook="cicdctl_matchers")).provided("cicdctl_matchers")
    assert str(caught.value).startswith(f'plugin "wrong": cicdctl_matchers: {problem}')


def test_one_name_from_two_plugins_is_refused(make_manager):
    manager = make_manager(one=providing(KIND), two=providing(KIND))
    with pytest.raises(PluginError, match='cicdctl_stages: "python" is provided twice, by one and two'):
        manager.ask("cicdctl_stages")


def test_an_unknown_kind_offers_the_near_word(make_manager):
    manager = make_manager(example=providing(KIND))
    with pytest.raises(ConfigError, match=f'{WHERE}.uses: there is no stage kind "pyhton", did you mean "python"'):
        manager.resolve_stage(Stage(name="unit", uses="pyhton"), where=WHERE)
    with pytest.raises(ConfigError, match='there is no stage kind "x"; known: python'):
        manager.find("cicdctl_stages", "x", where="y")
    with pytest.raises(ConfigError, match='there is no state store kind "redis"; no plugin provides one'):
        manager.find("cicdctl_state_stores", "redis", where="y")


def test_a_stage_is_resolved_by_its_kind(make_manager):
    stage = Stage(name="unit", uses="python", options={"module": "pytest", "args": ["true"]})
    assert make_manager(example=providing(KIND)).resolve_stage(stage, where=WHERE).run == ("python -m pytest", "true")


@pytest.mark.parametrize(
    ("written", "problems"),
    [
        ({"modul": "x", "arg": 1}, (f'{WHERE}.modul: "python" has no such option, did you mean "module"?',
                                    f'{WHERE}.arg: "python" has no such option, did you mean "args"?')),
        ({"module": 3}, (f"{WHERE}.module: expected str, got int",)),
        ({"module": "x", "args": ["a", 2]}, (f"{WHERE}.args[1]: expected str, got int",)),
        ({}, (f"{WHERE}: object missing required field module",)),
    ],
)
def test_options_are_checked_against_the_type_of_the_kind(written, problems):
    with pytest.raises(ConfigError) as caught:
        read_options(KIND, written, where=WHERE)
    assert caught.value.problems == problems


def test_a_kind_without_options_says_so():
    with pytest.raises(ConfigError, match='x.a: "poll" takes no options'):
        read_options(PROVIDED["cicdctl_monitors"], {"a": 1}, where="x")


@pytest.mark.parametrize(
    ("resolve", "problem"),
    [
        (lambda options: "pytest", "answered 'pytest', not StageCommands"),
        (lambda options: StageCommands(run=()), "gave no command"),
        (lambda options: StageCommands(run=(3,)), "Expected `str`, got `int`"),
        (lambda options: StageCommands(run=("a",), env={"A": 1}), "Expected `str`, got `int`"),
        (lambda options: 1 / 0, "ZeroDivisionError"),
        (lambda options: exit(3), "SystemExit"),
    ],
)
def test_a_kind_that_resolves_to_nonsense_is_an_error(make_manager, resolve, problem):
    kind = StageKind(name="odd", resolve=resolve)
    with pytest.raises(PluginError) as caught:
        make_manager(example=providing(kind)).resolve_stage(Stage(name="unit", uses="odd"), where=WHERE)
    assert 'plugin "example": stage kind "odd"' in str(caught.value) and problem in str(caught.value)


def test_a_kind_may_refuse_options_in_its_own_words(make_manager):
    def resolve(options):
        raise ConfigError(("with.module: not here",))

    with pytest.raises(ConfigError, match=r"^with.module: not here$"):
        make_manager(example=providing(StageKind(name="a", resolve=resolve))).resolve_stage(
            Stage(name="u", uses="a"), where=WHERE
        )


def test_an_asked_plugin_that_hangs_is_an_error(make_manager):
    from threading import Event

    @hookimpl
    def cicdctl_stages():
        Event().wait(30)

    with pytest.raises(PluginError, match=r"no answer within 0.05 s"):
        make_manager(False, {"limit_s": 0.05}, slow={"cicdctl_stages": cicdctl_stages}).ask("cicdctl_stages")


def test_every_kind_of_an_asked_hook_is_a_kind():
    assert all(issubclass(kind, Kind) for kind in ASKED.values())
