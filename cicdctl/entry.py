"""Where the program begins. Ctrl-C while it loads ends it without a word, as at any other time."""

import _signal  # type: ignore[import-not-found]  # the very first: the import of `signal` can be interrupted, too


def main() -> None:
    """Load and run the command line."""
    is_usual = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if is_usual:
        # Within some imports Python makes another error of a KeyboardInterrupt: until all is there the kernel ends us.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from cicdctl.cli import main as run

    if is_usual:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    run()
