"""Stages that attack what runs them: nothing outside their own folders changes, nothing is left, other stages pass."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

DEEP = "import os, sys\nfor _ in range(3000):\n    os.mkdir('d', 0o700); os.chdir('d')\nopen('end', 'w').close()\n"


@pytest.mark.parametrize(
    "attack",
    [
        'rm -rf "$S"; ln -s "$OUTSIDE" "$S"',
        f"cd $TMPDIR && {sys.executable} deep.py",
        'mkdir -p "$TMPDIR/a/b"; chmod 000 "$TMPDIR/a" "$TMPDIR" "$HOME"',
    ],
    ids=["link", "deep", "locked"],
)
def test_scratch_folder_is_removed_whatever_became_of_it(make_project, tmp_path, attack):
    """A scratch folder that became a link, or bottomless, or locked, is gone; what it leads to is untouched."""
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True, mode=0o755)
    (outside / "inner" / "kept").write_text("kept")
    (outside / "inner").chmod(0o755)
    attack = attack.replace("deep.py", "$CI_PROJECT_DIR/deep.py")
    project = make_project(
        attack='S=$(dirname "$TMPDIR"); ' + attack.replace("$OUTSIDE", str(outside)), files={"deep.py": DEEP}
    )
    try:
        project.cicdctl("run", "build")
        assert [path.name for path in (tmp_path / "cache/cicdctl").glob("*/scratch/*")] == []
        assert (outside / "inner" / "kept").read_text() == "kept"
        assert os.stat(outside / "inner").st_mode & 0o777 == 0o755
        project.cicdctl("history").passes()
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "cache"], check=True)  # too deep for what tidies up after tests


def test_log_that_became_a_link_leads_nowhere(make_project, tmp_path):
    """A stage that puts a link in place of its log and kills its runner gets nothing written through it."""
    outside = tmp_path / "outside"
    outside.write_text("kept")
    outside.chmod(0o644)
    log = ".git/cicdctl/logs/1/attack.1.log"
    project = make_project(attack=f"cd {tmp_path}/project1; rm {log}; ln -s {outside} {log}; kill -9 $PPID; sleep 9")
    assert project.cicdctl("run", "build").status == -9
    assert "was interrupted: its runner died" in project.cicdctl("status").passes().stderr
    assert outside.read_text() == "kept" and outside.stat().st_mode & 0o777 == 0o644
    assert project.git("for-each-ref", "refs/cicd") == ""
