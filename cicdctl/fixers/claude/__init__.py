"""The fixer that asks Claude: a loop of our own over the Messages API, with a few named tools and no shell.

The client library takes seconds to load, so nothing here imports it before a failure is really worked on.
"""

from cicdctl.fixers.claude.fixer import ClaudeFixer, kind_in

__all__ = ["ClaudeFixer", "kind_in"]
