"""Repositories built by the real git program, hermetic: no user or system configuration, fixed dates."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

GIT_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
    "TZ": "UTC",
    "LC_ALL": "C",
}


class GitFolder:
    """A working tree and the git program in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *argv: str | bytes, stdin: bytes = b"", check: bool = True, **env: str) -> bytes:
        """Run git; gives stdout. Fails the test with git's words."""
        done = subprocess.run(
            ["git", *argv], cwd=self.path, input=stdin, capture_output=True, env={**GIT_ENV, **env}, check=False
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout

    def text(self, *argv: str, **env: str) -> str:
        return self.run(*argv, **env).decode().strip()

    def write(self, name: str, content: str | bytes = "") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def commit(self, message: str = "change", date: int = 1700000000) -> str:
        self.run("add", "-A")
        when = f"{date} +0000"
        self.run("commit", "-q", "--allow-empty", "-m", message, GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)
        return self.text("rev-parse", "HEAD")


@pytest.fixture
def git_environ() -> dict[str, str]:
    return dict(GIT_ENV)


@pytest.fixture
def make_git(tmp_path: Path):
    """Make a repository below tmp_path: `make_git("name", "--bare")`."""

    def make(name: str = "repo", *options: str) -> GitFolder:
        folder = GitFolder(tmp_path / name)
        folder.path.mkdir(parents=True)
        folder.run("init", "-q", "-b", "main", *options)
        return folder

    return make


@pytest.fixture
def git_at():
    """Use a folder that is there already."""
    return GitFolder


@pytest.fixture
def run_git():
    """The git program as cicdctl is handed it."""

    def program(argv, *, cwd, env, stdin=b""):
        done = subprocess.run(argv, cwd=cwd, env=dict(env), input=stdin, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return program
