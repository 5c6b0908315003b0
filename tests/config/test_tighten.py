"""A pushed file may be stricter than the operator, never looser."""

from __future__ import annotations

import pytest

from cicdctl.config import read_config, read_operator
from cicdctl.config.operator import config_layer, resolve
from cicdctl.config.tighten import tighten

OPERATOR = """
[orchestrator]
max_parallel_pipelines = 3
auto_fix_enabled = true
env_allow = ["A", "B"]
min_free = "1GB"
timeouts = { build = 100 }
trust = { refs = ["main"], network = false }
gate = { branches = ["main"] }
monitoring = { secret = "${HOOK}" }
optimization = { verify_fixes = false }
[fix]
mode = "propose"
stages = ["*"]
[fixers.claude]
max_cost_usd = 1.0
base_url = "https://ours.test"
[fixers.format]
run = "ruff format ."
[notifiers.team]
uses = "slack"
url = "${SLACK}"
"""
ENVIRON = {"HOOK": "hush", "SLACK": "https://hooks.test/hush"}


def push(text, operator=OPERATOR):
    base = resolve([config_layer(read_operator(operator, source="config.toml"))], ENVIRON)
    settings, warnings = tighten(base, read_config(text, source=".cicd.toml"), ENVIRON)
    return base.settings, settings, [warning.removeprefix(".cicd.toml: ") for warning in warnings]


@pytest.mark.parametrize(
    ("text", "find", "expected"),
    [
        ("orchestrator.max_parallel_pipelines = 2", lambda s: s.orchestrator.max_parallel_pipelines, 2),
        ("orchestrator.auto_fix_enabled = false", lambda s: s.orchestrator.auto_fix_enabled, False),
        ("orchestrator.env_allow = ['B']", lambda s: s.orchestrator.env_allow, ("B",)),
        ("orchestrator.env_allow = []", lambda s: s.orchestrator.env_allow, ()),
        ("orchestrator.min_free = '2GB'", lambda s: s.orchestrator.min_free_bytes, 2_000_000_000),
        ("orchestrator.timeouts = { build = '10s', test = 5 }", lambda s: s.orchestrator.timeouts, {"build": 10.0, "test": 5.0}),
        ("orchestrator.gate.branches = ['dev']", lambda s: s.orchestrator.gate.branches, ("main", "dev")),
        ("orchestrator.optimization.verify_fixes = true", lambda s: s.orchestrator.optimization.verify_fixes, True),
        ("orchestrator.resources.max_memory = '1GB'", lambda s: s.orchestrator.resources.max_memory_bytes, 10**9),
        ("orchestrator.failure_handling.pause_on_failure = true", lambda s: s.orchestrator.failure_handling.pause_on_failure, True),
        ("fix.mode = 'off'", lambda s: s.fix.mode, "off"),
        ("fix.sandbox = 'required'", lambda s: s.fix.sandbox, "required"),
        ("fix.stages = ['lint']", lambda s: s.fix.stages, ("lint",)),
        ("fix.never_stages = ['x']", lambda s: s.fix.never_stages, ("deploy*", "release*", "publish*", "x")),
        ("fixers.claude.max_cost_usd = 0.1", lambda s: s.fixers[0].options["max_cost_usd"], 0.1),
        ("fixers.claude.enabled = false", lambda s: s.fixers[0].enabled, False),
        ("fixers.format.enabled = false", lambda s: s.fixers[1].enabled, False),
        ("notifiers.team.enabled = false", lambda s: s.notifiers[0].enabled, False),
    ],
)  # fmt: skip
def test_stricter_is_taken(text, find, expected):
    """And nothing is said about it."""
    before, settings, warnings = push(text)
    assert find(settings) == expected
    assert find(before) != expected
    assert warnings == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("orchestrator.max_parallel_pipelines = 9", "orchestrator.max_parallel_pipelines = 9 is ignored: a pushed file may only lower it (in force: 3)"),
        ("orchestrator.timeouts.build = 1000", "orchestrator.timeouts.build = 1000 is ignored: a pushed file may only lower it (in force: 100)"),
        ("orchestrator.min_free = 5", 'orchestrator.min_free = 5 is ignored: a pushed file may only raise it (in force: "1GB")'),
        ("orchestrator.env_allow = ['SECRET']", 'orchestrator.env_allow = ["SECRET"] is ignored: a pushed file may only leave some out (in force: ["A", "B"])'),
        ("orchestrator.trust.refs = ['*']", 'orchestrator.trust.refs = ["*"] is ignored: a pushed file may only leave some out (in force: ["main"])'),
        ("orchestrator.trust.network = true", "orchestrator.trust.network = true is ignored: a pushed file may only switch it off (in force: false)"),
        ("orchestrator.workspace = '/etc'", 'orchestrator.workspace = "/etc" is ignored: a pushed file cannot change it'),
        ("orchestrator.executor = 'evil'", 'orchestrator.executor = "evil" is ignored: a pushed file cannot change it (in force: "local")'),
        ("orchestrator.monitoring.secret = 'guess'", "orchestrator.monitoring.secret is ignored: a pushed file cannot change it"),
        ("orchestrator.monitoring.host = '0.0.0.0'", 'orchestrator.monitoring.host = "0.0.0.0" is ignored: a pushed file cannot change it (in force: "127.0.0.1")'),
        ("orchestrator.persistence.redis.host = 'evil'", 'orchestrator.persistence.redis.host = "evil" is ignored: a pushed file cannot change it (in force: "localhost")'),
        ("orchestrator.sandbox_paths = ['/root']", 'orchestrator.sandbox_paths = ["/root"] is ignored: a pushed file may only leave some out (in force: [])'),
        ("project.submodules = true", "project.submodules = true is ignored: a pushed file may only switch it off (in force: false)"),
        ("project.repository = 'https://evil.test'", 'project.repository = "https://evil.test" is ignored: a pushed file cannot change it'),
        ("plugins = ['evil.py']", 'plugins = ["evil.py"] is ignored: a pushed file cannot change it (in force: [])'),
        ("logging.level = 'DEBUG'", 'logging.level = "DEBUG" is ignored: a pushed file cannot change it (in force: "INFO")'),
        ("fix.mode = 'auto'", 'fix.mode = "auto" is ignored: a pushed file may only be stricter (in force: "propose")'),
        ("fix.sandbox = 'off'", 'fix.sandbox = "off" is ignored: a pushed file may only be stricter (in force: "auto")'),
        ("fix.allow_paths = ['tests/**']", 'fix.allow_paths = ["tests/**"] is ignored: a pushed file may only leave some out (in force: [])'),
        ("fixers.evil.run = 'x'", "fixers.evil is ignored: a pushed file cannot add a fixer"),
        ("fixers.format.run = 'x'", 'fixers.format.run = "x" is ignored: a pushed file cannot change it (in force: "ruff format .")'),
        ("fixers.format.network = true", "fixers.format.network = true is ignored: a pushed file cannot change it (in force: false)"),
        ("fixers.claude.uses = 'evil'", 'fixers.claude.uses = "evil" is ignored: a pushed file cannot change it'),
        ("fixers.claude.max_cost_usd = 100", "fixers.claude.max_cost_usd = 100 is ignored: a pushed file may only lower it (in force: 1.0)"),
        ("notifiers.evil.url = 'x'", "notifiers.evil is ignored: a pushed file cannot add a notifier"),
        ("notifiers.team.url = 'https://evil.test'", "notifiers.team.url is ignored: a pushed file cannot change it"),
        ("notifiers.team.uses = 'evil'", 'notifiers.team.uses = "evil" is ignored: a pushed file cannot change it (in force: "slack")'),
    ],
)  # fmt: skip
def test_looser_is_ignored_with_a_warning(text, warning):
    """Nothing changes, and one line says so."""
    before, settings, warnings = push(text)
    assert settings == before
    assert warnings == [warning]


def test_the_same_file_is_no_news():
    """Who pushes what the operator has set is not warned."""
    text = OPERATOR.replace('base_url = "https://ours.test"\n', "")
    before, settings, warnings = push(text)
    assert settings == before and warnings == []


def test_variables_of_a_pushed_file_are_not_filled_in():
    """A pushed file cannot read the operator's environment through a key it may set."""
    _, settings, warnings = push("notifiers.team.url = '${HOOK}'\nnotifiers.x.url = '${HOOK}'\nfix.protected_paths = ['${HOOK}']")
    assert "hush" not in repr(settings).replace("https://hooks.test/hush", "").replace("secret='hush'", "")
    assert "hush" not in repr(warnings)
    assert settings.fix.protected_paths == ("${HOOK}",)


def test_a_disabled_fixer_of_nobody_adds_none():
    """Switching off what is not there changes nothing."""
    before, settings, warnings = push("[fixers.other]\nenabled = false")
    assert settings == before and warnings == []


def test_claude_may_be_limited_without_a_section_of_the_operator():
    """It is on by itself when a key exists, so a file can always switch it off or make it cheaper."""
    _, settings, warnings = push("[fixers.claude]\nenabled = false\nmax_cost_usd = 0.1", operator="")
    assert (settings.fixers[0].enabled, settings.fixers[0].options) == (False, {"max_cost_usd": 0.1})
    assert warnings == []
