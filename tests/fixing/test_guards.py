"""Each trick is caught by its rule, each honest look-alike passes, and no text makes a guard slow."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping

import pytest

from cicdctl.fixing.candidate import build_candidate
from cicdctl.fixing.guards import GuardPolicy, check_guards
from cicdctl.fixing.redact import Redactor
from cicdctl.git import open_repository
from cicdctl.git.commit import change_tree, write_object
from cicdctl.model.fixing import Diagnostic, FailureBundle, GuardFinding
from tests.fixing.guard_cases import APPROVAL, BLOCKED, BODY, HONEST

FAILURE = FailureBundle(
    run=1,
    stage="unit",
    attempt=1,
    base="0" * 40,
    base_tree="0" * 40,
    diagnostics=(
        Diagnostic(tool="pytest", kind="test", message="AssertionError: assert 42 == 47 where 42 = price(21)"),
        Diagnostic(tool="pytest", kind="test", message="ZeroDivisionError: division by zero"),
    ),
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guards")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return open_repository(folder)


@pytest.fixture
def judge(repository, tmp_path) -> Callable[..., tuple[GuardFinding, ...]]:
    """Ask the guards of files before and after (None: not there); `also` are files the fixer names besides."""

    def ask(
        before: Mapping[str, str | None],
        after: Mapping[str, str | None],
        *,
        policy: GuardPolicy = GuardPolicy(),
        bundle: FailureBundle = FAILURE,
        also: tuple[str, ...] = (),
        prepare: Callable = lambda worktree: None,
    ):
        rows = {
            name.encode(): (0o100644, write_object(repository, b"blob", text.encode()))
            for name, text in {"keep": "", **before}.items()
            if text is not None
        }
        tree = change_tree(repository, None, rows)
        for name, text in after.items():
            if text is not None:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_bytes(text.encode())
        prepare(tmp_path)
        candidate = build_candidate(repository, base="0" * 40, base_tree=tree, worktree=tmp_path, paths=(*after, *also))
        return check_guards(candidate, repository, bundle=bundle, policy=policy, redactor=Redactor())

    return ask


def summed(findings) -> set[tuple[str, str]]:
    return {(one.level, one.rule) for one in findings}


@pytest.mark.parametrize(("rule", "path", "before", "after"), BLOCKED, ids=range(len(BLOCKED)))
def test_trick_is_blocked(judge, rule, path, before, after):
    """A model that does this has not repaired anything."""
    found = judge({path: before}, {path: after})
    assert ("block", rule) in summed(found)
    assert all(one.text.isprintable() and len(one.text) <= 200 for one in found)


@pytest.mark.parametrize(("rule", "path", "before", "after"), APPROVAL, ids=range(len(APPROVAL)))
def test_danger_waits_for_a_person(judge, rule, path, before, after):
    """It may be right, so it is offered; a person decides."""
    found = judge({path: before}, {path: after})
    assert ("needs_approval", rule) in summed(found)
    assert not [one for one in found if one.level == "block"]


@pytest.mark.parametrize(("path", "before", "after"), [case[1:] for case in HONEST], ids=[case[0] for case in HONEST])
def test_honest_repair_passes(judge, path, before, after):
    """Nothing is found in patches as people write them."""
    assert judge({path: before}, {path: after}) == ()


def test_kinds_of_files(judge):
    """Executable, link, binary, and what could not even be read."""

    def prepare(worktree):
        (worktree / "run.py").chmod(0o755)
        (worktree / "link.py").symlink_to("run.py")
        (worktree / "data.bin").write_bytes(b"\0\1\2")

    found = judge({"run.py": BODY}, {"run.py": BODY}, also=("link.py", "data.bin", "../../outside"), prepare=prepare)
    assert {(one.file, one.rule, one.text) for one in found} == {
        ("run.py", "file-type", "it became executable"),
        ("link.py", "file-type", "a link or a submodule"),
        ("data.bin", "file-type", "it is binary"),
        ("../../outside", "paths", "path: it has empty parts or dots"),
    }


def test_sizes(judge):
    """Eleven files, 201 lines, a large file, a large patch: each is too much; the operator may allow more."""
    many = {f"src/m{number}.py": "x = 2\n" for number in range(11)}
    assert [one.text for one in judge({}, many)] == ["11 files, 10 may be"]
    lines = {"src/app.py": "x = 3\n" * 201}
    assert [one.text for one in judge({}, lines)] == ["201 changed lines, 200 may be"]
    assert judge({}, lines, policy=GuardPolicy(max_lines=300)) == ()
    text = {"data/big.txt": ("word " * 200 + "\n") * 270}
    assert {one.text for one in judge({}, text, policy=GuardPolicy(max_lines=300))} == {
        "270270 bytes in one file, 262144 may be",
        "270742 bytes of patch, 65536 may be",
    }


ASSERTS = "import app\n\n\ndef test_a():\n    assert app.a( 1 )==1\n\n\ndef test_b():\n    assert app.b()\n"
LINT = FAILURE.__class__(
    run=1,
    stage="lint",
    attempt=1,
    base="0" * 40,
    base_tree="0" * 40,
    diagnostics=(Diagnostic(tool="ruff", kind="format", message="not formatted", file="tests/test_app.py"),),
)


def test_formatter_may_touch_tests_and_loses_none(judge):
    """A command changes a test its tool complained about; a lost test, fewer or constant asserts are blocked."""
    command = GuardPolicy(fixer="ruff", kind="command")
    name = "tests/test_app.py"
    tidy = ASSERTS.replace("( 1 )==1", "(1) == 1")
    assert judge({name: ASSERTS}, {name: tidy}, policy=command, bundle=LINT) == ()
    for after, why in (
        (ASSERTS.replace("test_b", "check_b"), "the test test_b is gone"),
        (ASSERTS.replace("    assert app.b()", "    app.b()"), "it has 1 asserts instead of 2"),
        (ASSERTS.replace("    assert app.b()", "    assert True"), "it has 1 asserts instead of 2"),
        (ASSERTS.replace("def", "de f"), "the test test_a is gone"),
    ):
        found = judge({name: ASSERTS}, {name: after}, policy=command, bundle=LINT)
        assert ("block", "test-files", why) in {(one.level, one.rule, one.text) for one in found}
    assert summed(judge({name: ASSERTS}, {name: tidy}, policy=command)) == {("block", "test-files")}


@pytest.mark.parametrize(
    ("path", "before", "gone"),
    [
        ("web/a.spec.js", "it('adds', () => {\n  expect(1).toBe(1);\n});\n", "adds"),
        ("pkg/a_test.go", "func TestAdds(t *testing.T) {\n\tt.Fatal(1)\n}\n", "TestAdds"),
        ("tests/a.rs", "#[test]\nfn adds() {\n    assert_eq!(1, 1);\n}\n", "adds"),
        ("src/test/A.java", "@Test\npublic void adds() {\n    assertEquals(1, 1);\n}\n", "adds"),
    ],
)
def test_lost_tests_of_other_languages(judge, path, before, gone):
    """A test that a command removes is missed, whatever the language, and so is its assert."""
    policy = GuardPolicy(fixer="tidy", kind="command", fixer_paths=("**",))
    texts = [
        one.text for one in judge({path: before}, {path: "// nothing\n"}, policy=policy) if one.rule == "test-files"
    ]
    assert texts == [f"the test {gone} is gone", "it has 0 asserts instead of 1"]


def test_commands_keep_to_their_paths(judge):
    """Outside its `paths` a write is blocked; inside, what people usually change waits for one, pipelines never pass."""
    policy = GuardPolicy(fixer="tidy", kind="command", fixer_paths=("src/**", "pyproject.toml", ".github/**"))
    changed = {"src/a.py": "x = 2\n", "lib/b.py": "x = 2\n", "pyproject.toml": "[a]\n", ".github/x.yml": "a: 1\n"}
    found = {one.file: (one.level, one.rule) for one in judge({}, changed, policy=policy)}
    assert found == {
        "lib/b.py": ("block", "paths"),
        "pyproject.toml": ("needs_approval", "dependencies"),
        ".github/x.yml": ("block", "pipeline"),
    }


def test_lock_fixer_always_waits(judge):
    """It writes lock files and nothing else of the kind."""
    policy = GuardPolicy(fixer="lock", kind="command")
    found = judge({"uv.lock": "a\n"}, {"uv.lock": "b\n", "pyproject.toml": "[a]\n"}, policy=policy)
    assert {one.file: one.level for one in found} == {"uv.lock": "needs_approval", "pyproject.toml": "block"}


def test_operator_opens_and_closes_paths(judge):
    """`allow_paths` opens a test file, which still may lose nothing; `protected_paths` closes a source file."""
    policy = GuardPolicy(allowed=("tests/**",), protected=("src/core/**",))
    name = "tests/test_app.py"
    assert judge({name: ASSERTS}, {name: ASSERTS.replace("==1", "==2")}, policy=policy) == ()
    assert summed(judge({name: ASSERTS}, {name: "import app\n"}, policy=policy)) >= {("block", "test-files")}
    assert summed(judge({}, {"src/core/a.py": "x = 1\n"}, policy=policy)) == {("block", "protected")}


def test_scripts_of_stages_are_protected(judge):
    """What a `run` starts judges the fix."""
    policy = GuardPolicy(scripts=("tools/check.py",))
    assert summed(judge({}, {"tools/check.py": "x = 1\n"}, policy=policy)) == {("block", "pipeline")}


def test_findings_hold_no_secret(judge):
    """A finding that quotes the patch is redacted, mentions nobody, and control characters are gone."""
    found = judge({}, {"a.sh": "curl https://bob:sw0rdf1shes@host/\x1b[31m | sh\n"})
    assert "sw0rdf1shes" not in repr(found)
    (finding,) = judge({}, {"b.py": "x = 1  # @all Fixes #1 <b> noqa\n"})
    assert finding.text == "a complaint is silenced: # (at)all Fixes no. 1 ‹b› noqa"
    assert "\x1b" not in "".join(one.text for one in found)


@pytest.mark.timeout(30)
def test_hostile_texts_are_judged_at_once(judge):
    """Blanks without end, nesting, and lines of megabytes do not keep the guards busy."""
    hostile = {
        "a.js": "f(a) {" + " " * 30_000 + "x\n" + "catch (e) {" + "\n" * 30_000,
        "b.py": "x = " + "(" * 3_000 + "\ny = 1" + "+1" * 5_000 + "\n",
        "c.py": "sys.modules " * 20_000 + "\n" + "'pytest " * 20_000 + "\n",
        "d.go": "a" * 60_000 + "(" * 60_000 + "\n",
        "e.rs": "#[cfg(test)]" * 5_000 + " " * 20_000 + "\n",
        "f.java": "public " * 10_000 + "\n" + "a <" * 10_000 + "\n",
        "g.py": ("\t" * 3_900 + "47\n") * 30 + ">>> a\n" * 500,
        "h.js": ("'a' + " * 660 + "\n") * 20 + "finally {return" * 4_000 + "\n",
    }
    assert ("block", "size") in summed(judge({}, hostile))
