"""Notices what moves in a repository elsewhere, and fetches it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from cicdctl.errors import GitError
from cicdctl.git import Repository
from cicdctl.kinds import Sighting
from cicdctl.monitors.local import WATCHED, compare
from cicdctl.orchestrator.change import remote_name
from cicdctl.process import run_captured

LIMIT_S = 60.0
_ROW = re.compile(r"([0-9a-f]{40,64})\t(\S+)")
# What git needs to find and to pass a door: programs, the user's settings and helpers, agents, proxies.
_KEPT = ("PATH", "HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
_SETTINGS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_SSH_COMMAND")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# A repository must not make us run what it names.
_SAFE = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "gc.auto=0")


class RemoteRefs:
    """Asks with `git ls-remote`; what has changed is fetched to `refs/cicd/remote/` before it is told."""

    def __init__(
        self, repository: Repository, url: str, known: Mapping[str, str], *, environ: Mapping[str, str]
    ) -> None:
        if url.startswith("-") or "::" in url:
            raise GitError(f'"{url}" is not the address of a repository')
        self._repository = repository
        self._url = url
        self._known = {ref: oid for ref, oid in known.items() if ref.startswith(WATCHED)}
        self._is_first = "" not in known  # nothing of a first look is run, so nothing of it is fetched
        self._env = {name: environ[name] for name in (*_KEPT, *_SETTINGS, *_PROXIES) if name in environ}
        self._env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
        self._env.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")

    def look(self) -> Iterable[Sighting]:
        """Return what changed since the last look. Raises GitError when the other side does not answer."""
        now = self._list()
        found = list(compare(self._known, now))
        if not self._is_first:
            self._fetch(found)
        self._known, self._is_first = now, False
        return found

    def close(self) -> None:
        """Release the repository."""
        self._repository.close()

    def _list(self) -> dict[str, str]:
        told = self._git("ls-remote", "--heads", "--tags", "--refs", "--", self._url)
        rows = (_ROW.fullmatch(line) for line in told.split("\n"))
        return {row[2]: row[1] for row in rows if row is not None and row[2].startswith(WATCHED)}

    def _fetch(self, found: Iterable[Sighting]) -> None:
        specs = []
        for sighting in found:
            name = remote_name(sighting.ref)
            if sighting.new is not None:
                specs.append(f"+{sighting.ref}:{name}\n")
            else:
                present = self._repository.ref_store.read(name)
                if present is not None:
                    self._repository.ref_store.swap(name, present, None)
        if specs:
            options = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--quiet", "--stdin")
            self._git("fetch", *options, "--", self._url, stdin="".join(specs))

    def _git(self, *words: str, stdin: str = "") -> str:
        settings = [part for setting in _SAFE for part in ("-c", setting)]
        argv = ["git", *settings, f"--git-dir={self._repository.common_dir}", *words]
        try:
            status, out, err = run_captured(
                argv,
                cwd=self._repository.common_dir,
                env=self._env,
                timeout_s=LIMIT_S,
                stdin=stdin.encode("utf-8", "surrogateescape"),
            )
        except (FileNotFoundError, TimeoutError) as error:
            raise GitError(f"git {words[0]}: {error}") from error
        if status != 0:
            lines = err.decode("utf-8", "replace").strip().splitlines()
            raise GitError(f"git {words[0]} {self._url}: {lines[-1] if lines else f'exit status {status}'}")
        return out.decode("utf-8", "surrogateescape")
