"""Services, dependency caches, incremental workspaces, limits, sandboxes and hostile stages, through the command."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import marked_processes


def test_service_is_ready_before_the_stage_and_gone_after(make_project):
    """A service gets a free port, is waited for, has its own log and ends with its stage."""
    server = (
        "import http.server, os; print('up', flush=True); "
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    config = f"""
[pipelines.build.stages.unit]
run = "python3 -c \\"import os, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:' + os.environ['WEB_PORT'] + '/file').read())\\""
services = {{ web = {{ run = '''exec python3 -c "{server}"''', ready = "python3 -c \\"import os, socket; socket.create_connection(('127.0.0.1', int(os.environ['PORT'])))\\"" }} }}
"""
    project = make_project(config, files={"file": "content"})
    project.cicdctl("run", "build").passes()
    assert "b'content'" in project.cicdctl("logs", "1", "unit").passes().stdout
    log = project.path / ".git/cicdctl/logs/1/unit.1.web.log"
    assert log.read_text().startswith("up\n")
    assert not marked_processes(str(project.path.parent).encode())


def test_service_that_never_gets_ready_is_an_error_with_its_last_lines(make_project):
    """A service that dies makes the stage an error, and says what it said."""
    config = """
[pipelines.build.stages.unit]
run = "true"
services = { db = { run = "echo cannot bind; exit 1", ready = "false" } }
"""
    shown = make_project(config).cicdctl("run", "build").fails(3).stdout
    assert "unit  error" in shown and "exit status 1; cannot bind" in shown


def test_dependency_cache_is_kept_by_the_content_of_its_key(make_project):
    """A kept folder comes back while the files of its key are the same, and its last copy serves a new key."""
    config = """
[pipelines.build.stages.deps]
run = "test -d vendor && cat vendor/made || echo fresh; mkdir -p vendor; cat lock > vendor/made; cat other"
caches = [{ key = ["lock"], paths = ["vendor"] }]
"""
    project = make_project(config, files={"lock": "one\n", "other": "1"})
    project.cicdctl("run", "build").passes()
    project.write("other", "2")
    project.cicdctl("run", "build").passes()
    assert "fresh" in project.cicdctl("logs", "1", "deps").passes().stdout
    second = project.cicdctl("logs", "2", "deps").passes().stdout
    assert "one" in second and "fresh" not in second.splitlines()


def test_incremental_workspace_keeps_untracked_files_and_is_never_shared(make_project):
    """An incremental stage finds what it left, runs each time, and says that its result is not hermetic."""
    config = """
[pipelines.build.stages.compile]
run = "cat state 2>/dev/null || true; echo again >> state"
workspace = "incremental"
"""
    project = make_project(config)
    for _ in range(3):
        project.cicdctl("run", "build").passes()
    assert project.cicdctl("logs", "3", "compile").passes().stdout.count("\nagain") == 2
    document = json.loads(project.cicdctl("show", "3", "--json").passes().stdout)
    assert document["stages"][0]["cached"] is False and document["stages"][0]["hermetic"] is False


def test_memory_limit_fails_with_the_reason(make_project):
    """A stage over its memory limit is killed, and the reason names limit and peak."""
    config = """
[pipelines.build.stages.hog]
run = "python3 -c \\"import time; x = bytearray(400_000_000); time.sleep(20)\\""
resources = { memory = "100MB" }
"""
    shown = make_project(config).cicdctl("run", "build").fails(1).stdout
    assert "hog  failed" in shown and "memory limit" in shown


def test_without_network_there_is_none_or_a_refusal(make_project):
    """network = false runs in a sandbox where one works, and is refused with what to do where none does."""
    config = """
[pipelines.build.stages.unit]
run = "grep -c : /proc/net/dev; ls ~; touch inside; git status --short"
network = false
"""
    project = make_project(config)
    ran = project.cicdctl("run", "build")
    if shutil.which("bwrap"):
        ran.passes()
        # Only the loopback device is there, and git works in the worktree.
        assert "\n1\n?? inside\n" in project.cicdctl("logs", "1", "unit").passes().stdout
    else:
        ran.fails(3)
        assert "bubblewrap" in ran.stdout


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="the sandbox without network is bubblewrap")
def test_service_is_reached_without_network(make_project):
    """A stage without network meets its service, and nothing else, on the loopback device they share."""
    config = f'''
[orchestrator]
sandbox_paths = ["{sys.base_prefix}"]
[pipelines.build.stages.unit]
run = "$PYTHON ask.py && grep -c : /proc/net/dev"
env = {{ PYTHON = "{os.path.realpath(sys.executable)}" }}
network = false
[pipelines.build.stages.unit.services.web]
run = "exec $PYTHON -m http.server --bind 127.0.0.1 $PORT"
ready = "$PYTHON ask.py"
'''
    ask = "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT']).read()"
    project = make_project(config, files={"ask.py": ask})
    project.cicdctl("run", "build").passes()
    assert project.cicdctl("logs", "1", "unit").passes().stdout.strip().endswith("1")


def test_a_stage_that_daemonises_leaves_nothing(make_project):
    """What a stage leaves running is ended and told, and the stage is not held up by it."""
    project = make_project(unit="setsid sleep 60 & (sleep 61 &) ; nohup sleep 62 >/dev/null 2>&1 & echo done")
    ran = project.cicdctl("run", "build").passes()
    assert "processes; killed" in ran.stderr
    assert not marked_processes(str(project.path.parent).encode())


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("no-such-program-here", "exit status 127: command not found"),
        ("printf '\\377\\376 bytes \\000'; exit 4", "exit status 4"),
        ("kill -9 $$", "killed by signal 9"),
        ("cd; exec false", "exit status 1"),
    ],
)
def test_odd_endings_are_told_in_words(make_project, command, text):
    """However a stage ends, the reason is in words."""
    assert text in make_project(unit=command).cicdctl("run", "build").fails(1).stdout


def test_artifact_glob_that_matches_nothing_fails_the_stage(make_project):
    """An artifact that was promised and is not there is a failure that names the glob."""
    config = """
[pipelines.build.stages.compile]
run = "true"
artifacts = ["dist/**"]
"""
    assert "artifacts: nothing matches dist/**" in make_project(config).cicdctl("run", "build").fails(1).stdout


def test_bad_output_line_fails_the_stage(make_project):
    """A bad line in CICD_OUTPUT fails the stage with its number; loaders cannot be steered from there."""
    project = make_project(unit="echo LD_PRELOAD=x >> $CICD_OUTPUT")
    assert "LD_PRELOAD" in project.cicdctl("run", "build").fails(1).stdout


def test_hostile_ref_and_message_reach_stages_as_text_only(make_project, tmp_path):
    """Names and messages that are shell code are only ever text."""
    project = make_project(unit='printf \'%s\\n\' "$CI_COMMIT_BRANCH" "$CI_COMMIT_MESSAGE"')
    project.git("checkout", "-q", "-b", "feature/a;b$(touch${IFS}owned)")
    project.git(
        "commit", "-q", "--allow-empty", "-m", f"$(touch {tmp_path}/owned) `id` \x1b]0;title\x07 ::set-env name=x::y"
    )
    shown = project.cicdctl("run", "build").passes().stdout
    assert "\x1b" not in shown
    assert "feature/a;b$(touch${IFS}owned)" in project.cicdctl("logs", "1", "unit").passes().stdout
    assert not (tmp_path / "owned").exists() and not (project.path / "owned").exists()


def test_terminal_tricks_in_logs_are_removed(make_project):
    """`logs` shows text; `--raw` gives the bytes."""
    project = make_project(unit="printf '\\033]0;owned\\007\\033[31mred\\033[0m \\342\\200\\256x\\n'")
    project.cicdctl("run", "build").passes()
    assert "red x" in project.cicdctl("logs", "1", "unit").passes().stdout
    assert "\x1b]0;owned" in project.cicdctl("logs", "1", "unit", "--raw").passes().stdout


def test_unusable_cache_folder_costs_one_warning(make_project, tmp_path):
    """Where the cache folder cannot be, a run goes on without memory, artifacts and all, and leaves nothing."""
    config = """
[pipelines.build.stages.make]
run = "echo x > out"
artifacts = ["out"]
[pipelines.build.stages.use]
run = "cat out; echo $TMPDIR"
"""
    project = make_project(config)
    (tmp_path / "file").touch()
    ran = project.cicdctl("run", "build", env={"XDG_CACHE_HOME": str(tmp_path / "file")}).passes()
    assert ran.stderr.count("this run is not remembered") == 1
    where = project.cicdctl("logs", "1", "use").passes().stdout.split()[-1]
    assert "/cicdctl-" in where and not Path(where).exists()


def test_switched_off_cache_remembers_nothing(make_project):
    """cache.enabled = false runs every stage each time."""
    config = """
[pipelines.build.stages]
unit = "true"
[orchestrator]
cache = { enabled = false }
"""
    project = make_project(config)
    project.cicdctl("run", "build").passes()
    assert "unit  passed" in project.cicdctl("run", "build").passes().stdout


def test_unborn_and_detached_and_bare(make_project, tmp_path):
    """A repository without a commit, a detached HEAD and a bare one all run."""
    project = make_project(unit="cat .cicd.toml > /dev/null")
    project.git("checkout", "-q", "--detach")
    project.cicdctl("run", "build").passes()
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    project.cicdctl("-C", str(tmp_path / "bare.git"), "run", "build").passes()
    project.git("init", "-q", str(tmp_path / "unborn"))
    shutil.copy(project.path / ".cicd.toml", tmp_path / "unborn")
    project.cicdctl("-C", str(tmp_path / "unborn"), "run", "build").passes()


def test_what_is_not_available_says_so_when_it_is_used(make_project):
    """Keys whose engine is not there yet are valid, and refused by name when a run would need them."""
    config = """
[project]
lfs = true
[pipelines.build.stages]
unit = "true"
"""
    project = make_project(config)
    project.cicdctl("config", "validate").passes()
    assert "project.lfs is not available yet" in project.cicdctl("run", "build").fails(2).stderr


def test_pipeline_time_limit(make_project):
    """orchestrator.timeouts ends a whole run."""
    config = """
[pipelines.build.stages]
slow = "sleep 30"
[orchestrator]
timeouts = { build = 1 }
"""
    shown = make_project(config).cicdctl("run", "build").fails(1).stdout
    assert "pipeline timeout" in shown and "#1 build timed_out" in shown


def test_plugin_file_of_the_working_tree_is_loaded(make_project):
    """A trusted plugin file can add a stage kind; a broken one is named."""
    plugin = """
from cicdctl.plugin_api import StageCommands, StageKind, Value, hookimpl


class Options(Value, frozen=True, kw_only=True):
    words: str


@hookimpl
def cicdctl_stages():
    return [StageKind(name="say", options_type=Options, resolve=lambda o: StageCommands(run=(f"echo {o.words}",)))]
"""
    config = """
plugins = ["ci/say.py"]
[pipelines.build.stages.unit]
uses = "say"
with = { words = "hello" }
"""
    project = make_project(config, files={"ci/say.py": plugin})
    project.cicdctl("run", "build").passes()
    assert "hello" in project.cicdctl("logs", "1", "unit").passes().stdout
    assert "say" in project.cicdctl("plugins", "list").passes().stdout
    project.write(".cicd.toml", config.replace("words =", "wrods ="))
    assert "wrods" in project.cicdctl("run", "build").fails(2).stderr
