"""Says what went wrong: a user's mistake in two lines, our own with a report that is ready to paste."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cicdctl.errors import CicdError, ConfigError
from cicdctl.reports.text import quoted


def explain(error: CicdError) -> None:
    """Print a problem and its hint to stderr."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            print(f"error: {quoted(problem, limit=1000)}", file=sys.stderr)
    else:
        print(f"error: {quoted(error.message, limit=1000)}", file=sys.stderr)
    for line in error.hint.splitlines():
        print(f"hint: {quoted(line, limit=1000)}", file=sys.stderr)


def bug(argv: Sequence[str]) -> None:
    """Print versions, command and traceback of the exception being handled."""
    import platform
    import traceback

    from cicdctl import __version__

    print("error: this is a bug in cicdctl, not in your repository. Please report what follows.", file=sys.stderr)
    print(f"  cicdctl {__version__}, Python {platform.python_version()}, {platform.platform()}", file=sys.stderr)
    print(f"  command: {' '.join(map(quoted, argv))}", file=sys.stderr)
    print(traceback.format_exc(), file=sys.stderr)
