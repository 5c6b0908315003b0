"""The commands of a stage as one shell program that stops at the first failure."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote


def shell_argv(commands: Sequence[str]) -> tuple[str, ...]:
    """Return the argument list that runs the commands in order in one `sh`, each announced as `$ command`.

    They share the shell, so `cd` and `export` last. The status of the first that fails is the status of all,
    also where `set -e` would look away, as in `false && true`.
    """
    lines = ["set -e"]
    for command in commands:
        lines += [
            f"printf '%s\\n' {quote('$ ' + command.strip())}",
            # By itself, or a here-document whose end is misspelt would swallow the commands after it, and pass.
            # The space is for bash, which would take a command that begins with "-" for an option.
            f"eval {quote(' ' + command)}",
            'cicd_status=$?; [ "$cicd_status" -eq 0 ] || exit "$cicd_status"',
        ]
    return ("sh", "-c", "\n".join(lines))
