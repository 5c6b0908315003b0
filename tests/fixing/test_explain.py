"""`cicdctl fix explain`: useful without a key, for any stage that failed, and it gives no secret away."""

from __future__ import annotations

import json

import pytest

PRICING = "def average(prices):\n    return sum(prices) / len(prices)\n"
TESTS = """\
import sys, unittest
sys.path.insert(0, 'src')
from pricing import average


class Average(unittest.TestCase):
    def test_two(self):
        self.assertEqual(average([2, 4]), 3)
"""
NOTHING = """
    def test_nothing(self):
        print('postgres://shop:Tr0ub4dor@db')
        self.assertEqual(average([]), 0)
"""
CONFIG = """
[fix]
mode = "off"
[pipelines.build.stages.unit]
run = ["echo $PASSWORD of run", "python3 -m unittest discover -s tests"]
secrets = ["PASSWORD"]
[pipelines.build.stages.lint]
run = "lost-linter src"
needs = []
allow_failure = true
"""


@pytest.fixture
def broken(make_project):
    """Green in run 1; in run 2 a test divides by zero."""
    project = make_project(config=CONFIG, files={"src/pricing.py": PRICING, "tests/test_pricing.py": TESTS})
    project.env |= {"PASSWORD": "correct horse battery", "CICDCTL_NO_AI": "1"}
    project.cicdctl("run", "build", "HEAD").passes()
    project.write("tests/test_pricing.py", TESTS + NOTHING)
    project.write("notes.txt", "not to blame\n")
    project.commit("test nothing")
    project.cicdctl("run", "build", "HEAD").fails(1)
    return project


def test_why_a_test_failed(broken):
    """Diagnosis first, then places with their code, what has changed, and of the log what matters."""
    said = broken.cicdctl("fix", "explain").passes().stdout
    lines = said.splitlines()
    assert lines[0].startswith("unit of run #2 on ")
    assert lines[1:4] == [
        "  code: the code is wrong, or a test of it",
        "  src/pricing.py:2: ZeroDivisionError: division by zero",
        "  tests   1 failed, 1 passed",
    ]
    assert "    test test_pricing.Average.test_nothing" in lines
    assert "    src/pricing.py:2 in average" in lines
    assert "  > 2      return sum(prices) / len(prices)" in lines
    changed = lines.index("Changed since it passed in #1")
    assert lines[changed + 1 : changed + 3] == ["  > tests/test_pricing.py", "    notes.txt"]
    assert "  ZeroDivisionError: division by zero" in lines
    assert "Hidden is 1 value: 1 userinfo." in lines
    assert "Tr0ub4dor" not in said
    assert "battery" not in said


def test_as_json(broken):
    """One document with the number of its schema, every field present."""
    bundle = json.loads(broken.cicdctl("fix", "explain", "2/unit", "--json").passes().stdout)
    assert (bundle["version"], bundle["kind"], bundle["schema"], bundle["run"]) == (1, "failure", 1, 2)
    assert bundle["category"] == "code"
    assert bundle["green_run"] == 1
    assert bundle["changed_since_green"] == ["notes.txt", "tests/test_pricing.py"]
    assert bundle["inventory"]["counts"] == {"executed": 2, "passed": 1, "failed": 1, "skipped": 0}
    assert bundle["redactions"] == {"userinfo": 1}
    assert bundle["command"][1] == "python3 -m unittest discover -s tests"
    assert len(bundle["signature"]) == 64
    assert "Tr0ub4dor" not in json.dumps(bundle)


def test_a_failure_that_is_allowed(broken):
    """It can be looked into all the same."""
    said = broken.cicdctl("fix", "explain", "1/lint").passes().stdout
    assert "  config: something the stage needs is not there\n  lost-linter: command not found\n" in said
    assert "It has not passed before, so there is nothing to compare with." in said


def test_nothing_to_explain(broken):
    """The error says what is wrong and what there is."""
    for which, status, message in (
        ("9", 3, "error: there is no run #9\nhint: cicdctl history lists them"),
        ("1/unit", 2, 'error: stage "unit" of run #1 did not fail: it is passed'),
        ("2/unix", 2, 'error: run #2 has no stage "unix", did you mean "unit"?'),
        ("green", 2, 'error: "green" is no run: it is a number, or number/stage'),
    ):
        assert message in broken.cicdctl("fix", "explain", which).fails(status).stderr


def test_a_run_that_passed(make_project):
    """There is nothing to look into."""
    project = make_project(unit="true")
    project.cicdctl("run", "build", "HEAD").passes()
    assert "error: no run has failed" in project.cicdctl("fix", "explain").fails(2).stderr
    assert "error: no stage of run #1 failed: it is passed" in project.cicdctl("fix", "explain", "1").fails(2).stderr


def test_secrets_that_cannot_be_read(broken):
    """Without them nobody knows what to hide, so nothing is shown."""
    secrets = broken.path / ".git" / "cicdctl" / "secrets.toml"
    secrets.write_text('A = "b"\n')
    secrets.chmod(0o644)
    done = broken.cicdctl("fix", "explain", "2/unit").fails(3)
    assert "the secrets to hide cannot be read" in done.stderr
    assert done.stdout == ""


def test_a_log_that_is_gone(broken):
    """What the run remembers is still told."""
    for log in (broken.path / ".git" / "cicdctl").rglob("*.log"):
        log.unlink()
    said = broken.cicdctl("fix", "explain", "2/unit").passes().stdout
    assert "No complaint of a tool we know stands in the log." in said
