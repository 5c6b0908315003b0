"""Asks a repository elsewhere with the git program: lists its refs and fetches what is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.remotes import Address, hide_userinfo
from cicdctl.model import Value
from cicdctl.process import run_captured

ANSWER_S = 60.0  # for a list of refs, and for a server that sends nothing
FETCH_S = 3600.0  # a first fetch of a large repository takes its time
_ROW = re.compile(r"([0-9a-f]{40,64})\t(\S+)")
_SYMREF = re.compile(r"ref: (refs/heads/\S+)\tHEAD")
# What git needs to find and to pass a door: programs, the user's settings and helpers, agents, proxies.
_KEPT = ("PATH", "HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK")
_SETTINGS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_SSH = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4"
# A repository must not make us run what it names.
_SAFE = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never")
# Answers from variables, so that neither a command line nor a file holds the password.
_HELPER = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$CICDCTL_USER" "$CICDCTL_PASS"; }; f'


class Listing(Value, frozen=True, kw_only=True):
    """Branches and tags with their object ids; `head` is the full name of the default branch, None when unknown."""

    refs: Mapping[str, str]
    head: str | None = None


class Elsewhere:
    """One address, asked for one repository of ours. `mark` names its processes, so that they can be ended.

    `tidies`: fetching may also pack what was fetched before, as git does by itself; for a mirror nobody else would.
    `answer_s` and `fetch_s` are limits in seconds. Every method raises GitError when the other side does not answer.
    """

    def __init__(
        self,
        address: Address,
        git_dir: Path,
        *,
        environ: Mapping[str, str],
        mark: str,
        tidies: bool = False,
        answer_s: float = ANSWER_S,
        fetch_s: float = FETCH_S,
    ) -> None:
        self.address = address
        self._git_dir = git_dir
        self._answer_s = answer_s
        self._fetch_s = fetch_s
        settings = [tuple(one.split("=", 1)) for one in _SAFE]
        settings += [("gc.autoDetach", "false"), ("maintenance.autoDetach", "false")] if tidies else [("gc.auto", "0")]
        settings += [("http.lowSpeedLimit", "100"), ("http.lowSpeedTime", str(max(1, int(answer_s))))]
        self._env = {name: environ[name] for name in (*_KEPT, *_SETTINGS, *_PROXIES) if name in environ}
        self._env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "CICD_MARK": mark}
        self._env.setdefault("GIT_SSH_COMMAND", _SSH)
        if address.username is not None and address.is_http:
            settings.append((f"credential.{address.site}.username", address.username))
        if address.password is not None:
            # First none: else the user's own helpers would be told, and would keep, what is ours.
            where = f"credential.{address.site}.helper"
            settings += [(where, ""), (where, _HELPER)]
            self._env |= {"CICDCTL_USER": address.username or "", "CICDCTL_PASS": address.password}
        self._env["GIT_CONFIG_COUNT"] = str(len(settings))
        for number, (key, value) in enumerate(settings):
            self._env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}

    def list(self, prefixes: Sequence[str]) -> Listing:
        """Ask for the refs below `prefixes`, such as "refs/heads/"."""
        patterns = [prefix + "*" for prefix in prefixes]
        told = self._git("ls-remote", "--symref", "--", self.address.plain, "HEAD", *patterns, limit_s=self._answer_s)
        refs: dict[str, str] = {}
        head = None
        for line in told.split("\n"):
            symref, row = _SYMREF.fullmatch(line), _ROW.fullmatch(line)
            if symref is not None:
                head = symref[1]
            elif row is not None and row[2].startswith(tuple(prefixes)) and not row[2].endswith("^{}"):
                refs[row[2]] = row[1]
        return Listing(refs=refs, head=head)

    def fetch(self, specs: Sequence[str]) -> None:
        """Fetch refspecs such as "+refs/heads/main:refs/heads/main"; whoever fetches at the same time is waited for."""
        if not specs:
            return
        from cicdctl.store import lock_patiently

        options = ("--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--quiet", "--stdin")
        with lock_patiently(self._git_dir / "cicdctl" / "locks" / "fetch", timeout_s=self._fetch_s):
            self._git(
                "fetch", *options, "--", self.address.plain, stdin="".join(f"{spec}\n" for spec in specs),
                limit_s=self._fetch_s,
            )  # fmt: skip

    def _git(self, *words: str, limit_s: float, stdin: str = "") -> str:
        argv = ["git", f"--git-dir={self._git_dir}", *words]
        what = f"git {words[0]} {self.address.plain}"
        try:
            status, out, err = run_captured(
                argv,
                cwd=self._git_dir,
                env=self._env,
                timeout_s=limit_s,
                stdin=stdin.encode("utf-8", "surrogateescape"),
            )
        except TimeoutError as error:
            raise GitError(f"{what}: no answer within {limit_s:g} s") from error
        except FileNotFoundError as error:
            raise GitError(f"{what}: the program git is not there") from error
        if status != 0:
            raise GitError(f"{what}: {_reason(err) or f'exit status {status}'}")
        return out.decode("utf-8", "surrogateescape")


def _reason(err: bytes) -> str:
    """Return the line that tells most: git says why on the first fatal one, and what to try after it."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))), lines[-1] if lines else "")
    return hide_userinfo(told)
