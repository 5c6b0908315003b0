"""`python -m cicdctl`: the same door as the console script."""

import sys

if __name__ == "__main__":
    try:
        from pathlib import Path

        # `-m` puts the current folder first, and that is a repository whose files must not become our modules.
        if not sys.flags.safe_path and sys.path and sys.path[0] in ("", str(Path.cwd())):
            del sys.path[0]
        from cicdctl.entry import main
    except KeyboardInterrupt:  # as in `entry`: silent while it loads
        sys.exit(130)
    main()
