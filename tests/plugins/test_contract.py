"""What a plugin gets wrong is told when it is registered or checked."""

from __future__ import annotations

import pluggy
import pytest

from cicdctl.errors import PluginError
from cicdctl.plugin_api import hookimpl


def marked(name, text="", **marks):
    scope = {}
    exec(f"def {name}({text}): return []", scope)
    return {name: hookimpl(**marks)(scope[name])}


@pytest.mark.parametrize("builtin", [True, False])
def test_a_misspelt_hook_offers_the_near_word(make_manager, builtin):
    manager = make_manager(builtin, mine=marked("cicdctl_run_startet"))
    with pytest.raises(PluginError, match='plugin "mine": there is no hook "cicdctl_run_startet", did you mean "cicdctl_run_started"?'):
        manager.check()


def test_a_hook_of_a_later_version_may_be_optional(make_manager):
    make_manager(mine=marked("cicdctl_moon_landed", optionalhook=True)).check()


def test_an_argument_that_the_hook_has_not_is_refused(make_manager):
    with pytest.raises(PluginError) as caught:
        make_manager(mine=marked("cicdctl_warning", "txt"))
    assert 'plugin "mine"' in str(caught.value) and "txt" in str(caught.value)


def test_a_forgotten_mark_is_refused(make_manager):
    with pytest.raises(PluginError, match='plugin "mine": "cicdctl_warning" is not marked') as caught:
        make_manager(mine={"cicdctl_warning": lambda text: None})
    assert caught.value.hint == "put @hookimpl above it"


def test_wrappers_are_refused(make_manager):
    marker = pluggy.HookimplMarker("cicdctl")

    @marker(wrapper=True)
    def cicdctl_warning(text):
        yield

    with pytest.raises(PluginError, match="is a wrapper"):
        make_manager(mine={"cicdctl_warning": cicdctl_warning})


def test_a_plugin_that_is_refused_leaves_the_others_alone(make_manager):
    manager = make_manager(good=marked("cicdctl_warning", "text"))
    with pytest.raises(PluginError):
        from types import SimpleNamespace

        manager.register(SimpleNamespace(**marked("cicdctl_warning", "txt")), "bad", builtin=False)
    manager.announce("cicdctl_warning", text="x")
    assert manager.failures == [] and list(manager.names()) == ["good"]


def test_a_name_is_taken_once(make_manager):
    manager = make_manager(mine={})
    with pytest.raises(PluginError, match='there are two plugins "mine": built in, and cicdctl-mine 1.0'):
        manager.register(object(), "mine", origin="cicdctl-mine 1.0")


@pytest.mark.parametrize("builtin", [True, False])
def test_a_disabled_plugin_is_passed_over(make_manager, builtin):
    manager = make_manager(builtin, {"disabled": ["mine"]}, mine=marked("cicdctl_warning", "text"))
    assert not manager.listens("cicdctl_warning") and manager.names() == {}
