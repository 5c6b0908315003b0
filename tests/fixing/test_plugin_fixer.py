"""The fixer of docs/self-healing.md, as it stands there, repairs a real failure."""

from __future__ import annotations

import json
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "self-healing.md"
CHECK = """
for file in src/*.py; do
    if test -n "$(tail -c 1 "$file")"; then
        echo "$file:1:1: W292 no newline at end of file"
        failed=1
    fi
done
exit ${failed:-0}
"""
CONFIG = """
plugins = ["ci/newlines.py"]
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.lint]
run = "sh check.sh"
"""


def test_fixer_of_the_page(make_project):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    files = {"ci/newlines.py": example, "check.sh": CHECK, "src/a.py": "a = 1", "src/b.py": "b = 2\n"}
    project = make_project(config=CONFIG, files=files)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    document = json.loads(project.cicdctl("fix", "1", "--json").passes().stdout)
    assert (document["outcome"], document["fixer"]) == ("fixed", "newlines")
    assert project.git("diff", "--stat", "HEAD", "cicdctl/fix/1-lint").splitlines()[0].strip() == "src/a.py | 2 +-"


def test_fixer_that_raises_is_passed_over(make_project):
    """What a plugin does wrong costs its own attempt, and is told."""
    broken = (
        "from cicdctl.plugin_api import Applicability, FixerKind, hookimpl\n\n\nclass Bad:\n"
        "    name, kind, version, priority = 'bad', 'command', '1', 1\n\n"
        "    def can_fix(self, bundle):\n        return Applicability(answer='yes')\n\n"
        "    def fix(self, request):\n        raise RuntimeError('oh no')\n\n\n"
        "@hookimpl\ndef cicdctl_fixers():\n    return [FixerKind(name='bad', open=lambda options: Bad())]\n"
    )
    files = {"ci/newlines.py": broken, "check.sh": CHECK, "src/a.py": "a = 1"}
    end = "[fixers.newline]\nrun = \"test -z \\\"$(tail -c 1 src/a.py)\\\" || echo >> src/a.py\"\npaths = ['src/**']\n"
    project = make_project(config=CONFIG + end, files=files)
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    told = project.cicdctl("fix", "1").passes()
    assert "fixer bad failed: RuntimeError('oh no')" in told.stderr
    assert "fix ready" in told.stdout


def test_texts_of_a_fixer_hold_no_secret(make_project):
    """Whatever it says of its change goes into a commit and the journal: a secret does not, in colours or not."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    token = f"ghp_{'a1B2c3D4e5F6' * 3}"
    said = f"it ends with ghp_\\x1b[31m{token[4:]} now, {token}"
    talking = example.replace("end files with a newline", said)
    assert said in talking
    project = make_project(config=CONFIG, files={"ci/newlines.py": talking, "check.sh": CHECK, "src/a.py": "a = 1"})
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    document = project.cicdctl("fix", "1", "--json").passes().stdout
    message = project.git("log", "-1", "--format=%B", "cicdctl/fix/1-lint")
    for text in (document, message):
        assert "it ends with" in text
        assert token[4:] not in text


def test_command_that_changes_its_mind_is_no_fix(make_project):
    """Run twice it has to come to the same."""
    config = CONFIG.replace('plugins = ["ci/newlines.py"]\n', "")
    config += "[fixers.newline]\nrun = \"echo >> src/a.py\"\npaths = ['src/**']\n"
    project = make_project(config=config, files={"check.sh": CHECK, "src/a.py": "a = 1"})
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    told = project.cicdctl("fix", "1").fails(1)
    assert "run again it changes its own result" in told.stdout + told.stderr


def test_write_outside_its_paths_is_refused(make_project):
    """A command may write only what its section says."""
    config = CONFIG.replace('plugins = ["ci/newlines.py"]\n', "")
    config += "[fixers.newline]\nrun = \"printf 'a = 1\\\\n' > src/a.py; printf 'exit 0' > check.sh\"\npaths = ['src/**']\n"
    project = make_project(config=config, files={"check.sh": CHECK, "src/a.py": "a = 1"})
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    told = project.cicdctl("fix", "1").fails(1)
    assert "outside the paths of newline" in told.stdout + told.stderr
    assert project.git("branch", "--list", "cicdctl/*") == ""
