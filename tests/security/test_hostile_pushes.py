"""Refs, messages, names, options and files that somebody pushes who means harm. The rows are those of docs/security.md."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ANYBODY = '[orchestrator]\ntrust = { refs = ["main"] }\n'
ALL_TRUSTED = '[orchestrator]\ntrust = { refs = ["**"] }\n'
BUILD = """
[pipelines.build]
trigger = "on_commit"
params = { LEVEL = { default = "low" } }
[pipelines.build.stages]
unit = "true"
"""
# Escape sequences: a title, the clipboard, a link, the cursor; C1; a hidden direction.
HOSTILE = "\x1b]0;owned\x07\x1b]52;c;aGk=\x07\x1b]8;;http://x\x07\x1b[2J\x1b[1A\x9b31m\u202e"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


NAMES = (
    "$(touch${IFS}x)",
    "`touch${IFS}x`",
    "a;touch${IFS}x",
    "-x",
    "--upload-pack=touch${IFS}x",
    "<img/src=x/onerror=a>|&'\"",
    "\u202eniam\x9b31m",
)


def looks(server, number: int = 1) -> str:
    """Return what every command that looks at runs says; no line of it holds a control character."""
    told = ""
    for words in (("show", f"{number}"), ("logs", f"{number}"), ("history",), ("status",), ("watch", "--once")):
        done = server.cicdctl(*words)
        said = done.stdout + done.stderr
        assert not CONTROLS.search(said), (words, said)
        told += said
    return told


def output(server, number: int = 1) -> str:
    """Return what the stage of a run has printed, without the line that names the command."""
    log = next((server.path / f"cicdctl/logs/{number}").glob("unit*.log")).read_text()
    return log.partition("\n")[2]


def test_ref_is_a_name_and_nothing_else(make_server, wait_for_quiet):
    """Row 9. It reaches the stage as a variable, and everything else as text that can be shown."""
    config = BUILD.replace('"true"', '"printenv CI_COMMIT_BRANCH"')
    server = make_server(config, ALL_TRUSTED + '[notifiers.notes]\nuses = "git-notes"\n')
    for name in NAMES:
        server.work.commit(name)
        server.work.git("update-ref", f"refs/heads/{name}", "HEAD")
    server.push(*(f"refs/heads/{name}" for name in NAMES))
    found = wait_for_quiet(server, len(NAMES))
    assert {run["ref"] for run in found} == {f"refs/heads/{name}" for name in NAMES}
    assert {run["verdict"] for run in found} == {"passed"}
    for run in found:
        assert f"refs/heads/{output(server, run['number'])}" == run["ref"] + "\n"
    looks(server, next(run["number"] for run in found if "\u202e" in run["ref"]))
    assert not CONTROLS.search((server.path / "cicdctl/hook.log").read_text())
    assert [path for path in server.path.parent.rglob("x") if "objects" not in path.parts] == []


def test_message_author_and_output_are_shown_as_text(make_server, wait_for_quiet):
    """Row 16. On whatever terminal: titles, clipboard and cursor are not theirs."""
    config = BUILD.replace('"true"', r"""'printf "\033]0;owned\007\033]52;c;aGk=\007\n\233\n"; exit 1'""")
    server = make_server(config, ALL_TRUSTED)
    server.work.git("-c", f"user.name={HOSTILE}", "commit", "-q", "--allow-empty", "-m", "subject" + HOSTILE)
    server.push("main", "-o", "ci.wait")
    wait_for_quiet(server, 1)
    assert "subject" in looks(server)


def test_what_a_stage_prints_commands_nothing(make_server, wait_for_quiet):
    """Row 6. The syntax of four other systems, and what might be ours."""
    config = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.say]
run = '''
echo "::set-env name=PATH::/evil"; echo "::add-path::/evil"; echo "::set-output name=EVIL::1"
echo "##teamcity[setParameter name='env.EVIL' value='1']"
echo "##vso[task.setvariable variable=EVIL]1"; echo "EVIL=1"; echo "CICD_OUTPUT=EVIL=1"; echo "::cicdctl::EVIL=1"
'''
[pipelines.build.stages.look]
run = 'test -z "$EVIL" && case $PATH in *evil*) exit 1 ;; esac'
"""
    server = make_server(config, ALL_TRUSTED)
    server.push("main")
    assert [run["verdict"] for run in wait_for_quiet(server, 1)] == ["passed"]


@pytest.mark.parametrize("name", ["LD_PRELOAD", "CI_COMMIT_SHA"])
def test_push_options_set_no_variable_that_steers(make_server, wait_for_quiet, name):
    """Row 5. Parameters have names of their own in a stage; others are not declared."""
    server = make_server(BUILD, ALL_TRUSTED)
    server.push("main", "-o", "ci.pipeline=build", "-o", f"ci.variable={name}=/evil")
    (run,) = wait_for_quiet(server, 1)
    assert run["verdict"] == "error" and name in run["reason"]


def test_texts_are_never_files(make_server, wait_for_quiet):
    """Row 7. `@` in front of a path, a glob, a variable: text as any other."""
    config = BUILD.replace('"true"', "'printenv CICD_PARAM_LEVEL CI_COMMIT_MESSAGE'")
    server = make_server(config, ALL_TRUSTED)
    server.work.git("commit", "-q", "--allow-empty", "-m", "@/etc/passwd $HOME *")
    server.push("main", "-o", "ci.variable=LEVEL=@/etc/passwd ${HOME} *")
    wait_for_quiet(server, 1)
    assert output(server) == "@/etc/passwd ${HOME} *\n@/etc/passwd $HOME *\n\n"


def test_trust_is_no_matter_of_who_says_so(make_server, wait_for_quiet):
    """Row 4. The trusted branch's name as author, in the message, in options and as a tag's prefix: untrusted."""
    server = make_server(
        BUILD + '[pipelines.tagged]\ntrigger = "on_tag"\n[pipelines.tagged.stages]\nunit = "true"\n', ANYBODY
    )
    server.work.git(
        "-c", "user.name=main", "-c", "user.email=root@localhost", "commit", "-q", "--allow-empty", "-m", "main"
    )
    server.work.git("tag", "heads/main")
    server.push(
        "main:refs/heads/topic",
        "main:refs/heads/Main",
        "main:refs/heads/main/x",
        "refs/tags/heads/main",
        "-o",
        "ci.trust=trusted",
    )
    found = {run["ref"]: run["trust"] for run in wait_for_quiet(server, 2)}
    assert set(found.values()) == {"untrusted"}


@pytest.mark.parametrize(
    "text", ["a." * 20_000 + "b = 1", "x = " + "[" * 100_000, "x = " + "9" * 50_000], ids=["dots", "nested", "digits"]
)
def test_hostile_file_is_an_error_of_its_run(make_server, wait_for_quiet, text):
    """Row 14. In a hook that somebody waits for, and in the process that serves all."""
    server = make_server(BUILD, ALL_TRUSTED)
    server.work.write(".cicd.toml", text)
    server.work.commit("hostile")
    server.push("main")
    (run,) = wait_for_quiet(server, 1)
    assert (run["pipeline"], run["verdict"]) == (".cicd.toml", "error")
    assert "Traceback" not in (server.path / "cicdctl/hook.log").read_text()


def test_spool_that_somebody_wrote_by_hand(make_server, wait_for_quiet, runs):
    """Row 20. Lines that git would not write are set aside, links are not read, and the next push is taken in."""
    server = make_server(BUILD, ALL_TRUSTED)
    spool = server.path / "cicdctl/spool"
    zero = "0" * 40
    (spool / "1.1").write_text(f"ref {zero} {zero} refs/heads/../../x\nref --upload-pack=x y refs/heads/z\n")
    (spool / "1.2").write_bytes(b"\xff\0\x1b]0;x\x07\n" * 1000)
    (spool / "1.3").symlink_to("/etc/passwd")
    (spool / "1.4").write_text(f"ref {zero} {'1' * 40} refs/heads/main\noption ci.pipeline=../../etc\n")
    server.push("main")
    server.cicdctl("hook", "drain").passes()
    assert [run["verdict"] for run in wait_for_quiet(server, 1)] == ["passed"]
    assert sorted(path.name for path in spool.iterdir()) == ["refused"]
    assert not CONTROLS.search((server.path / "cicdctl/hook.log").read_text())
    assert "root:" not in (server.path / "cicdctl/hook.log").read_text()


def everything_below(folder: Path) -> dict[str, str]:
    """Return a digest of each file that a hostile run has no business with."""
    ours = (
        "objects",
        "refs",
        "logs",
        "cicdctl/logs",
        "cicdctl/locks",
        "cicdctl/spool",
        "cicdctl/backups",
        "cicdctl/state",
    )
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith(ours):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="untrusted stages need bubblewrap")
def test_hostile_ref_changes_only_what_is_its_own(make_server, wait_for_quiet, runs, tmp_path):
    """Everything at once, from a ref that nobody vouches for; afterwards a trusted run sees none of it."""
    good = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = 'test ! -e ~/.bashrc && test ! -e planted && test "$TOKEN" = secret-value && echo honest > out'
secrets = ["TOKEN"]
artifacts = ["out"]
"""
    bad = f"""
plugins = ["evil.py"]
[project]
repository = "https://evil.test/x.git"
[orchestrator]
trust = {{ refs = ["**"], network = true }}
workspace = "{tmp_path}/owned"
sandbox_paths = ["/root"]
[notifiers.evil]
uses = "webhook"
url = "http://127.0.0.1:1/"
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.unit]
run = '''
touch planted ~/.bashrc; echo poisoned > out; echo "TOKEN=$TOKEN"
for f in {tmp_path}/owned {tmp_path}/server.git/owned {tmp_path}/server.git/cicdctl/owned {tmp_path}/cache/owned; do touch $f 2>/dev/null || true; done
git config core.fsmonitor "touch {tmp_path}/owned" 2>/dev/null || true; git tag evil 2>/dev/null || true
cat {tmp_path}/server.git/cicdctl/secrets.toml /proc/$PPID/environ 2>/dev/null || true
(setsid sleep 604.25 &) ; true
'''
secrets = ["TOKEN"]
network = true
sandbox = "off"
artifacts = ["out"]
[pipelines.build.stages.deploy]
run = "touch {tmp_path}/owned"
side_effects = true
"""
    server = make_server(good, ANYBODY)
    server.cicdctl("secrets", "set", "TOKEN", stdin="secret-value").passes()
    server.push("main")
    (honest,) = wait_for_quiet(server, 1)
    assert honest["verdict"] == "passed", server.cicdctl("logs", "1").stdout
    before = everything_below(server.path)

    server.work.git("checkout", "-q", "-b", "hostile")
    server.work.write(".cicd.toml", bad)
    server.work.write("evil.py", f"open('{tmp_path}/owned', 'w')\n")
    server.work.commit(HOSTILE)
    server.push("hostile:refs/heads/$(touch${IFS}owned)", "-o", "ci.wait", "-o", "ci.variable=TOKEN=x")
    wait_for_quiet(server, 2)
    assert not list(tmp_path.rglob("owned"))
    shown = json.loads(server.cicdctl("show", "2", "--json").passes().stdout)
    assert [(stage["stage"], stage["verdict"]) for stage in shown["stages"]] == [
        ("unit", "passed"),
        ("deploy", "skipped"),
    ]
    log = server.cicdctl("logs", "2", "unit").passes().stdout
    assert "TOKEN=\n" in log and "secret-value" not in log
    after = everything_below(server.path)
    assert {name for name in after if after[name] != before.get(name)} <= {"cicdctl/hook.log"}
    assert server.git("for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/$(touch${IFS}owned)",
        "refs/heads/main",
    ]
    told = (server.path / "cicdctl/logs/2/runner.log").read_text() + (server.path / "cicdctl/hook.log").read_text()
    for key in (
        "plugins",
        "project.repository",
        "orchestrator.workspace",
        "orchestrator.trust.network",
        "notifiers.evil",
    ):
        assert key in told

    server.work.git("checkout", "-q", "main")
    server.work.write("more", "")
    server.work.commit("more")
    server.push("main")
    assert wait_for_quiet(server, 3)[-1]["verdict"] == "passed", server.cicdctl("logs", "3").stdout
    assert subprocess.run(["pgrep", "-f", "sleep 604.25"], capture_output=True).stdout == b""


@pytest.mark.parametrize(
    "address",
    ["--upload-pack=touch owned", "ext::sh -c touch% owned", "ssh://-oProxyCommand=touch%20owned/x", "-oProxyCommand=touch owned:x", "fd::7"],
)  # fmt: skip
def test_address_is_never_a_command(make_project, address):
    """Row 9. Refused where it is written, with its line, before any git is started."""
    project = make_project(f"[project]\nrepository = '{address}'\n")
    assert ".cicd.toml:2:" in project.cicdctl("watch", "--once").fails(2).stderr
    assert not list(project.path.rglob("owned"))


def test_table_of_threats_names_tests_that_exist():
    root = Path(__file__).parent.parent.parent
    rows = re.findall(r"^\| (\d+) \|.*\| (.+?) \|$", (root / "docs/security.md").read_text(), re.MULTILINE)
    named = [name for _, tests in rows for name in re.findall(r"`([\w/.]+)`", tests)]
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1)) and len(named) >= len(rows) > 10
    assert [name for name in named if not (root / "tests" / name).exists()] == []
