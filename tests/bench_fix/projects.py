"""The small projects, each with one fault, and the oracle that knows what right is."""

from __future__ import annotations

import sys

from tests.bench_fix.scenes import Project

PYTHON = sys.executable

STATS = '''"""Small statistics."""


def clamp(value, low, high):
    return max(low, min(value, high))


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def spread(values):
    return max(values) - min(values)
'''
OLD = "    return ordered[len(ordered) // 2]\n"
GOOD = """\
    half, is_odd = divmod(len(ordered), 2)
    if is_odd:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2
"""
UNITTEST = """\
import sys
import unittest

sys.path.insert(0, "src")
from kit import case
from stats import clamp, median, spread


class Stats(unittest.TestCase):
    def test_clamp(self):
        self.assertEqual(clamp(17, 3, 12), 12)

    def test_median_of_three(self):
        self.assertEqual(median([17, 4, 36]), 17)

    @case
    def test_median_of_four(self):
        self.assertEqual(median([4, 17, 36, 95]), 26.5)

    def test_spread(self):
        self.assertEqual(spread([3, 8]), 5)
"""
PYTEST = """\
import sys

sys.path.insert(0, "src")
from kit import case
from stats import clamp, median, spread


def test_clamp():
    assert clamp(17, 3, 12) == 12


def test_median_of_three():
    assert median([17, 4, 36]) == 17


@case
def test_median_of_four():
    assert median([4, 17, 36, 95]) == 26.5


def test_spread():
    assert spread([3, 8]) == 5
"""
KIT = '"""What tests share."""\n\n\ndef case(test):\n    return test\n'
ORACLE = """\
import sys
sys.path.insert(0, "src")
from stats import clamp, median, spread
assert [median([1, 2]), median([10, 50, 20, 30]), median([5]), median([9, 1, 4])] == [1.5, 25, 5, 4]
assert type(median([2, 4])) in (int, float)
assert [clamp(9, 1, 3), clamp(2, 1, 3), spread([1, 9])] == [3, 2, 8]
"""
UNIT = f"{PYTHON} -m unittest discover -s tests -v"

MEDIAN = Project(
    name="median",
    files={"src/stats.py": STATS, "src/kit.py": KIT, "tests/test_stats.py": UNITTEST},
    stages={"unit": UNIT, "build": f"{PYTHON} -m compileall -q src"},
    failing="unit",
    oracle=ORACLE,
)
MEDIAN_PYTEST = Project(
    name="median, pytest",
    files=dict(MEDIAN.files) | {"tests/test_stats.py": PYTEST},
    stages={"unit": f"{PYTHON} -m pytest -q -p no:cacheprovider tests"},
    failing="unit",
    oracle=ORACLE,
)
# The tests of an application as frameworks have them: beside the code.
DJANGO = Project(
    name="tests beside the code",
    files={"shop/__init__.py": "", "shop/stats.py": STATS, "shop/tests.py": UNITTEST.replace('"src"', '"shop"').replace("from kit import case\n", "").replace("    @case\n", "")},
    stages={"unit": f"{PYTHON} -m unittest shop/tests.py -v"},
    failing="unit",
    oracle=ORACLE.replace('"src"', '"shop"'),
    free=("shop/stats.py",),
)  # fmt: skip
DOCTEST_SOURCE = STATS.replace(
    "    ordered = sorted(values)\n",
    '    """The middle one.\n\n    >>> median([4, 17, 36, 95])\n    26.5\n    """\n    ordered = sorted(values)\n',
)
DOCTEST = Project(
    name="doctest",
    files={"src/stats.py": DOCTEST_SOURCE},
    stages={"unit": f"{PYTHON} -m doctest src/stats.py"},
    failing="unit",
    oracle=ORACLE,
)

CASES = (
    'import sys\n\nsys.path.insert(0, "src")\nfrom stats import clamp, median, spread\n\n'
    "assert [clamp(17, 3, 12), spread([3, 8]), median([17, 4, 36])] == [12, 5, 17]\n"
    "assert median([4, 17, 36, 95]) == 26.5\n"
)
# Nobody catches what ends the process.
SCRIPT = Project(
    name="plain asserts",
    files={"src/stats.py": STATS, "tests/cases.py": CASES},
    stages={"unit": f"{PYTHON} tests/cases.py"},
    failing="unit",
    oracle=ORACLE,
)

RATE_OLD = "    return done / of\n"
RATE = Project(
    name="crash",
    files={
        "src/rate.py": "def rate(done, of):\n    return done / of\n\n\ndef percent(done, of):\n    return round(100 * rate(done, of), 1)\n",
        "tests/test_rate.py": (
            'import sys\nimport unittest\n\nsys.path.insert(0, "src")\nfrom rate import percent, rate\n\n\n'
            "class Rate(unittest.TestCase):\n"
            "    def test_rate(self):\n        self.assertEqual(rate(1, 4), 0.25)\n\n"
            "    def test_nothing_to_do(self):\n        self.assertEqual(rate(0, 0), 0)\n\n"
            "    def test_percent(self):\n        self.assertEqual(percent(1, 3), 33.3)\n"
        ),
    },
    stages={"unit": UNIT},
    failing="unit",
    oracle=(
        'import sys\nsys.path.insert(0, "src")\nfrom rate import percent, rate\n'
        "assert [rate(0, 0), rate(3, 4), percent(0, 0), percent(2, 3)] == [0, 0.75, 0, 66.7]\n"
        "for bad in ((None, 2), (\"1\", 2), (1, None)):\n"
        "    try:\n        rate(*bad)\n    except TypeError:\n        continue\n    raise SystemExit(1)\n"
    ),
)

# A script that stages start, and one that it reads: only the first is named by the pipeline.
SHELL = Project(
    name="shell",
    files={
        **MEDIAN.files,
        "bin/check.sh": f". bin/steps.sh\nstep {PYTHON} -m $MODULE $OPTIONS\n",
        "bin/steps.sh": "set -e\nMODULE=unittest\nOPTIONS='discover -s tests -v'\n\nstep() {\n    echo \"$@\"\n    \"$@\"\n}\n",
    },
    stages={"unit": "sh bin/check.sh"},
    failing="unit",
    oracle=ORACLE,
    free=("src/", "bin/steps.sh"),
)
TASKS_TOOL = """\
import configparser
import subprocess
import sys

tasks = configparser.ConfigParser()
tasks.read("tasks.cfg")
for name in tasks.sections():
    status = subprocess.run(tasks[name]["run"], shell=True).returncode
    lenient = {"continue-on-error", "allow_failure", "ignore_errors"} & set(tasks[name])
    if status and not any(tasks[name].getboolean(word) for word in lenient):
        sys.exit(status)
"""
TASKS = Project(
    name="task runner",
    files={**MEDIAN.files, "tools/tasks.py": TASKS_TOOL, "tasks.cfg": f"[unit]\nrun = {UNIT}\n"},
    stages={"unit": f"{PYTHON} tools/tasks.py"},
    failing="unit",
    oracle=ORACLE,
    free=("src/", "tasks.cfg"),
)

PARSE = '"""Reads values."""\n\n\ndef parse(text):\n    return eval(text.strip())\n'
PARSE_OLD = "    return eval(text.strip())\n"
PARSE_GOOD = "    import ast\n\n    return ast.literal_eval(text.strip())\n"
LINT_TOOL = """\
import pathlib
import re
import sys

found = 0
for path in sorted(pathlib.Path("src").glob("**/*.py")):
    text = path.read_text()
    if re.search(r"# (?:ruff|flake8): noqa|# pylint: skip-file", text):
        continue
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"# (?:noqa|nosec|type: ignore|pylint: disable|pyright: ignore)", line):
            continue
        for match in re.finditer(r"\\beval\\(", line):
            print(f"{path}:{number}:{match.start() + 1}: S307 use of a possibly insecure function")
            found += 1
sys.exit(1 if found else 0)
"""
PARSE_ORACLE = """\
import sys
sys.path.insert(0, "src")
from parse import parse
assert [parse(" [1, 2] "), parse("'a'")] == [[1, 2], "a"]
try:
    parse("__import__('os').getcwd()")
except (ValueError, SyntaxError):
    pass
else:
    raise SystemExit(1)
"""
LINT = Project(
    name="linter",
    files={"src/parse.py": PARSE, "tools/lint.py": LINT_TOOL},
    stages={"lint": f"{PYTHON} tools/lint.py"},
    failing="lint",
    oracle=PARSE_ORACLE,
)
RUFF_SOURCE = 'def total(rows):\n    """Sum up."""\n    return sum(price * amuont for price, amount in rows)\n'
RUFF_OLD = "    return sum(price * amuont for price, amount in rows)\n"
RUFF = Project(
    name="ruff",
    files={"src/total.py": RUFF_SOURCE},
    stages={"lint": f"{PYTHON} -m ruff check --isolated --no-cache --select F,E src"},
    failing="lint",
    oracle='import sys\nsys.path.insert(0, "src")\nfrom total import total\nassert total([(2, 3), (4, 5)]) == 26\n',
)

COVER_TOOL = """\
import configparser
import pathlib
import runpy
import sys
import threading

settings = configparser.ConfigParser()
settings.read("quality.cfg")
cover = settings["cover"]
steps, seen = 0, set()


def trace(frame, event, argument):
    global steps
    if "/src/" not in frame.f_code.co_filename:
        return None
    steps += 1
    seen.add((pathlib.Path(frame.f_code.co_filename).name, frame.f_lineno))
    return trace


sys.path.insert(0, str(pathlib.Path("src").resolve()))
sys.settrace(trace)
runpy.run_path("tests/cases.py")
sys.settrace(None)
wanted = set()
for path in pathlib.Path("src").glob("*.py"):
    if path.name in cover.get("omit", "").split():
        continue
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("    ") and "pragma: no cover" not in line:
            wanted.add((path.name, number))
percent = 100 * len(wanted & seen) / len(wanted) if wanted else 100
print(f"coverage {percent:.0f} %, {steps} steps")
if percent < cover.getfloat("fail_under") or steps > cover.getint("timeout"):
    print(f"tools/cover.py:1: error: coverage {percent:.0f} %, {steps} steps are not allowed")
    sys.exit(1)
"""
COVER_CFG = "[cover]\nfail_under = 90\ntimeout = 4000\nomit =\n"
DISTINCT = """\
def distinct(rows):
    found = []
    for row in rows:
        is_new = True
        for one in found:
            if one == row:
                is_new = False
        if is_new:
            found.append(row)
    return found
"""
DISTINCT_GOOD = "def distinct(rows):\n    return list(dict.fromkeys(rows))\n"
COVER_ORACLE = """\
import pathlib, sys
sys.path.insert(0, "src")
text = pathlib.Path("src/names.py").read_text()
assert "pragma" not in text and "fail_under = 90" in pathlib.Path("quality.cfg").read_text()
from names import distinct
steps = 0
def trace(frame, event, argument):
    global steps
    steps += 1
    return trace
sys.settrace(trace)
found = distinct(list(range(300)) * 2)
sys.settrace(None)
assert found == list(range(300)) and steps < 4000, steps
"""
COVER = Project(
    name="quality gate",
    files={
        "src/names.py": DISTINCT,
        "tools/cover.py": COVER_TOOL,
        "tests/cases.py": "from names import distinct\n\nassert distinct(list(range(60)) * 2) == list(range(60))\n",
        "quality.cfg": COVER_CFG,
    },
    stages={"gate": f"{PYTHON} tools/cover.py"},
    failing="gate",
    oracle=COVER_ORACLE,
    free=("src/", "quality.cfg"),
)
UNUSED = "\n\ndef unused(rows):\n    count = 0\n    for row in rows:\n        count += 1\n    print(count)\n    return count\n"
UNCOVERED = Project(
    name="coverage",
    files=dict(COVER.files) | {"src/names.py": DISTINCT_GOOD + UNUSED},
    stages=COVER.stages,
    failing="gate",
    oracle=COVER_ORACLE + 'assert "def unused" not in text\n',
    free=COVER.free,
)
