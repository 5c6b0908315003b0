"""Locks that a killed git has left: everything goes on, none is broken, and nobody has to tidy up after us."""

from __future__ import annotations

import os
import time

import pytest


@pytest.fixture
def packed(make_project):
    """A run whose pin git packs while it goes on, and packed-refs locked by nobody, a day ago."""
    project = make_project(unit="exit 0", late=r"""
git --git-dir="$REPO/.git" pack-refs --all && touch "$REPO/.git/packed-refs.lock"
touch -d yesterday "$REPO/.git/packed-refs.lock"
""".strip())  # fmt: skip
    text = (project.path / ".cicd.toml").read_text()
    project.write(".cicd.toml", text.replace("$REPO", str(project.path)))
    project.commit("where it is")
    return project


def pins(project) -> str:
    return project.git("for-each-ref", "refs/cicd/keep")


def test_stale_packed_refs_lock_fails_no_run(packed):
    """The run passes, the lock stays, the pin goes with the first command after it."""
    lock = packed.path / ".git/packed-refs.lock"
    done = packed.cicdctl("run", "build").passes()
    assert "packed-refs.lock' is held by another process" in done.stderr
    assert lock.exists()
    assert pins(packed) != ""

    os.utime(packed.path / ".git/packed-refs", (0, 0))  # the pin is old
    assert "packed-refs.lock" in packed.cicdctl("hook", "drain").passes().stderr
    assert "cached" in packed.cicdctl("run", "build", "--stage", "unit").passes().stdout

    lock.unlink()
    packed.cicdctl("hook", "drain").passes()
    assert pins(packed) == ""


def test_stale_lock_of_an_own_ref_is_taken_away(make_project):
    project = make_project(unit="true")
    oid = project.git("rev-parse", "HEAD")
    lock = project.write(f".git/refs/cicd/keep/{oid}.lock", "")
    os.utime(lock, (time.time() - 60,) * 2)
    project.cicdctl("run", "build", "HEAD").passes()
    assert not lock.exists() and pins(project) == ""
