"""The whole way: a red run, the engine, the fixer, real HTTP, a verified branch; and what checks get to see."""

from __future__ import annotations

from messages_api import tool

CONFIG = """
[fixers.claude]
on_unknown = true
[pipelines.build.stages]
unit = 'env; test "$(cat value.txt)" = 42 || { echo "value.txt:1: error: it is not 42"; exit 1; }'
"""
KEY = "sk-ant-test-0123456789abcdef"


def env_of(api) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.url, "GITHUB_TOKEN": "ghp_" + "aB3dE5gH7jK9" * 3}


def test_from_red_to_a_branch(make_project, messages_api):
    """1F, 45F, 61F, 81: offered with a proof, the run stays red, the key is nowhere, words do nothing."""
    api = messages_api
    api.says(tool("view", path="value.txt"))
    api.says(tool("str_replace", path="value.txt", old_str="41", new_str="42"))
    api.says(tool("run_check"))
    api.says(
        tool(
            "submit", root_cause="Fixes #1 ![x](http://evil.test) @all", explanation="say 42", confidence="high"
        )
    )  # fmt: skip
    project = make_project(config=CONFIG, files={"value.txt": "41\n"})
    tip = project.git("rev-parse", "HEAD")

    done = project.cicdctl("run", "build", "HEAD", env=env_of(api)).fails(1)

    told = done.stdout + done.stderr
    assert "fix ready  cicdctl/fix/1-unit   1 file, +1 -1" in told, told
    assert "asking claude-sonnet-5-5 (attempt 1 of 3, limit $1.00)" in told
    message = project.git("log", "-1", "--format=%B", "cicdctl/fix/1-unit")
    assert message.startswith("fix(unit): say 42\n")
    assert "#1" not in message
    assert "http://" not in message
    assert "(claude-sonnet-5-5), attempt 1/3\n" in message
    assert project.git("show", "cicdctl/fix/1-unit:value.txt") == "42"
    assert (project.git("rev-parse", "HEAD"), project.git("status", "--porcelain")) == (tip, "")
    assert api.asked[3].result().startswith("passed; 5 checks left")
    for request in api.asked:
        assert KEY.encode() not in request.raw
        assert b"ANTHROPIC_API_KEY" not in request.raw
        assert b"ghp_" not in request.raw
    transcript = project.cicdctl("fix", "log", "1", "--transcript").passes().stdout
    assert '"tool": "str_replace"' in transcript
    assert KEY not in transcript


def test_no_key_is_one_line(make_project, messages_api):
    """16: the run ends as it does; asked for by name it is status 3."""
    project = make_project(config=CONFIG, files={"value.txt": "41\n"})
    done = project.cicdctl("run", "build", "HEAD").fails(1)
    assert "ANTHROPIC_API_KEY is not set" in done.stdout + done.stderr
    named = project.cicdctl("fix", "1", "--fixer", "claude", "--again").fails(3)
    assert "there is no key: ANTHROPIC_API_KEY is not set" in named.stderr
    assert messages_api.requests == []
