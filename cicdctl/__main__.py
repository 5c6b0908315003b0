"""`python -m cicdctl`: the same door as the console script."""

from cicdctl.cli import main

if __name__ == "__main__":
    main()
