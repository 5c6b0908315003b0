"""Where the forge shows a commit, a branch and a line: known from the address that `origin` is fetched from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from cicdctl.errors import GitError
from cicdctl.git.remotes import read_address
from cicdctl.model import Value

_SCP = re.compile(r"(?:[^@/:\s]+@)?([A-Za-z0-9.-]+):(?!/)([^\s:]+)")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
# By a word in the host's name: how it writes a branch, a tag, a commit and a line of a file. GitLab and Gitea
# understand how GitHub writes a commit, and hardly anybody has a forge that does not.
_KINDS: Mapping[str, tuple[str, str, str, str]] = {
    "gitlab": ("/-/tree/{}", "/-/tags/{}", "/-/commit/{}", "/-/blob/{}/{}#L{}"),
    "bitbucket": ("/branch/{}", "/commits/tag/{}", "/commits/{}", "/src/{}/{}#lines-{}"),
    "gitea": ("/src/branch/{}", "/src/tag/{}", "/commit/{}", "/src/commit/{}/{}#L{}"),
    "forgejo": ("/src/branch/{}", "/src/tag/{}", "/commit/{}", "/src/commit/{}/{}#L{}"),
    "codeberg": ("/src/branch/{}", "/src/tag/{}", "/commit/{}", "/src/commit/{}/{}#L{}"),
    "github": ("/tree/{}", "/releases/tag/{}", "/commit/{}", "/blob/{}/{}#L{}"),
    "": ("", "", "/commit/{}", ""),
}


class Forge(Value, frozen=True, kw_only=True):
    """A repository on a forge. Each address is empty where it is not known."""

    base: str = ""

    @property
    def _forms(self) -> tuple[str, str, str, str]:
        host = urlsplit(self.base).netloc
        return next(forms for word, forms in _KINDS.items() if word in host)

    def commit(self, oid: str) -> str:
        """Return where a commit is shown."""
        return self._address(2, oid)

    def ref(self, ref: str | None) -> str:
        """Return where a branch or a tag is shown."""
        for place, prefix in enumerate(("refs/heads/", "refs/tags/")):
            if ref is not None and ref.startswith(prefix):
                return self._address(place, ref.removeprefix(prefix))
        return ""

    def line(self, oid: str, path: str | None, line: int | None) -> str:
        """Return where a line of a file of the repository is shown."""
        if not path or not line or path.startswith(("/", "../")) or "/../" in path:
            return ""
        return self._address(3, oid, path, str(line))

    def _address(self, form: int, *parts: str) -> str:
        if not self.base or not self._forms[form]:
            return ""
        return self.base + self._forms[form].format(*(quote(part, safe="/", errors="replace") for part in parts))


def forge_of(config: Mapping[str, Sequence[str]]) -> Forge:
    """Return the forge of a repository with this git configuration; without an address when it is none we know."""
    url = (config.get("remote.origin.url") or [""])[-1]
    try:
        plain = read_address(url).plain
        scp = _SCP.fullmatch(plain)
        parts = urlsplit(plain)
        scheme, host, path = ("ssh", scp[1], scp[2]) if scp else (parts.scheme, parts.netloc, parts.path)
    except (GitError, ValueError):
        return Forge()
    host = host.rpartition("@")[2]
    if scheme in ("ssh", "git+ssh", "ssh+git", "git"):
        scheme, host = "https", host.partition(":")[0]
    path = path.strip("/").removesuffix(".git")
    if scheme not in ("http", "https") or not _HOST.fullmatch(host) or "/" not in path:
        return Forge()
    return Forge(base=f"{scheme}://{host}/{quote(path, safe='/~')}")
