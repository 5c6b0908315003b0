"""`python -m cicdctl`: the same door as the console script."""

import os
import sys

if __name__ == "__main__":
    # `-m` puts the current folder first, and that is a repository whose files must not become our modules.
    if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - pathlib takes its time
        del sys.path[0]
    from cicdctl.entry import main

    main()
