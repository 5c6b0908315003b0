"""Nothing of the user's is touched, however a fix ends, and nothing of ours lies about afterwards."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Set
from pathlib import Path

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages.lint]
run = "! grep -rn BAD src"
[fixers.good]
run = "sed -i s/BAD/good/ src/app"
paths = ["src/**"]
[fixers.slow]
run = "sed -i s/BAD/good/ src/app; sleep 60"
paths = ["src/**"]
[fixers.worse]
run = "echo worse > src/app; echo BAD >> src/app"
paths = ["src/**"]
"""
# What is ours below `.git`; the rest is the user's.
OURS = ("cicdctl", "objects", "refs/cicd", "refs/heads/cicdctl")


def everything(folder: Path) -> dict[str, object]:
    """Every file of a working tree and of its `.git`: bytes, mode and where a link leads, but not what is ours."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        inside = name.removeprefix(".git/")
        if name.startswith(".git/") and any(inside == one or inside.startswith(f"{one}/") for one in OURS):
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
    return found


def homes(cache: Path) -> set[Path]:
    """The homes that commands of fixers have; that of a killed fix goes when the cache is tidied up."""
    return set(cache.glob("cicdctl/*/scratch/*"))


def remains(project, cache: Path, *, known: Set[Path] = frozenset()) -> list[str]:
    """What a fix may not leave: pins, git's worktrees, homes of commands, slots that somebody works in, locks."""
    found = [ref for ref in project.git("for-each-ref", "--format=%(refname)").split() if "refs/cicd/" in ref]
    found += [str(path) for path in (project.path / ".git/worktrees").glob("*")]
    found += [str(path) for path in homes(cache) - known]
    found += [str(path) for path in cache.glob("cicdctl/*/slots/*/record") if path.read_bytes()[:5] != b"clean"]
    found += [str(path) for path in (project.path / ".git/refs").rglob("*.lock")]
    return found


def offers(project) -> list[str]:
    return project.git("for-each-ref", "--format=%(refname:short)", "refs/heads/cicdctl").split()


def working(project) -> int:
    """The number of the attempt that a fixer is working on; 0 when none is."""
    shown = project.cicdctl("fix", "show", "1", "--json")
    record = json.loads(shown.stdout) if shown.status == 0 else {"state": ""}
    return len(record["attempts"]) if record["state"] == "applying" else 0


def test_every_ending_leaves_the_user_alone(make_project, tmp_path, wait_until):
    """47, 48: killed, cancelled, not fixed, fixed, amid staged and other changes and a stash: not a byte differs."""
    project = make_project(config=CONFIG, files={"src/app": "BAD\n", "src/b": "b\n", "run.sh": "#!\n"})
    project.write("src/b", "stashed\n")
    project.git("stash")
    project.write("src/b", "staged\n")
    project.git("add", "src/b")
    project.write("src/b", "changed again\n")
    project.write("src/app", "BAD, and being edited\n")
    project.write("new.txt", "untracked\n", mode=0o755)
    (project.path / "link").symlink_to("src/app")
    project.git("config", "user.name", "Somebody")
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    before, cache = everything(project.path), tmp_path / "cache"

    killed = project.start("fix", "1", "--fixer", "slow")
    wait_until(lambda: working(project) == 1, what="the work of the fixer")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert (everything(project.path), offers(project)) == (before, [])
    known = homes(cache)

    cancelled = project.start("fix", "1", "--fixer", "slow")
    wait_until(lambda: working(project) == 2, what="the second try")
    cancelled.terminate()
    assert cancelled.communicate() and cancelled.returncode == 5
    assert (everything(project.path), offers(project), remains(project, cache, known=known)) == (before, [], [])

    project.cicdctl("fix", "1", "--again", "--fixer", "worse").fails(1)
    assert (everything(project.path), offers(project), remains(project, cache, known=known)) == (before, [], [])

    project.cicdctl("fix", "1", "--again", "--fixer", "good").passes()
    assert (everything(project.path), offers(project)) == (before, ["cicdctl/fix/1-lint"])
    assert remains(project, cache, known=known) == []


def test_interrupted_at_the_terminal(make_project, tmp_path, wait_until):
    """Ctrl-C ends it with 130 and as cancelled, with all that it had started."""
    project = make_project(config=CONFIG, files={"src/app": "BAD\n"})
    project.cicdctl("run", "build", "HEAD", "--no-fix").fails(1)
    process = project.start("fix", "1", "--fixer", "slow")
    wait_until(lambda: working(project) == 1, what="the work of the fixer")
    process.send_signal(signal.SIGINT)
    assert process.communicate() and process.returncode == 130
    assert "cancelled" in project.cicdctl("fix", "list").passes().stdout
    assert remains(project, tmp_path / "cache") == []
