"""What the fixer needs before it can start: a key, an address, prices; and what it costs those who do not use it."""

from __future__ import annotations

import re

import pytest

from cicdctl.errors import ConfigError
from cicdctl.fixers.claude import ClaudeFixer, kind_in
from cicdctl.fixers.claude.endpoint import Endpoint, find_endpoint
from cicdctl.fixers.claude.models import load_models
from cicdctl.fixers.claude.options import ClaudeOptions, RetryOptions
from cicdctl.kinds import read_options
from cicdctl.model.fixing import FailureBundle, FixStatus, FixUsage

KEY = {"ANTHROPIC_API_KEY": "sk-1"}


def bundle(category="code"):
    return FailureBundle(run=1, stage="unit", attempt=1, base="b", base_tree="t", category=category)


def test_no_key(bench):
    """16: one line says so; nothing is asked, and nothing fails."""
    fixer = ClaudeFixer(ClaudeOptions(), {})
    assert fixer.problem == "there is no key: ANTHROPIC_API_KEY is not set"
    assert (fixer.can_fix(bundle()).answer, fixer.can_fix(bundle()).reason) == ("no", fixer.problem)
    assert fixer.fix(bench.make_request()).status is FixStatus.UNAVAILABLE
    other = ClaudeFixer(ClaudeOptions(api_key_env="MY_KEY"), {"ANTHROPIC_API_KEY": "x"})
    assert other.problem == "there is no key: MY_KEY is not set"
    assert bench.api.requests == []


@pytest.mark.parametrize(
    ("category", "answer"),
    [("code", "maybe"), ("lint", "maybe"), ("pre_existing", "maybe"), ("unknown", "no"), ("infra", "no"),
     ("flaky", "no"), ("lock", "no"), ("config", "no")],
)  # fmt: skip
def test_what_it_is_asked_for(category, answer):
    """Only what code can repair; unknown kinds on request."""
    assert ClaudeFixer(ClaudeOptions(), KEY).can_fix(bundle(category)).answer == answer
    if category == "unknown":
        assert ClaudeFixer(ClaudeOptions(on_unknown=True), KEY).can_fix(bundle(category)).answer == "maybe"


@pytest.mark.parametrize(
    ("options", "environ", "found"),
    [
        ({}, {}, "https://api.anthropic.com"),
        ({}, {"ANTHROPIC_BASE_URL": "https://gateway.test/v9/"}, "https://gateway.test/v9"),
        ({"base_url": "https://a.test"}, {"ANTHROPIC_BASE_URL": "https://b.test"}, "https://a.test"),
        ({"base_url": "http://127.0.0.1:8080"}, {}, "http://127.0.0.1:8080"),
        ({"base_url": "http://gateway.test"}, {}, "base_url is not https: the key would travel in the open"),
        ({"base_url": "ftp://a.test"}, {}, "base_url is no whole http or https address"),
        ({"base_url": "https://u:p@a.test"}, {}, "base_url must not hold a user name, a query or a fragment"),
        ({"base_url": "https://a.test:port"}, {}, "base_url is no whole http or https address"),
        ({}, {"ANTHROPIC_API_KEY": "sk-1\r\nx: y"}, "the key in ANTHROPIC_API_KEY holds a character that no key has"),
    ],
)
def test_endpoint(options, environ, found):
    """The option before the variable; a key never travels in the open."""
    endpoint = find_endpoint(ClaudeOptions(**options), {**KEY, **environ})
    assert (endpoint.url if isinstance(endpoint, Endpoint) else endpoint) == found
    assert "sk-1" not in repr(endpoint)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://a.test", {"HTTPS_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ("https://a.test", {"https_proxy": "http://small:1", "HTTPS_PROXY": "http://proxy:1"}, "http://small:1"),
        ("https://a.test", {"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ("https://a.test", {"HTTP_PROXY": "http://proxy:1"}, None),
        ("https://x.a.test", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "b.test, .a.test"}, None),
        ("https://a.test", {"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"}, None),
        ("http://127.0.0.1:1", {"HTTP_PROXY": "http://proxy:1", "ALL_PROXY": "http://all:1"}, None),
    ],
)
def test_proxy(url, environ, proxy):
    """The operator's, but never for loopback."""
    endpoint = find_endpoint(ClaudeOptions(base_url=url), {**KEY, **environ})
    assert isinstance(endpoint, Endpoint)
    assert endpoint.proxy == proxy


def test_models(tmp_path):
    """Who is asked, in which attempt; a name that was asked for stays; gateways may write it longer."""
    models = load_models(None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", models.dated)
    choose = models.choose
    assert choose(ClaudeOptions(), is_last=False) == ("claude-sonnet-5-5", "claude-opus-5-5")
    assert choose(ClaudeOptions(), is_last=True) == ("claude-opus-5-5", None)
    assert choose(ClaudeOptions(model="x"), is_last=True) == ("x", "claude-opus-5-5")
    assert choose(ClaudeOptions(last_attempt_model="y", fallback_model="z"), is_last=True) == ("y", "z")
    assert models.price("vendor/claude-haiku-5-5-20261021").output == 0.5
    assert models.price("nobody-knows").output == 50.0, "the dearest"
    usage = FixUsage(input_tokens=10**6, output_tokens=10**6, cache_read_tokens=10**6, cache_write_tokens=10**6)
    assert models.price("claude-sonnet-5-5").cost(usage) == pytest.approx(2 + 10 + 2.5 + 0.2)

    row = "[models.mine]\ninput = 1.0\noutput = 2.0\ncache_write = 1.0\ncache_read = 0.1\nadaptive = false\n"
    (tmp_path / "models.toml").write_text(f'attempt = "mine"\n{row}')
    own = load_models(tmp_path)
    assert own.choose(ClaudeOptions(), is_last=False)[0] == "mine"
    assert own.price("mine").output == 2.0
    assert own.price("claude-sonnet-5-5").output == 10.0
    (tmp_path / "models.toml").write_text("attempt = 7")
    with pytest.raises(ConfigError, match=r"models\.toml"):
        load_models(tmp_path)


def test_model_without_thinking(bench, words, tmp_path):
    """An operator's own model is not sent what it does not know."""
    row = "[models.mine]\ninput = 1.0\noutput = 2.0\ncache_write = 1.0\ncache_read = 0.1\nadaptive = false\n"
    (tmp_path / "models.toml").write_text(row)
    bench._fixer = ClaudeFixer(ClaudeOptions(model="mine"), bench.environ, lambda: tmp_path)
    bench.api.says(words["give_up"]())
    assert bench.fix().status is FixStatus.GAVE_UP
    assert "thinking" not in bench.api.asked[0].body
    assert "output_config" not in bench.api.asked[0].body


def test_options_are_those_of_the_configuration():
    """Every key that may be written is one that is read; what is wrong is said by name."""
    from cicdctl.config.fixing_rules import CLAUDE_OPTIONS

    kind = kind_in(KEY)
    fields = set(ClaudeOptions.__struct_fields__)
    assert {key.name for key in CLAUDE_OPTIONS} <= fields
    options = read_options(kind, {"retry": {"attempts": 2, "cap": 1.5}, "effort": "max"}, where="fixers.claude")
    assert (options.retry, options.effort) == (RetryOptions(attempts=2, cap=1.5), "max")
    with pytest.raises(ConfigError, match="fixers.claude.modle"):
        read_options(kind, {"modle": "x"}, where="fixers.claude")
    assert 'tools = "shell" is not provided' in str(ClaudeFixer(ClaudeOptions(tools="shell"), KEY).problem)


def test_endpoint_and_key_never_from_a_commit(make_project, messages_api):
    """82F: a `.cicd.toml` that names them is wrong, and nothing is sent anywhere."""
    for line in (f"base_url = '{messages_api.url}'", "api_key_env = 'HOME'", "tools = 'sandboxed-shell'"):
        project = make_project(config=f"[fixers.claude]\n{line}\n[pipelines.build.stages]\nunit = 'exit 1'\n")
        env = {"ANTHROPIC_API_KEY": "sk-1", "ANTHROPIC_BASE_URL": messages_api.url}
        assert "never in .cicd.toml" in project.cicdctl("run", "build", env=env).fails(2).stderr
    assert messages_api.requests == []


def test_green_path_and_commands_import_nothing_of_it(make_project):
    """26: neither help nor a green run nor a repair by command imports the client library."""
    project = make_project(
        config="[pipelines.build.stages]\nunit = 'test -e ok'\n[fixers.touch]\nrun = 'touch ok'\npaths = ['ok']\n"
    )
    env = {"PYTHONPROFILEIMPORTTIME": "1", "ANTHROPIC_API_KEY": "sk-1", "CICDCTL_NO_AI": "1"}
    fixed = project.cicdctl("run", "build", "HEAD", env=env)
    assert "fix ready" in fixed.stdout + fixed.stderr
    assert len(re.findall(r"\|\s+cicdctl\.cli$", fixed.stderr, re.MULTILINE)) == 2, "the run, and the fix it has started"
    project.write("ok", "")
    project.commit("by hand")
    for done in (fixed, project.cicdctl("--help", env=env), project.cicdctl("run", "build", "HEAD", env=env)):
        assert "cicdctl.cli" in done.stderr
        assert not re.search(r"\|\s+(anthropic|httpx2|pydantic)$", done.stderr, re.MULTILINE)
