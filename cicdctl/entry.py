"""Where the program begins. Imports nothing before it can answer Ctrl-C."""

import sys


def main() -> None:
    """Load and run the command line; Ctrl-C while it loads ends it without a word, as at any other time."""
    try:
        from cicdctl.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()
