"""The commands of a stage as one shell program."""

from __future__ import annotations

import subprocess

import pytest

from cicdctl.runner.script import shell_argv


def run(*commands: str) -> tuple[int, str]:
    done = subprocess.run(shell_argv(commands), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "  cat <<EOF\n  text\n  EOF\n",
        "cat <<'EOF'",
        "true \\",
        "true # \\",
        "cd /",
        "export X=1",
        "true &",
        "(true)",
        "x=1",
    ],
)
def test_no_command_hides_the_failure_of_the_next(first):
    """Whatever a command leaves open, the one after it runs, and its status counts."""
    status, output = run(first, "exit 7")
    assert (status, output.splitlines()[-1]) == (7, "$ exit 7")


@pytest.mark.parametrize(
    ("command", "status"),
    [("false", 1), ("false && true", 1), ("false; true", 1), ("if true; then", 2), ("echo 'open", 2), ("-n", 127)],
)
def test_first_failure_is_the_status_and_the_end(command, status):
    """Nothing runs after a command that fails, in any of the ways a shell knows."""
    found, output = run("true", command, "echo never")
    assert found == status and "\nnever" not in output


def test_commands_share_the_shell_and_are_announced():
    """Folder, variables and functions last from command to command."""
    status, output = run("cd /", "f() { echo $X$PWD; }\n", "X='a b'", "f")
    assert status == 0
    assert output == "$ cd /\n$ f() { echo $X$PWD; }\n$ X='a b'\n$ f\na b/\n"
