"""Matchers of plugins: what they find counts like the engine's own, and whatever they do, the others go on."""

from __future__ import annotations

import json
import os

import pytest

from cicdctl.fixing.matchers import find_diagnostics
from cicdctl.fixing.plugin_matchers import plugin_matchers
from cicdctl.plugin_manager import PluginManager
from tests.plugins.test_sources import ROOT, install

LOG = """\
$ plan
Error: no such module "net"
  on main.tf line 12
src/app.py:3:1: F401 'os' imported but unused
done""".splitlines()
PLUGIN = """
import os, re, sys, time
from cicdctl.plugin_api import Diagnostic, MatcherKind, hookimpl

def find(lines):
{body}

@hookimpl
def cicdctl_matchers():
    return [MatcherKind(name="terraform", marks=("Error: ",), find=find)]
"""
GOOD = """
    for at, line in enumerate(lines, 1):
        if line.startswith("Error: "):
            yield Diagnostic(tool="terraform", kind="compile", message=line[7:], file="./main.tf", line=12,
                             log_span=(at, min(at + 1, len(lines))))
"""
ONE = "Diagnostic(tool='x', kind='lint', message='m', log_span=({}, {}))"


@pytest.fixture
def look(tmp_path):
    """Load a plugin file whose matcher has this body; return what is found in a log, and the manager."""
    opened = []

    def with_body(body: str, *, lines=LOG, limit_s: float = 10.0, times: int = 1):
        (tmp_path / "mine.py").write_text(PLUGIN.format(body=body))
        manager = PluginManager()
        opened.append(manager)
        manager.load_file(tmp_path / "mine.py")
        manager.check()
        for _ in range(times):
            matchers = plugin_matchers(manager, os.environ, limit_s=limit_s)
            found = find_diagnostics(lines, matchers=matchers)
        return found, manager

    yield with_body
    for manager in opened:
        manager.close()


def tools(found) -> list[str]:
    return [one.tool for one in found.diagnostics]


def test_what_it_finds_counts(look):
    """Between the others, in the order of the log, its lines claimed."""
    found, manager = look(GOOD)
    assert tools(found) == ["terraform", "flake8"]
    first = found.diagnostics[0]
    assert (first.file, first.line, first.kind, first.log_span) == ("main.tf", 12, "compile", (2, 3))
    assert found.claimed == {2, 3, 4}
    assert manager.failures == []


def test_a_log_without_its_marks_starts_nothing(look):
    """Not even a process."""
    found, manager = look("    os._exit(9)", lines=[line.replace("Error: ", "Note: ") for line in LOG])
    assert tools(found) == ["flake8"]
    assert manager.failures == []


def test_inside_a_test_s_report_it_is_not_asked_twice(look):
    """A line that belongs to a failed test of pytest is no complaint of its own."""
    lines = [
        "=================================== FAILURES ===================================",
        "__________________________________ test_plan ___________________________________",
        "",
        "    def test_plan():",
        ">       plan()",
        "Error: no such module",
        "  on main.tf line 12",
        "",
        "tests/test_plan.py:3: RuntimeError",
        "=========================== short test summary info ============================",
        "FAILED tests/test_plan.py::test_plan - RuntimeError",
    ]
    assert tools(look(GOOD, lines=lines)[0]) == ["pytest"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    raise KeyError('oh')", "KeyError: 'oh'"),
        ("    sys.exit(3)", "raised SystemExit(3)"),
        ("    os._exit(3)", "RuntimeError: its process ended with status 3"),
        ("    return None", "TypeError: 'NoneType' object is not iterable"),
        ("    return ['x']", "TypeError: yielded 'x', not a Diagnostic"),
        (
            "    return [Diagnostic(tool='x', kind='oops', message='m', log_span=(1, 1))]",
            "TypeError: yielded a Diagnostic that is none: Invalid enum value 'oops'",
        ),
        (
            "    return [Diagnostic(tool='x', kind='lint', message=3, log_span=(1, 1))]",
            "TypeError: yielded a Diagnostic",
        ),
        ("    return [Diagnostic(tool='x', kind='lint', message='m')]", "ValueError: yielded log_span None"),
        (
            "    yield Diagnostic(tool='x', kind='lint', message='m' * 20_000_000, log_span=(1, 1))",
            "ValueError: yielded 20000",
        ),
        (
            "    yield Diagnostic(tool='x', kind='lint', message='\\udc80', log_span=(1, 1))",
            "UnicodeEncodeError: ",
        ),
        (f"    return [{ONE.format(0, 1)}]", "ValueError: yielded log_span (0, 1): first and last line of 5, from 1"),
        (f"    return [{ONE.format(3, 2)}]", "ValueError: yielded log_span (3, 2)"),
        (f"    return [{ONE.format(5, 6)}]", "ValueError: yielded log_span (5, 6)"),
    ],
)
def test_what_it_does_wrong_is_told_and_the_others_go_on(look, body, said):
    """Nothing of it counts; plugin and matcher are named."""
    found, manager = look(body)
    assert tools(found) == ["flake8"]
    (failure,) = manager.failures
    assert failure.message.startswith(f'plugin "mine": cicdctl_matchers: matcher "terraform": {said}')
    assert not failure.switched_off


def test_a_pattern_that_runs_for_ever_is_ended(look):
    """It never gives another thread a turn, so only a process of its own can be ended; the plugin is not asked again."""
    found, manager = look("    return [re.match('(a+)+$', 'a' * 60 + 'b') for line in lines]", limit_s=1.0, times=2)
    assert tools(found) == ["flake8"]
    assert [one.message for one in manager.failures] == [
        'plugin "mine": cicdctl_matchers: TimeoutError: matcher "terraform": no answer within 1 s; it is switched off'
    ]


def test_five_failures_switch_it_off(look):
    """A success in between starts the count anew, as with every hook."""
    _, manager = look("    raise ValueError('no')", times=7)
    assert [one.switched_off for one in manager.failures] == [False] * 4 + [True]


def test_what_it_prints_is_no_answer(look):
    """Neither by Python nor by a program it starts."""
    body = "    print('[]', flush=True); os.system('echo {}')" + GOOD
    assert tools(look(body)[0]) == ["terraform", "flake8"]


def test_it_sees_no_variable_and_no_more_than_the_log(look, monkeypatch):
    """What it gets is its lines; the environment is built."""
    monkeypatch.setenv("MY_TOKEN", "sw0rdfish")
    body = "    yield Diagnostic(tool=str(sorted(os.environ)), kind='lint', message='m', log_span=(1, 1))"
    first = look(body)[0].diagnostics[0]
    assert "MY_TOKEN" not in first.tool
    assert "LC_ALL" in first.tool


def test_too_much_is_cut(look):
    """A matcher that never stops yielding ends at its limit; long texts are cut, line breaks are none."""
    body = (
        "    while True:\n        yield Diagnostic(tool='t' * 1100, kind='lint', message='m\\nn' * 200,"
        " file='f' * 1100, code='c' * 1100, log_span=(1, len(lines)))"
    )
    first = look(body)[0].diagnostics[0]
    assert (len(first.tool), len(first.message), len(first.file), len(first.code)) == (1000, 500, 1000, 1000)
    assert "\n" not in first.message


def test_frames_and_numbers_are_bounded(look):
    """Of a stack trace without end both ends of a part are kept; a line that is none is left out."""
    body = (
        "    frames = tuple(Frame(file='f' * 2000, line=-number, function='g' * 2000) for number in range(1000))\n"
        "    yield Diagnostic(tool='x', kind='lint', message='m', file='a', line=-3, column=0, log_span=(1, 1),"
        " frames=frames)"
    )
    first = look("    from cicdctl.plugin_api import Frame\n" + body)[0].diagnostics[0]
    assert (first.line, first.column) == (None, None)
    assert len(first.frames) == 12
    assert {(len(frame.file), frame.line, len(frame.function)) for frame in first.frames} == {(1000, None, 1000)}


@pytest.mark.parametrize(
    "body",
    [
        "    os.system('head -c 100000000 /dev/zero; head -c 100000000 /dev/zero >&2')\n    print('x' * 100_000_000)",
        "    sys.stdout.close()\n    sys.stderr.close()",
    ],
)
def test_what_it_does_to_its_output_is_nothing_to_us(look, body):
    """Nobody keeps a hundred megabytes that it prints."""
    found, manager = look(body + GOOD, limit_s=60.0)
    assert (tools(found), manager.failures) == (["terraform", "flake8"], [])


def test_of_a_log_of_a_million_lines_it_gets_each(look):
    """And its number is right."""
    body = "    assert len(lines) == 1_000_001 and set(lines[:-1]) == {'ok', ''}" + GOOD
    found, manager = look(body, lines=["ok", ""] * 500_000 + ["Error: at the end"], limit_s=60.0)
    assert manager.failures == []
    assert [one.log_span for one in found.diagnostics] == [(1_000_001, 1_000_001)]


CONFIG = """
[pipelines.build.stages]
scripts = 'cat shellcheck.log; exit 1'
"""


def test_the_installed_example_reads_shellcheck(make_project, tmp_path):
    """Installed as a user does, listed, and used by the real program for a real failure."""
    install(ROOT / "plugins" / "cicdctl-example", tmp_path / "site")
    log = (ROOT / "plugins" / "cicdctl-example" / "tests" / "shellcheck.log").read_text()
    files = {"shellcheck.log": log, "ci/deploy.sh": "#!/bin/sh\n", "ci/b.sh": "true\n"}
    project = make_project(config=CONFIG, files=files)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    without = json.loads(project.cicdctl("fix", "explain", "1", "--json").passes().stdout)
    assert [one["code"] for one in without["diagnostics"] if one["tool"] == "shellcheck"] == []

    env = {"PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), project.env["PYTHONPATH"]))}
    assert "  matchers  shellcheck\n" in project.cicdctl("plugins", "list", env=env).passes().stdout
    told = project.cicdctl("fix", "explain", "1", "--json", env=env).passes()
    document = json.loads(told.stdout)
    first = document["diagnostics"][0]
    assert (first["tool"], first["code"], first["file"], first["line"]) == ("shellcheck", "SC2115", "ci/deploy.sh", 3)
    assert document["category"] == "lint"
    assert document["signature"] != without["signature"]


def test_a_broken_one_is_a_warning_of_the_command(make_project):
    """The diagnosis goes on without it; but a plugin that does not say what it has stops the command."""
    files = {"ci/mine.py": PLUGIN.format(body="    raise KeyError('oh')"), "log": "\n".join(LOG)}
    config = 'plugins = ["ci/mine.py"]\n' + CONFIG.replace("shellcheck.log", "log")
    project = make_project(config=config, files=files)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    told = project.cicdctl("fix", "explain", "1", "--json").passes()
    assert [one["tool"] for one in json.loads(told.stdout)["diagnostics"]] == ["flake8"]
    assert 'plugin "mine": cicdctl_matchers: matcher "terraform": KeyError: \'oh\'' in told.stderr

    project.write("ci/mine.py", PLUGIN.format(body="    return []").replace('marks=("Error: ",)', "marks=()"))
    told = project.cicdctl("fix", "explain", "1").fails(3)
    assert 'plugin "mine": cicdctl_matchers: ValueError: the marks of "terraform" are ()' in told.stderr
    assert project.cicdctl("plugins", "list").fails(3)


def test_nothing_of_the_folder_is_imported(make_project):
    """A `cicdctl` or `msgspec` that a repository brings is not what the process of a matcher loads."""
    trap = "open(__file__ + '.ran', 'w')\n"
    files = {"ci/mine.py": PLUGIN.format(body=GOOD), "log": "\n".join(LOG), "msgspec.py": trap, "re.py": trap}
    project = make_project(config='plugins = ["ci/mine.py"]\n' + CONFIG.replace("shellcheck.log", "log"), files=files)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    told = project.cicdctl("fix", "explain", "1", "--json").passes()
    assert [one["tool"] for one in json.loads(told.stdout)["diagnostics"]] == ["terraform", "flake8"]
    assert list(project.path.glob("*.ran")) == []


def test_secrets_are_taken_out_of_what_it_finds(make_project):
    """In whichever field a matcher puts what it read."""
    secret = "ghp_" + "aB3dE5gH7jK9" * 3
    fields = "tool=read, kind='lint', message=read, file=read, code=read, test_id=read"
    body = "    (read,) = (line for line in lines if line.startswith('ghp_'))\n"
    body += f"    yield Diagnostic({fields}, log_span=(2, 2))"
    files = {"ci/mine.py": PLUGIN.format(body=body), "log": "\n".join([*LOG[:3], secret, LOG[-1]])}
    project = make_project(config='plugins = ["ci/mine.py"]\n' + CONFIG.replace("shellcheck.log", "log"), files=files)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    told = project.cicdctl("fix", "explain", "1", "--json").passes().stdout
    assert json.loads(told)["diagnostics"][0]["code"].startswith("[REDACTED:")
    assert secret not in told
