"""Each kind of mistake, with the exact line a person sees."""

from __future__ import annotations

import pytest

from cicdctl.config import read_config, read_mapping, read_operator
from cicdctl.errors import ConfigError

STAGE = "[pipelines.p.stages.s]\nrun = 'x'\n"

# Each pair: a document, and its problems without the source.
CASES: list[tuple[str, list[str]]] = [
    ("[projekt]\nname = 'x'", ['1:2: projekt: unknown key, did you mean "project"?']),
    ("zzz = 1", ["1:1: zzz: unknown key"]),
    ("pipelines = 3", ["1:1: pipelines: must be a table, not 3"]),
    ("[pipelines.p]", ['1:12: pipelines.p: needs "stages"']),
    ("[pipelines.p.stages]", ["1:14: pipelines.p.stages: must not be empty"]),
    (
        "[pipelines.-p.stages]\na = 'x'",
        ["1:12: pipelines.-p: a name holds letters, digits, _ and -, does not begin with -, and is at most 64 long"],
    ),
    (
        "[pipelines.p.stages]\n'a/b' = 'x'",
        [
            '2:1: pipelines.p.stages."a/b": a name holds letters, digits, _ and -, does not begin with -, '
            "and is at most 64 long"
        ],
    ),
    ("[pipelines.p.stages]\na = 3", ["2:1: pipelines.p.stages.a: must be a command or an array (a command each) or a table, not 3"]),
    ("[pipelines.p.stages]\na = ''", ["2:1: pipelines.p.stages.a: must not be empty"]),
    ("[pipelines.p.stages]\na = ['x', '  ']", ["2:11: pipelines.p.stages.a[1]: must not be empty"]),
    ("[pipelines.p.stages]\na = []", ["2:1: pipelines.p.stages.a: must not be empty"]),
    ('[pipelines.p.stages]\na = "x\\u0000"', ["2:1: pipelines.p.stages.a: must not hold a NUL character"]),
    (
        "[pipelines.p.stages.s]\ninputs = ['x']",
        ['1:21: pipelines.p.stages.s: needs "run" (commands) or "uses" (a plugin)'],
    ),
    (STAGE + "uses = 'x'", ['3:1: pipelines.p.stages.s.uses: has both "run" and "uses"; a stage has one']),
    (STAGE + "with = {}", ['3:1: pipelines.p.stages.s.with: holds options of a plugin, so it needs "uses"']),
    (STAGE + "  ned = ['x']", ['3:3: pipelines.p.stages.s.ned: unknown key, did you mean "needs"?']),
    (STAGE + "needs = ['t']\n[pipelines.p.stages.tt]\nrun = 'x'", ['3:10: pipelines.p.stages.s.needs[0]: there is no stage "t", did you mean "tt"?']),
    (STAGE + "needs = 's'", ["3:1: pipelines.p.stages.s.needs: a stage cannot need itself"]),
    (STAGE + "timeout = '5 parsecs'", ['3:1: pipelines.p.stages.s.timeout: must be a duration: seconds or "90s", "30m", "1h30m", not "5 parsecs"']),
    (STAGE + "timeout = 0", ["3:1: pipelines.p.stages.s.timeout: must be longer than zero"]),
    (STAGE + "timeout = -1", ['3:1: pipelines.p.stages.s.timeout: must be a duration: seconds or "90s", "30m", "1h30m", not -1']),
    (STAGE + "timeout = inf", ["3:1: pipelines.p.stages.s.timeout: must be at most ten years"]),
    (STAGE + "timeout = nan", ['3:1: pipelines.p.stages.s.timeout: must be a duration: seconds or "90s", "30m", "1h30m", not nan']),
    (STAGE + "timeout = true", ['3:1: pipelines.p.stages.s.timeout: must be a duration: seconds or "90s", "30m", "1h30m", not true']),
    (STAGE + "timeout = 2026-01-01", ['3:1: pipelines.p.stages.s.timeout: must be a duration: seconds or "90s", "30m", "1h30m", not a date or time']),
    (STAGE + "resources = { memory = '4 elephants' }", ['3:15: pipelines.p.stages.s.resources.memory: must be a size: bytes or "512MB", "4GB", "1GiB", not "4 elephants"']),
    (STAGE + "resources = { cpus = 0 }", ["3:15: pipelines.p.stages.s.resources.cpus: must be above 0 and at most 4096, not 0"]),
    (STAGE + "env = { PATH = 'x' }", ["3:9: pipelines.p.stages.s.env.PATH: cannot be set here, because it steers the loader, the shell, git or cicdctl itself"]),
    (STAGE + "env = { LD_PRELOAD = 'x' }", ["3:9: pipelines.p.stages.s.env.LD_PRELOAD: cannot be set here, because it steers the loader, the shell, git or cicdctl itself"]),
    (STAGE + "env = { A = 3 }", ["3:9: pipelines.p.stages.s.env.A: must be a string, not 3"]),
    (STAGE + "env = { 2A = 'x' }", ["3:9: pipelines.p.stages.s.env.2A: a variable's name holds letters, digits and _ and does not begin with a digit"]),
    (STAGE + "secrets = ['A-B']", ["3:12: pipelines.p.stages.s.secrets[0]: \"A-B\": a variable's name holds letters, digits and _ and does not begin with a digit"]),
    (STAGE + "secrets = ['NODE_OPTIONS']", ['3:12: pipelines.p.stages.s.secrets[0]: "NODE_OPTIONS" cannot be a secret, because it steers how programs start']),
    (STAGE + "secrets = ['PYTHONPATH']", ['3:12: pipelines.p.stages.s.secrets[0]: "PYTHONPATH" cannot be a secret, because it steers how programs start']),
    (STAGE + "inputs = ['/src']", ['3:11: pipelines.p.stages.s.inputs[0]: must be relative to the repository, so write "src"']),
    (STAGE + "inputs = ['a/../../b']", ['3:11: pipelines.p.stages.s.inputs[0]: must stay inside the repository, without ".."']),
    (STAGE + 'artifacts = ["a\\nb"]', ["3:14: pipelines.p.stages.s.artifacts[0]: must not hold control characters"]),
    (STAGE + "retries = -1", ["3:1: pipelines.p.stages.s.retries: must be between 0 and 100, not -1"]),
    (STAGE + "retries = { most = 1 }", ['3:13: pipelines.p.stages.s.retries.most: unknown key']),
    (STAGE + "allow_failure = [0]", ["3:18: pipelines.p.stages.s.allow_failure[0]: must be between 1 and 255, not 0"]),
    (STAGE + "allow_failure = 'yes'", ['3:1: pipelines.p.stages.s.allow_failure: must be true or false or an array (an integer each), not "yes"']),
    (STAGE + "sandbox = 'of'", ['3:1: pipelines.p.stages.s.sandbox: must be "auto", "required" or "off", not "of", did you mean "off"?']),
    (STAGE + "when = 'allways'", ['3:1: pipelines.p.stages.s.when: must be "always", not "allways", did you mean "always"?']),
    (STAGE + "when = { branchs = ['x'] }", ['3:10: pipelines.p.stages.s.when.branchs: unknown key, did you mean "branches"?']),
    (STAGE + "matrix = { a = [] }", ["3:12: pipelines.p.stages.s.matrix.a: must not be empty"]),
    (STAGE + "matrix = { a = ['x'], exclude = [{ b = 'x' }] }", ["3:36: pipelines.p.stages.s.matrix.exclude[0].b: is not an axis of this matrix"]),
    (STAGE + "matrix = { a = ['x'], A = ['x'] }", ['3:23: pipelines.p.stages.s.matrix.A: is the same variable as "a"']),
    (STAGE + "matrix = { a-b = ['x'] }", ["3:12: pipelines.p.stages.s.matrix.a-b: a variable's name holds letters, digits and _ and does not begin with a digit"]),
    (STAGE + "caches = [{ key = ['x'] }]", ['3:11: pipelines.p.stages.s.caches[0]: needs "paths"']),
    (STAGE + "services = { db = { ready = 'x' } }", ['3:14: pipelines.p.stages.s.services.db: needs "run"']),
    (STAGE + "health_check = { retries = 2 }", ['3:1: pipelines.p.stages.s.health_check: needs "run"']),
    (STAGE + "side_effects = true\ncache = true", ["4:1: pipelines.p.stages.s.cache: a stage with side effects is never cached"]),
    ("[pipelines.p]\ntrigger = 'on_comit'\n" + STAGE, ['2:1: pipelines.p.trigger: must be "on_commit", "on_tag", "manual", "after_<pipeline>" or a table, not "on_comit"']),
    ("[pipelines.p]\ntrigger = 'after_q'\n" + STAGE, ['2:1: pipelines.p.trigger: there is no pipeline "q"']),
    ("[pipelines.p]\ntrigger = 'after_p'\n" + STAGE, ['2:1: pipelines.p.trigger: never starts: "p" waits for itself through "p"']),
    ("[pipelines.p]\ntrigger = {}\n" + STAGE, ['2:1: pipelines.p.trigger: needs either "on_tag" or "schedule"']),
    ("[pipelines.p]\ntrigger = { schedule = '0 3 * *' }\n" + STAGE, ['2:13: pipelines.p.trigger.schedule: must have five fields such as "0 3 * * *", not "0 3 * *"']),
    ("[pipelines.p]\ntrigger = { schedule = '60 3 * * *' }\n" + STAGE, ['2:13: pipelines.p.trigger.schedule: minute must be between 0 and 59, not "60"']),
    ("[pipelines.p]\ntrigger = { schedule = '0 3 31 2 *' }\n" + STAGE, ['2:13: pipelines.p.trigger.schedule: can never fire: no such day in these months, in "0 3 31 2 *"']),
    ("[pipelines.p]\ntrigger = { schedule = '@daily', timezone = 'Europe/Berlni' }\n" + STAGE, ['2:34: pipelines.p.trigger.timezone: must be a time zone such as "Europe/Berlin", not "Europe/Berlni"']),
    ("[pipelines.p]\ntrigger = { on_tag = 'v*', timezone = 'UTC' }\n" + STAGE, ['2:28: pipelines.p.trigger.timezone: belongs to "schedule"']),
    ("[pipelines.p]\nconcurrency = 'a-{brnch}'\n" + STAGE, ['2:1: pipelines.p.concurrency: may hold {branch}, {ref}, {pipeline}, {environment} and {params.NAME} only, not "a-{brnch}"']),
    ("[pipelines.p]\nconcurrency = { group = 'a', on_superseded = 'cancle' }\n" + STAGE, ['2:30: pipelines.p.concurrency.on_superseded: must be "queue", "cancel" or "cancel-pending", not "cancle", did you mean "cancel"?']),
    ("[pipelines.p]\nparams = { e = { default = 'stagin', choices = ['staging'] } }\n" + STAGE, ['2:18: pipelines.p.params.e.default: is not one of the choices: "stagin", did you mean "staging"?']),
    ("[pipelines.p]\nparams = { e = 'x', E = 'y' }\n" + STAGE, ['2:21: pipelines.p.params.E: is the same variable as "e"']),
    ("[pipelines.p]\nenvironment = 'a b'\n" + STAGE, ["2:1: pipelines.p.environment: a name holds letters, digits, _ and -, does not begin with -, and is at most 64 long"]),
    ("[pipelines.p]\nenvironment = '{branch}'\n" + STAGE, ['2:1: pipelines.p.environment: may hold {params.NAME} only, not "{branch}"']),
    ("[pipelines.p]\nenvironment = '{params.tagret}'\nparams = { target = 'x' }\n" + STAGE, ['2:1: pipelines.p.environment: names a parameter that is not declared: "tagret", did you mean "target"?']),
    ("[pipelines.p]\nconcurrency = { group = '{params.x}' }\n" + STAGE, ['2:17: pipelines.p.concurrency.group: names a parameter that is not declared: "x"']),
    ("[pipelines.p]\nrollback = true\n" + STAGE, ['2:1: pipelines.p.rollback: needs "environment": where the pipeline deploys to']),
    (STAGE + "health_check = { run = 'x', rollback = true }", ['3:29: pipelines.p.stages.s.health_check.rollback: needs "environment": where the pipeline deploys to']),
    ("[orchestrator]\nmax_parallel_pipelines = 0", ["2:1: orchestrator.max_parallel_pipelines: must be between 1 and 1000, not 0"]),
    ("[orchestrator.monitoring]\nport = 99999", ["2:1: orchestrator.monitoring.port: must be between 0 and 65535, not 99999"]),
    ("[orchestrator]\nenv_allow = ['GIT_DIR']", ['2:14: orchestrator.env_allow[0]: "GIT_DIR": cannot be set here, because it steers the loader, the shell, git or cicdctl itself']),
    ("[[logging.handlers]]\ntype = 'console'\n[[logging.handlers]]\ntype = 'file'", ['3:11: logging.handlers[1]: needs "filename"']),
    ("[fixers.f]\nrun = 'x'\nstagse = ['a']", ['3:1: fixers.f.stagse: unknown key, did you mean "stages"?']),
    ("[fixers.claude]\nmax_cost = 1", ['2:1: fixers.claude.max_cost: unknown key, did you mean "max_cost_usd"?']),
    ("[fixers.claude]\nbase_url = 'http://x'", ["2:1: fixers.claude.base_url: belongs in the operator's own configuration, never in .cicd.toml"]),
    ("[fixers.claude]\napi_key_env = 'X'", ["2:1: fixers.claude.api_key_env: belongs in the operator's own configuration, never in .cicd.toml"]),
    ("[fixers.claude]\napi_key = 'X'", ["2:1: fixers.claude.api_key: a key does not belong in a file; export it and name the variable in api_key_env"]),
    ("[fix]\npush = true", ["2:1: fix.push: belongs in the operator's own configuration, never in .cicd.toml"]),
    ("[notifiers.t]\non = ['brokn']", ['2:7: notifiers.t.on[0]: must be "started", "passed", "failed", "broken", "fixed", "still_failing", "flaky", "approval_needed", "fix_proposed", "escalated" or "culprit", not "brokn", did you mean "broken"?']),
    ("plugins = ['ci/x.txt']", ['1:12: plugins[0]: must be a Python file such as "ci/my_plugin.py"']),
    ("plugins = ['../x.py']", ['1:12: plugins[0]: must stay inside the repository, without ".."']),
    ("[project]\nrepository = '--upload-pack=x'", ['2:1: project.repository: must not begin with "-"']),
    ("[project]\nrepository = 'ext::sh -c x'", ["2:1: project.repository: must be a path, an https or an ssh address, not a remote helper"]),
    # What the parser itself says.
    ("[a", ["1:3: expected ']' at the end of a table declaration"]),
    ("a = ", ["1:5: expected a value here; text needs quotes"]),
    ("x = 1\na = hello", ["2:5: expected a value here; text needs quotes"]),
    ("a 1", ["1:3: expected = after a key"]),
    ("a = 1\na = 2", ["2:6: this key is set a second time, or is not a table"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_problem(problems, text, expected):
    """One mistake, its exact line."""
    assert problems(text) == [f".cicd.toml:{line}" for line in expected]


def test_every_problem_at_once_in_order_of_lines(problems):
    """Problems of all kinds come together, sorted by line, whatever found them."""
    found = problems(
        "[pipelines.b]\n"
        "trigger = 'after_tset'\n"
        "[pipelines.b.stages]\n"
        "  lint = { run = 'x', ned = [], needs = ['unti'] }\n"
        "  unit = ['x', 3]\n"
        "[pipelines.test.stages]\n"
        "a = 'x'\n"
        "[fixers.claude]\n"
        "base_url = 'x'\n"
        "[project]\n"
        "nam = 'x'\n"
    )
    assert found == [
        '.cicd.toml:2:1: pipelines.b.trigger: there is no pipeline "tset", did you mean "test"?',
        '.cicd.toml:4:23: pipelines.b.stages.lint.ned: unknown key, did you mean "needs"?',
        '.cicd.toml:4:42: pipelines.b.stages.lint.needs[0]: there is no stage "unti", did you mean "unit"?',
        ".cicd.toml:5:16: pipelines.b.stages.unit[1]: must be a command, not 3",
        ".cicd.toml:9:1: fixers.claude.base_url: belongs in the operator's own configuration, never in .cicd.toml",
        '.cicd.toml:11:1: project.nam: unknown key, did you mean "name"?',
    ]


def test_terminal_is_not_obeyed(problems):
    """Keys and values of the file are shown without control characters, and shortened."""
    (problem,) = problems('"\\u001b]52;c;x\\u0007\\u202e" = 1')
    assert problem == '.cicd.toml:1:1: "\\u001b]52;c;x\\u0007\\u202e": unknown key'
    (problem,) = problems("[orchestrator]\nmin_free = '" + "x" * 5000 + "'")
    assert len(problem) < 250


def test_secret_value_is_not_shown(problems):
    """A wrong value of a secret key is named by its kind only."""
    assert problems("[orchestrator.monitoring]\nsecret = 12345") == [
        ".cicd.toml:2:1: orchestrator.monitoring.secret: must be a string, not an integer"
    ]


def test_operator_file_has_no_pipelines():
    """Pipelines belong to the project."""
    with pytest.raises(ConfigError) as caught:
        read_operator("[pipelines.p]\n", source="config.toml")
    assert caught.value.problems == (
        "config.toml:1:2: pipelines: pipelines belong in .cicd.toml, not in the operator's own file",
    )


def test_operator_file_may_move_the_endpoint():
    """What a repository must not do, the operator may."""
    config = read_operator("[fixers.claude]\nbase_url = 'http://x'\napi_key_env = 'K'\n[fix]\npush = true", source="c")
    assert config.fixers[0].options == {"base_url": "http://x", "api_key_env": "K"} and config.fix.push


def test_mapping_has_paths_without_lines():
    """A program's own mapping is checked the same way."""
    with pytest.raises(ConfigError) as caught:
        read_mapping({"project": {"nam": "x"}, "pipelines": {"p": {"stages": {"s": {"run": ("x",), "needs": ("t",)}}}}})
    assert caught.value.problems == (
        'configuration: project.nam: unknown key, did you mean "name"?',
        'configuration: pipelines.p.stages.s.needs[0]: there is no stage "t"',
    )
    assert read_mapping({"project": {"name": "my-app", "repository": "https://x.test/y.git"}}).project.name == "my-app"


def test_mapping_of_another_kind():
    """Keys that are no strings, and lists that hold themselves, are told and not followed."""
    circle = []
    circle += [circle, circle]
    for raw, problem in [
        ({1: 2}, "configuration: has a key that is not a string"),
        ({"fixers": {"x": [{None: 1}]}}, "configuration: has a key that is not a string"),
        ({"a": circle}, "configuration: is nested deeper than 64 levels"),
    ]:
        with pytest.raises(ConfigError) as caught:
            read_mapping(raw)
        assert caught.value.problems == (problem,)


def test_exit_code_is_two():
    with pytest.raises(ConfigError) as caught:
        read_config("x", source="s")
    assert caught.value.exit_code == 2
