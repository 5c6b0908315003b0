"""Announced hooks: every listener hears, and none can change the run."""

from __future__ import annotations

import inspect
import threading
import time

import pytest

from cicdctl import hookspecs
from cicdctl.hookspecs import ANNOUNCED, ASKED
from cicdctl.plugin_api import hookimpl


def listener(hook, action):
    """Return a plugin that listens to one hook with exactly the arguments of its contract."""
    names = ", ".join(ANNOUNCED[hook])
    scope = {"action": action}
    exec(f"def {hook}({names}): return action({', '.join(f'{n}={n}' for n in ANNOUNCED[hook])})", scope)
    return {hook: hookimpl(scope[hook])}


@pytest.mark.parametrize("builtin", [True, False])
@pytest.mark.parametrize("hook", ANNOUNCED)
def test_a_listener_gets_the_facts(make_manager, hook, builtin):
    heard = []
    facts = {name: object() for name in ANNOUNCED[hook]}
    manager = make_manager(builtin, ear=listener(hook, lambda **facts: heard.append(facts)))
    assert manager.listens(hook)
    manager.announce(hook, **facts)
    assert heard == [facts] and manager.failures == []


def test_the_tables_are_what_the_contract_says():
    functions = {n: f for n, f in vars(hookspecs).items() if n.startswith("cicdctl_") and inspect.isfunction(f)}
    assert set(functions) == {*ASKED, *ANNOUNCED}
    for hook, names in ANNOUNCED.items():
        assert tuple(inspect.signature(functions[hook]).parameters) == names
    assert all(not inspect.signature(functions[hook]).parameters for hook in ASKED)
    assert all(len(function.__doc__) > 60 for function in functions.values())


def test_the_mark_is_pluggy_s_own():
    import pluggy

    def ours(): ...
    def theirs(): ...

    hookimpl(tryfirst=True)(ours)
    pluggy.HookimplMarker("cicdctl")(tryfirst=True)(theirs)
    assert ours.cicdctl_impl == theirs.cicdctl_impl


@pytest.mark.parametrize("builtin", [True, False])
def test_the_last_registered_hears_first_unless_marked(make_manager, builtin):
    heard = []

    def ear(name, **marks):
        @hookimpl(**marks)
        def cicdctl_warning(text):
            heard.append(name)

        return {"cicdctl_warning": cicdctl_warning}

    manager = make_manager(builtin, a=ear("a"), b=ear("b"))
    manager.announce("cicdctl_warning", text="x")
    assert heard == ["b", "a"]
    heard.clear()
    manager = make_manager(builtin, a=ear("a", tryfirst=True), b=ear("b"), c=ear("c", trylast=True), d=ear("d"))
    manager.announce("cicdctl_warning", text="x")
    assert heard == ["a", "d", "b", "c"]


def test_without_a_listener_an_announcement_is_free(make_manager):
    manager = make_manager(True, ear=listener("cicdctl_warning", lambda text: None))
    assert not manager.listens("cicdctl_stage_output")
    started = time.perf_counter()
    for _ in range(10_000):
        manager.listens("cicdctl_stage_output")
    assert (time.perf_counter() - started) / 10_000 < 5e-6


@pytest.mark.parametrize("builtin", [True, False])
def test_one_that_raises_is_reported_and_the_others_still_hear(make_manager, builtin):
    heard, told = [], []
    manager = make_manager(
        builtin,
        {"on_failure": told.append},
        good=listener("cicdctl_warning", lambda text: heard.append(text)),
        bad=listener("cicdctl_warning", lambda text: 1 / 0),
    )
    manager.announce("cicdctl_warning", text="x")
    assert heard == ["x"]
    assert [f.message for f in manager.failures] == ['plugin "bad": cicdctl_warning: ZeroDivisionError: division by zero']
    assert told == manager.failures


def test_five_failures_in_a_row_switch_a_plugin_off(make_manager):
    calls = []

    def action(text):
        calls.append(text)
        if text != "fine":
            raise ValueError(text)

    manager = make_manager(bad=listener("cicdctl_warning", action))
    for text in ["x"] * 4 + ["fine"] + ["x"] * 9:
        manager.announce("cicdctl_warning", text=text)
    assert calls == ["x"] * 4 + ["fine"] + ["x"] * 5
    assert [f.switched_off for f in manager.failures] == [False] * 8 + [True]
    assert manager.failures[-1].message.endswith("; it is switched off")


def test_one_that_hangs_is_reported_once_and_switched_off(make_manager):
    release, heard = threading.Event(), []
    manager = make_manager(
        False,
        {"limit_s": 0.1},
        good=listener("cicdctl_warning", lambda text: heard.append(text)),
        slow=listener("cicdctl_warning", lambda text: release.wait(30)),
    )
    started = time.perf_counter()
    for _ in range(3):
        manager.announce("cicdctl_warning", text="x")
    release.set()
    assert time.perf_counter() - started < 0.3
    assert heard == ["x"] * 3
    assert [f.message for f in manager.failures] == [
        'plugin "slow": cicdctl_warning: TimeoutError: no answer within 0.1 s; it is switched off'
    ]


def test_a_timeout_of_its_own_is_a_failure_like_any_other(make_manager):
    def action(text):
        raise TimeoutError("the server did not answer")

    manager = make_manager(slow=listener("cicdctl_warning", action))
    manager.announce("cicdctl_warning", text="x")
    assert not manager.failures[0].switched_off


def test_one_that_exits_does_not_end_the_run(make_manager):
    manager = make_manager(rude=listener("cicdctl_warning", lambda text: exit(3)))
    manager.announce("cicdctl_warning", text="x")
    assert "SystemExit" in manager.failures[0].text


def test_a_plugin_that_fails_on_the_warning_about_itself_ends_in_silence(make_manager):
    manager = make_manager(bad=listener("cicdctl_warning", lambda text: 1 / 0))
    manager._on_failure = lambda failure: manager.announce("cicdctl_warning", text=failure.message)
    manager.announce("cicdctl_warning", text="x")
    assert len(manager.failures) == 5 and manager.failures[-1].switched_off


def test_a_plugin_is_called_from_one_thread_one_call_at_a_time(make_manager):
    inside, threads, worst = [0], set(), [0]

    def action(run, stage, chunk):
        inside[0] += 1
        worst[0] = max(worst[0], inside[0])
        threads.add(threading.current_thread())
        time.sleep(0.001)
        inside[0] -= 1

    manager = make_manager(ear=listener("cicdctl_stage_output", action))
    callers = [
        threading.Thread(target=lambda: [manager.announce("cicdctl_stage_output", run=1, stage="s", chunk=b"")
                                         for _ in range(10)])
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert worst == [1] and len(threads) == 1 and manager.failures == []


def test_facts_that_have_a_default_are_kept_out(make_manager):
    heard = []

    @hookimpl
    def cicdctl_stage_started(stage, extra=5):
        heard.append((stage, extra))

    for builtin in (True, False):
        make_manager(builtin, ear={"cicdctl_stage_started": cicdctl_stage_started}).announce(
            "cicdctl_stage_started", run=1, stage="unit", attempt=1
        )
    assert heard == [("unit", 5)] * 2


def test_each_call_is_traced_on_demand(make_manager):
    lines = []
    manager = make_manager(True, {"trace": lines.append}, ear=listener("cicdctl_warning", lambda text: None))
    manager.announce("cicdctl_warning", text="x")
    assert len(lines) == 1 and lines[0].startswith("cicdctl_warning -> ear (")
