"""Notes as git reads and writes them, from many processes at once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

from cicdctl.errors import GitError
from cicdctl.git.notes import FLAT_NOTES, append_note, note_refs, read_note
from cicdctl.git.repository import open_repository

REF = "refs/notes/cicdctl"


@pytest.fixture
def folder(make_git):
    return make_git()


def test_git_reads_what_we_write(folder):
    """Lines are appended, each once, and git shows them."""
    commit = folder.commit()
    with open_repository(folder.path) as repository:
        assert read_note(repository, REF, commit) is None
        assert append_note(repository, REF, commit, "one")
        assert append_note(repository, REF, commit, "two \udc80")
        assert not append_note(repository, REF, commit, "one")
        assert read_note(repository, REF, commit) == b"one\ntwo \x80\n"
    assert folder.run("notes", "--ref", "cicdctl", "show", commit) == b"one\ntwo \x80\n"
    assert folder.text("rev-list", "--count", REF) == "2"
    folder.run("fsck", "--strict")


def test_we_read_and_extend_what_git_writes(folder):
    """Also in folders by the first digits, as git keeps many notes; the place of a note stays what it is."""
    person = "A <a@b> 1700000000 +0000"
    stream = "blob\nmark :1\ndata 5\ngit's\n"
    stream += "".join(
        f"commit refs/heads/main\nmark :{number}\ncommitter {person}\ndata 1\nx\n" for number in range(2, 602)
    )
    notes = "".join(f"N :1 :{number}\n" for number in range(2, 602))
    stream += f"commit {REF}\ncommitter {person}\ndata 1\nx\n{notes}"
    folder.run("fast-import", "--quiet", stdin=stream.encode())
    commits = folder.text("rev-list", "--max-count", "2", "main").splitlines() + [folder.commit()]
    assert "/" in folder.text("ls-tree", "-r", "--name-only", REF)
    with open_repository(folder.path) as repository:
        assert read_note(repository, REF, commits[0]) == b"git's"
        for commit in commits:
            append_note(repository, REF, commit, "ours")
    shown = [folder.run("notes", "--ref", "cicdctl", "show", commit) for commit in commits]
    assert shown == [b"git's\nours\n", b"git's\nours\n", b"ours\n"]
    assert len(folder.text("ls-tree", "-r", "--name-only", REF).splitlines()) == 601


def test_many_notes_go_into_folders(folder):
    """A tree of thousands is not written anew for each note."""
    commit = folder.commit()
    blob = folder.run("hash-object", "-w", "--stdin", stdin=b"x\n").decode().strip()
    ids = [hashlib.sha1(str(number).encode()).hexdigest() for number in range(FLAT_NOTES)]
    tree = folder.run("mktree", stdin="".join(f"100644 blob {blob}\t{oid}\n" for oid in ids).encode()).decode().strip()
    folder.run("update-ref", REF, folder.text("commit-tree", "-m", "x", tree))
    with open_repository(folder.path) as repository:
        append_note(repository, REF, commit, "mine")
        assert all(read_note(repository, REF, oid) == b"x\n" for oid in ids)
    assert folder.run("notes", "--ref", "cicdctl", "show", commit) == b"mine\n"
    assert f"{commit[:2]}/{commit[2:]}" in folder.text("ls-tree", "-r", "--name-only", REF).splitlines()


WRITER = """
import sys
from pathlib import Path
from cicdctl.git.notes import append_note
from cicdctl.git.repository import open_repository
with open_repository(Path(sys.argv[1])) as repository:
    for number in range(15):
        append_note(repository, "refs/notes/cicdctl", sys.argv[2], f"{sys.argv[3]} {number}")
"""


def test_no_line_is_lost_between_processes(folder):
    """Compare and swap: four writers, every line there once."""
    commit = folder.commit()
    argv = [sys.executable, "-c", WRITER, str(folder.path), commit]
    writers = [subprocess.Popen([*argv, str(name)], env=dict(os.environ)) for name in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    lines = folder.text("notes", "--ref", "cicdctl", "show", commit).splitlines()
    assert sorted(lines) == sorted(f"{name} {number}" for name in range(4) for number in range(15))


def test_refs_of_notes_from_elsewhere(folder):
    commit = folder.commit()
    folder.run("notes", "--ref", "cicdctl", "add", "-m", "x", commit)
    for name in ("refs/notes/origin/cicdctl", "refs/notes/remotes/up/cicdctl", "refs/notes/other"):
        folder.run("update-ref", name, REF)
    with open_repository(folder.path) as repository:
        assert note_refs(repository, "cicdctl") == (REF, "refs/notes/origin/cicdctl", "refs/notes/remotes/up/cicdctl")


def test_hostile_notes_are_errors(folder):
    """A ref that is no commit, a folder in the place of a note: an error in words or nothing, never a crash."""
    commit = folder.commit()
    folder.run("update-ref", REF, folder.text("hash-object", "-w", "--stdin"))
    with open_repository(folder.path) as repository:
        with pytest.raises(GitError):
            read_note(repository, REF, commit)
        with pytest.raises(GitError):
            append_note(repository, REF, commit, "x")
        with pytest.raises(ValueError):
            append_note(repository, "refs/heads/main", commit, "x")
