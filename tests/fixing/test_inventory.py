"""Which tests ran before and after: fewer, or only recorded and not executed, is no repair."""

from __future__ import annotations

import json

import pytest

from cicdctl.fixing.inventory import (
    compare_inventories,
    executed_ids,
    inventory_of,
    merge_inventories,
    plain_id,
)
from cicdctl.fixing.removed_tests import find_removed_tests
from cicdctl.git import open_repository
from cicdctl.model.fixing import Suite, TestInventory


def ran(passed: str = "", skipped: str = "", failed: str = "", **more) -> TestInventory:
    """An inventory of one suite, ids written with blanks between."""
    good, bad, not_run = (frozenset(text.split()) for text in (passed, failed, skipped))
    suite = Suite(executed=good | bad, passed=good, failed=bad, skipped=not_run)
    counts = {"executed": len(good | bad), "passed": len(good), "failed": len(bad), "skipped": len(not_run)}
    return TestInventory(source="junit", suites={"r.xml": suite}, counts=counts, **more)


def counted(executed: int, passed: int, skipped: int = 0) -> TestInventory:
    counts = {"executed": executed, "passed": passed, "failed": executed - passed, "skipped": skipped}
    return TestInventory(source="text", counts=counts)


NOTHING = TestInventory()


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        (ran("a b"), ran("a b"), "ok", ""),
        (ran("a b"), ran("a b c"), "ok", ""),
        (ran("a", failed="b"), ran("a b"), "ok", ""),
        (ran("a b"), ran("a"), "shrunk", "1 test did not run, such as b"),
        (ran("a b c"), ran("a", "b c"), "shrunk", "2 tests did not run, such as b"),
        (ran("a b"), ran("", "a b"), "shrunk", "no test was executed"),
        (ran("a b"), ran("a", failed="b"), "shrunk", "1 test did not pass, such as b"),
        (ran("a"), ran("a", "new"), "shrunk", "1 tests skipped instead of 0"),
        (ran("t[1-2] t[3-4]"), ran("t[one] t[two]"), "ok", ""),
        (ran("t[1] t[2]"), ran("t[1]"), "shrunk", "t did run 1 times instead of 2"),
        (ran("a", coverage=80.0), ran("a", coverage=79.95), "ok", ""),
        (ran("a", coverage=80.0), ran("a", coverage=79.0), "shrunk", "coverage is 79.0 % instead of 80.0 %"),
        (ran("a", coverage=80.0), ran("a"), "shrunk", "coverage is not reported any more"),
        (counted(5, 5), counted(5, 5), "ok", ""),
        (counted(5, 5), counted(4, 4), "shrunk", "4 tests executed instead of 5"),
        (counted(5, 5), counted(5, 4), "shrunk", "4 tests passed instead of 5"),
        (counted(5, 5), counted(5, 5, 1), "shrunk", "1 tests skipped instead of 0"),
        (counted(5, 5), counted(0, 0, 5), "shrunk", "no test was executed"),
        (ran("a b"), counted(2, 2), "ok", ""),
        (ran("a b"), NOTHING, "shrunk", "the tests are not reported any more"),
        (NOTHING, ran("a"), "unknown", "no run before reports its tests"),
        (NOTHING, NOTHING, "unknown", "no stage reports its tests"),
    ],
)
def test_comparison(before, after, verdict, reason):
    """Executed ids count, without parameters but as often as before."""
    assert compare_inventories(before, after) == (verdict, reason)


def test_second_invocation_that_runs_nothing_is_missed():
    """The same ids in two reports count twice, whatever the reports are called."""
    twice = TestInventory(
        source="junit",
        suites={"py311.xml": Suite(executed=frozenset("a"), passed=frozenset("a")), "py313.xml": Suite(executed=frozenset("a"), passed=frozenset("a"))},
        counts={"executed": 2, "passed": 2},
    )  # fmt: skip
    assert compare_inventories(twice, ran("a")) == ("shrunk", "a did run 1 times instead of 2")
    assert compare_inventories(twice, merge_inventories([ran("a"), ran("a")])) == ("ok", "")


def test_what_a_person_removed_is_not_missed():
    """Fewer parameters and more skips at the base, and tests deleted since, are the person's doing; the rest is not."""
    before = ran("keep gone t[1] t[2] t[3]")
    base = ran("t[1] t[2]", "later", failed="keep")
    after = ran("keep t[1] t[2]", "later")
    assert compare_inventories(before, after, base=base, removed=frozenset(["gone"])) == ("ok", "")
    assert compare_inventories(before, after, base=base)[0] == "shrunk"
    less = ran("keep t[1]", "later")
    assert compare_inventories(before, less, base=base, removed=frozenset(["gone"]))[0] == "shrunk"


def test_ids_without_parameters():
    """Also those cut in the middle of them; other brackets stay."""
    assert [plain_id(one) for one in ("t[1]", "t[a[0]]", "t[aaa", "adds [1, 2] to it", "t")] == [
        "t", "t", "t", "adds [1, 2] to it", "t",
    ]  # fmt: skip


def test_merged_stages():
    """Ids only where every stage that counts has them; the worst coverage; nothing known is nothing."""
    assert merge_inventories([NOTHING, NOTHING]) == NOTHING
    both = merge_inventories([ran("a", coverage=90.0), NOTHING, ran("a b", coverage=70.0)])
    assert (both.source, both.counts["executed"], both.coverage) == ("junit", 3, 70.0)
    assert executed_ids(both) == {"a", "b"}
    assert merge_inventories([ran("a"), counted(3, 3)]).source == "text"
    assert merge_inventories([ran("a"), counted(3, 3)]).counts["executed"] == 4


JUNIT = (
    "<testsuite>{}</testsuite>".format(
        '<testcase classname="tests.test_a" name="test_one[1]"/><testcase classname="tests.test_a" name="test_two">'
        '<failure message="no"/></testcase><testcase classname="tests.test_a" name="test_three"><skipped/></testcase>'
    )
)  # fmt: skip


def test_ids_are_kept_with_the_result_and_with_a_cached_one(make_project):
    """A run stores which tests its reports name, a cached result has them too, and gc keeps them as long as it."""
    from cicdctl.project import Invocation, open_project

    config = """
[pipelines.build.stages.unit]
run = "cp report.xml out.xml && cp report.xml second.xml"
reports = { junit = ["out.xml", "second.xml"] }
"""
    project = make_project(config=config, files={"report.xml": JUNIT})
    for expected in ("passed", "cached"):
        run = json.loads(project.cicdctl("run", "build", "HEAD", "--json").passes().stdout)["run"]["number"]
        if expected == "cached":
            project.cicdctl("cache", "gc").passes()
        with open_project(Invocation(directory=project.path, environ=project.env)) as opened:
            summary = opened.state.load(run)
            inventory = inventory_of(opened, summary.stages[0])
        assert summary.stages[0].cached is (expected == "cached")
        assert sorted(inventory.suites) == ["out.xml", "second.xml"]
        assert inventory.suites["out.xml"] == Suite(
            executed=frozenset(["tests.test_a.test_one[1]", "tests.test_a.test_two"]),
            passed=frozenset(["tests.test_a.test_one[1]"]),
            failed=frozenset(["tests.test_a.test_two"]),
            skipped=frozenset(["tests.test_a.test_three"]),
        )
        assert inventory.counts == {"executed": 4, "passed": 2, "failed": 2, "skipped": 2}


GREEN = "<testsuite>" + "".join(f'<testcase classname="a" name="t{n}[{n}]"/>' for n in range(5)) + "</testsuite>"
UNTAB = "sed -i 's/\\t/    /g' src/app.py"
COUNTING = """
[pipelines.build.stages.lint]
run = "! grep -rnP '\\\\t' --include=*.py src"
[pipelines.build.stages.unit]
run = "mkdir -p out; cp src/one.xml out/; cp src/two.xml out/ || true"
reports = { junit = ["out/*.xml"] }
needs = []
"""
# What a fixer does beside its repair, and what is said of it.
SPOILED = {
    "41": (f"printf '%s' '{GREEN.replace('/>', '><skipped/></testcase>')}' | tee src/one.xml > src/two.xml", "no test was executed"),
    "42": ("rm src/two.xml", "a.t0 did run 1 times instead of 2"),
    "43": (f"printf '%s' '{GREEN.replace('[', '[n')}' > src/one.xml", ""),
}  # fmt: skip


def repair(project) -> str:
    # What would be cancelled when the other stage fails would have counted only a part of its tests.
    done = project.cicdctl("run", "build", "HEAD", "--keep-going").fails(1)
    return done.stdout + done.stderr


@pytest.mark.parametrize("case", SPOILED)
def test_inventory_of_a_fix(broken, case):
    """41, 42, 43: what is recorded and not executed counts nothing, each call counts, parameters have no say."""
    spoil, lost = SPOILED[case]
    fixer = f"[fixers.untab]\nrun = {json.dumps(f'{UNTAB}; {spoil}')}\nstages = ['lint']\npaths = ['src/**']\n"
    files = {"src/app.py": "def double(n):\n\treturn 2 * n\n", "src/one.xml": GREEN, "src/two.xml": GREEN}
    project = broken(config=COUNTING, fixer=fixer, files=files)
    told = repair(project)
    if lost:
        assert f"inventory: {lost}" in told
        assert project.git("branch", "--list", "cicdctl/*") == ""
    else:
        assert "same 10 tests" in told, told


@pytest.mark.parametrize(("after", "lost"), [("5 passed in 0.01s\n", "5 tests executed instead of 9"), (None, "")])
def test_tests_that_only_logs_tell_of(broken, after, lost):
    """42: without reports what two calls of pytest say is added up; it speaks against a fix and never for one."""
    spoil = f"; printf '{after}' > src/summaries.txt" if after else ""
    fixer = f"[fixers.untab]\nrun = {json.dumps(UNTAB + spoil)}\nstages = ['lint']\npaths = ['src/**']\n"
    config = COUNTING.partition("[pipelines.build.stages.unit]")[0]
    config += "[pipelines.build.stages.unit]\nneeds = []\nrun = 'cat src/summaries.txt'\n"
    said = "==== 5 passed in 0.01s ====\n==== 4 passed, 1 skipped in 0.01s ====\n"
    files = {"src/app.py": "def double(n):\n\treturn 2 * n\n", "src/summaries.txt": said}
    project = broken(config=config, fixer=fixer, files=files)
    told = repair(project)
    if lost:
        assert f"inventory: {lost}" in told
        assert project.git("branch", "--list", "cicdctl/*") == ""
        return
    assert "9 tests by what the logs say" in told, told
    verification = json.loads(project.cicdctl("fix", "show", "1", "--json").passes().stdout)["verification"]
    assert (verification["integrity"], verification["after"]["counts"]["executed"]) == ("unknown", 9)


def test_removed_tests_are_found_in_the_files(make_project):
    """A test is removed when its file, which its id names, had it and has it no more; moved ones elsewhere do not count."""
    files = {
        "tests/test_a.py": "def test_gone(): pass\ndef test_stays(): pass\ndef test_gone_too(): pass\n",
        "tests/test_b.py": "def test_gone(): pass\n",
        "web/a.spec.js": "it('adds two', f); it('adds', f);\n",
    }
    project = make_project(unit="true", files=files)
    before = project.git("rev-parse", "HEAD^{tree}")
    project.write("tests/test_a.py", "def test_stays(): assert True\n")
    project.write("web/a.spec.js", "it('adds', f);\n")
    project.commit("fewer tests")
    after = project.git("rev-parse", "HEAD^{tree}")
    ids = (
        "tests.test_a.test_gone", "tests.test_a.test_gone_too", "tests.test_a.test_stays", "tests.test_b.test_gone",
        "web/a.spec.js.adds two", "web/a.spec.js.adds", "nowhere",
    )  # fmt: skip
    repository = open_repository(project.path)
    assert find_removed_tests(repository, before, after, ids) == {
        "tests.test_a.test_gone",
        "tests.test_a.test_gone_too",
        "web/a.spec.js.adds two",
    }
    assert find_removed_tests(repository, before, before, ids) == frozenset()
