"""Layers of the operator's configuration: who wins, where a value came from, what has no value."""

from __future__ import annotations

import msgspec
import pytest

from cicdctl.config import read_config, read_operator
from cicdctl.config.operator import Layer, config_layer, resolve, with_settings
from cicdctl.config.reference import variable_names
from cicdctl.config.substitute import missing_names, substitute
from cicdctl.config.variables import environment_layers, option_layer
from cicdctl.errors import ConfigError


def project(text):
    return config_layer(read_config(text, source=".cicd.toml"))


def operator(text, source="config.toml"):
    return config_layer(read_operator(text, source=source))


def origins(resolved):
    return {name: (value, origin) for name, value, origin in resolved.values}


def test_each_layer_wins_over_those_below():
    """default < project < user < repository < environment < command line, key by key."""
    keys = [
        "max_fix_retries",
        "polling_interval",
        "max_parallel_pipelines",
        "min_free",
        "workspace",
        "monitoring.port",
    ]
    texts = ["".join(f"{key} = {9 if 'space' not in key else repr('/9')}\n" for key in keys[n:]) for n in range(1, 4)]
    layers = [
        project("[orchestrator]\n" + texts[0]),
        operator("[orchestrator]\n" + texts[1].replace("9", "8"), "user"),
        operator("[orchestrator]\n" + texts[2].replace("9", "7"), "repository"),
    ]
    layers += environment_layers({"CICDCTL_ORCHESTRATOR_WORKSPACE": "/6", "CICDCTL_ORCHESTRATOR_MONITORING_PORT": "6"})
    layers += [option_layer({"orchestrator.monitoring.port": "5"})]
    resolved = resolve(layers)
    found = origins(resolved)
    assert [found[f"orchestrator.{key}"] for key in keys] == [
        (3, "default"),
        (9, ".cicd.toml"),
        (8, "user"),
        (7, "repository"),
        ("/6", "CICDCTL_ORCHESTRATOR_WORKSPACE"),
        (5, "command line"),
    ]
    settings = resolved.settings.orchestrator
    assert (settings.max_fix_retries, settings.polling_interval_s, settings.max_parallel_pipelines) == (3, 9.0, 8)
    assert (settings.min_free_bytes, settings.workspace, settings.monitoring.port) == (7, "/6", 5)


def test_tables_are_merged_and_arrays_replaced():
    """A fixer keeps the keys a higher layer does not name; a list is one value; so is an executor."""
    resolved = resolve(
        [
            project("[fixers.claude]\nmodel = 'a'\nmax_turns = 3\n[orchestrator]\nenv_allow = ['A', 'B']\nexecutor = { uses = 'x', a = 1 }"),
            operator("[fixers.claude]\nmodel = 'b'\n[orchestrator]\nenv_allow = ['C']\nexecutor = { uses = 'y', b = 1 }"),
        ]
    )
    assert resolved.settings.fixers[0].options == {"model": "b", "max_turns": 3}
    assert resolved.settings.orchestrator.env_allow == ("C",)
    assert resolved.settings.orchestrator.executor.options == {"b": 1}


def test_nothing_is_all_defaults():
    """No layer at all."""
    resolved = resolve([])
    assert msgspec.to_builtins(resolved.settings) == {}
    assert {origin for _, _, origin in resolved.values} == {"default"}


def test_every_key_has_a_row(example):
    """`config show --resolved` names every key that has a variable, and each once."""
    names = [name for name, _, _ in resolve([config_layer(read_config(example, source="x"))]).values]
    assert len(names) == len(set(names))
    variables = {"CICDCTL_" + name.upper().replace(".", "_").replace("-", "_") for name in names}
    assert set(variable_names()) <= variables
    assert len(variable_names()) == len(set(variable_names()))


def test_secrets_are_hidden():
    """Values of secret keys, and of options that sound like one, are shown as stars; references are not secret."""
    found = origins(
        resolve(
            [
                operator(
                    "[orchestrator.monitoring]\nsecret = 'hush'\n"
                    "[orchestrator.persistence.redis]\npassword = '${REDIS}'\n"
                    "[notifiers.team]\nurl = 'https://hooks.test/hush'\nheaders = { Authorization = 'hush', x = 'y' }\n"
                )
            ]
        )
    )
    assert found["orchestrator.monitoring.secret"][0] == "***"
    assert found["orchestrator.persistence.redis.password"][0] == "${REDIS}"
    assert found["notifiers.team.url"][0] == "***"
    assert found["notifiers.team.headers.Authorization"][0] == "***"
    assert "hush" not in repr(found)


def test_variables_are_filled_in():
    """In strings of operator sections, also inside text and lists; not in commands."""
    layer = operator(
        "[orchestrator]\nworkspace = '${HOME}/ci/$${HOME}'\nsandbox_paths = ['/${NAME}', '$${']\n[fixers.f]\nrun = 'echo ${HOME}'"
    )
    settings = resolve([layer], {"HOME": "/h", "NAME": "N"}).settings
    assert settings.orchestrator.workspace == "/h/ci/${HOME}"
    assert settings.orchestrator.sandbox_paths == ("/N", "${")
    assert settings.fixers[0].run == ("echo ${HOME}",)


def test_env_allow_may_not_be_filled_in_a_file(problems):
    """A name with a variable in it is not a name, so reading the file refuses it."""
    assert problems("[orchestrator]\nenv_allow = ['${NAME}']") != []


def test_missing_variable_is_told_when_it_is_needed():
    """A run without webhooks does not need their secret; whoever does is told the name."""
    resolved = resolve([operator("[orchestrator.monitoring]\nsecret = '${WEBHOOK_SECRET}'\n[notifiers.t]\nurl = 'x${SLACK}'")], {})
    assert resolved.settings.orchestrator.monitoring.secret is None
    assert resolved.settings.notifiers[0].options == {}
    resolved.require("logging")
    with pytest.raises(ConfigError) as caught:
        resolved.require("notifiers", "t")
    assert caught.value.problems == ('notifiers.t.url: the environment variable "SLACK" is not set',)
    assert caught.value.hint == "set it before the start: SLACK"


def test_missing_names_of_a_document():
    """All of them, for `config validate`."""
    document = {"a": {"b": "${ONE}", "c": ["${TWO}"]}, "fixers": {"f": {"run": "${THREE}"}}, "pipelines": {"p": "${FOUR}"}}
    assert [(one.at, one.name) for one in missing_names(document, {})] == [(("a", "b"), "ONE"), (("a", "c"), "TWO")]
    assert substitute(document, {"ONE": "1"})[0]["a"] == {"b": "1"}


def test_filled_in_value_is_checked():
    """A variable that holds what its key does not take is an error, which does not show the value."""
    with pytest.raises(ConfigError) as caught:
        resolve([operator("[orchestrator.monitoring]\nsecret = '${S}'")], {"S": "hush\x00hush"})
    assert caught.value.problems == (
        "configuration in force: orchestrator.monitoring.secret: must not hold a NUL character",
    )


@pytest.mark.parametrize(
    ("variable", "text", "find", "expected"),
    [
        ("ORCHESTRATOR_AUTO_FIX_ENABLED", "false", lambda s: s.orchestrator.auto_fix_enabled, False),
        ("ORCHESTRATOR_POLLING_INTERVAL", "30", lambda s: s.orchestrator.polling_interval_s, 30.0),
        ("ORCHESTRATOR_POLLING_INTERVAL", "2m", lambda s: s.orchestrator.polling_interval_s, 120.0),
        ("ORCHESTRATOR_CACHE_MAX_SIZE", "2GB", lambda s: s.orchestrator.cache.max_size_bytes, 2_000_000_000),
        ("ORCHESTRATOR_CACHE_MAX_SIZE", "5", lambda s: s.orchestrator.cache.max_size_bytes, 5),
        ("ORCHESTRATOR_ENV_ALLOW", "A, B", lambda s: s.orchestrator.env_allow, ("A", "B")),
        ("ORCHESTRATOR_ENV_ALLOW", "['A', 'B']", lambda s: s.orchestrator.env_allow, ("A", "B")),
        ("ORCHESTRATOR_ENV_ALLOW", "", lambda s: s.orchestrator.env_allow, ()),
        ("ORCHESTRATOR_TIMEOUTS_BUILD", "90s", lambda s: s.orchestrator.timeouts, {"build": 90.0}),
        ("ORCHESTRATOR_EXECUTOR", "reapi", lambda s: s.orchestrator.executor.uses, "reapi"),
        ("ORCHESTRATOR_EXECUTOR", "{ uses = 'reapi', a = 1 }", lambda s: s.orchestrator.executor.options, {"a": 1}),
        ("LOGGING_LEVEL", "DEBUG", lambda s: s.logging.level, "DEBUG"),
        ("LOGGING_FORMAT", "1", lambda s: s.logging.format, "1"),
        ("PROJECT_NAME", "true", lambda s: s.project.name, "true"),
        ("FIX_VERIFY_REPEAT", "3", lambda s: s.fix.verify.repeat, 3),
        ("FIXERS_CLAUDE_MAX_COST_USD", "0.5", lambda s: s.fixers[0].options, {"max_cost_usd": 0.5}),
        ("PLUGINS", "ci/a.py", lambda s: s.plugins, ("ci/a.py",)),
    ],
)
def test_environment_variable(variable, text, find, expected):
    """Text becomes what the key takes."""
    assert find(resolve(environment_layers({f"CICDCTL_{variable}": text})).settings) == expected


def test_variables_of_named_sections():
    """A notifier that is there can be changed; names with a dash are written with _."""
    below = [project("[notifiers.team-b]\nuses = 'slack'\n[notifiers.team]\nuses = 'slack'")]
    layers = environment_layers({"CICDCTL_NOTIFIERS_TEAM_B_URL": "u", "CICDCTL_NOTIFIERS_TEAM_ON": "fixed"}, below)
    by_name = {notifier.name: notifier for notifier in resolve([*below, *layers]).settings.notifiers}
    assert by_name["team-b"].options == {"url": "u"}
    assert by_name["team"].on == ("fixed",)


def test_wrong_variables_are_told_at_once():
    """Misspelt names of our sections and wrong values; other names of ours are not meant for us."""
    with pytest.raises(ConfigError) as caught:
        environment_layers(
            {
                "CICDCTL_NO_AI": "1",
                "CICDCTL_LOGGING_LEVEL": "LOUD",
                "CICDCTL_ORCHESTRATOR_POLING_INTERVAL": "3",
                "CICDCTL_FIXERS_NOBODY_MODEL": "x",
                "CICDCTL_ORCHESTRATOR_MIN_FREE": "a\nb = 1",
            }
        )
    assert caught.value.problems == (
        'CICDCTL_FIXERS_NOBODY_MODEL: there is no such key, did you mean "CICDCTL_FIX_MODE"?',
        'CICDCTL_LOGGING_LEVEL: logging.level: must be "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL", not "LOUD"',
        'CICDCTL_ORCHESTRATOR_MIN_FREE: orchestrator.min_free: must be a size: bytes or "512MB", "4GB", "1GiB", not "a\\nb = 1"',
        'CICDCTL_ORCHESTRATOR_POLING_INTERVAL: there is no such key, did you mean "CICDCTL_ORCHESTRATOR_POLLING_INTERVAL"?',
    )


def test_wrong_option_is_told():
    """A dotted key of the command line."""
    with pytest.raises(ConfigError) as caught:
        option_layer({"orchestrator.mx_fix_retries": "3", "orchestrator.max_fix_retries": "many"})
    assert caught.value.problems == (
        'command line: "orchestrator.mx_fix_retries": there is no such key, did you mean "orchestrator.max_fix_retries"?',
        'command line: orchestrator.max_fix_retries: must be an integer, not "many"',
    )


def test_time_limits_of_the_operator():
    """They hold where a pipeline has none; as a ceiling they hold everywhere."""
    config = read_config("[pipelines.a]\ntimeout = 100\nstages.s = 'x'\n[pipelines.b]\nstages.s = 'x'", source="x")
    settings = resolve([Layer(origin="o", document={"orchestrator": {"timeouts": {"a": 50, "b": 60}}})]).settings
    assert [pipeline.timeout_s for pipeline in with_settings(config, settings).pipelines] == [100.0, 60.0]
    assert [pipeline.timeout_s for pipeline in with_settings(config, settings, ceiling=True).pipelines] == [50.0, 60.0]
