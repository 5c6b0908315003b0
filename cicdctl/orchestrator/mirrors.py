"""Where fetched refs lie: in a bare mirror of our own, or beside the refs of a repository that watches another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cicdctl.errors import GitError, StoreError
from cicdctl.git import Repository
from cicdctl.git.remotes import Address
from cicdctl.model import Value
from cicdctl.orchestrator.change import remote_name
from cicdctl.orchestrator.elsewhere import Elsewhere, Listing
from cicdctl.process import run_captured
from cicdctl.project_config import home_of

MIRROR_KEY = "cicdctl.mirrorof"
_ALL = ("refs/heads/", "refs/tags/")


class Placement(Value, frozen=True, kw_only=True):
    """A mirror has the refs under their own names; another repository below `refs/cicd/remote/`."""

    is_mirror: bool

    def name(self, ref: str) -> str:
        """Return the name a fetched ref has here."""
        return ref if self.is_mirror else remote_name(ref)


def mirror_folder(environ: Mapping[str, str], address: Address) -> Path:
    """Return where the mirror of an address is: `$XDG_DATA_HOME/cicdctl/repositories`. Its state must not be lost."""
    return data_folder(environ) / "repositories" / f"{address.short_name}-{address.digest}.git"


def data_folder(environ: Mapping[str, str]) -> Path:
    """Return `$XDG_DATA_HOME/cicdctl`, made private to the user. Raises StoreError."""
    base = Path(environ.get("XDG_DATA_HOME") or home_of(environ) / ".local" / "share")
    folder = base.absolute() / "cicdctl"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f'cannot create "{folder}": {error.strerror}', hint="check owner and mode") from error
    return folder


def make_mirror(environ: Mapping[str, str], address: Address) -> Path:
    """Return the mirror's folder, made when it is not there; nothing is fetched. Raises StoreError, GitError."""
    folder = mirror_folder(environ, address)
    try:
        if "mirrorof" in (folder / "config").read_text("utf-8", "replace").lower():
            return folder
    except FileNotFoundError:
        pass  # also when whoever began it was killed
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f'cannot create "{folder.parent}": {error.strerror}', hint="check owner and mode") from error
    env = {"PATH": environ.get("PATH", ""), "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    commands: tuple[tuple[str, ...], ...] = (
        ("init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(folder)),
        (f"--git-dir={folder}", "config", MIRROR_KEY, address.plain),
        (f"--git-dir={folder}", "config", "transfer.hideRefs", "refs/cicd"),
    )
    for words in commands:
        try:
            status, _, err = run_captured(("git", *words), cwd=folder.parent, env=env, timeout_s=60.0)
        except FileNotFoundError as error:
            raise GitError("the program git is not there") from error
        if status != 0:
            raise GitError(f'cannot make the mirror "{folder}": {err.decode("utf-8", "replace").strip()}')
    return folder


def mirrored_address(repository: Repository) -> str | None:
    """Return, without credentials, what a repository is our mirror of; None when it is none."""
    return next(reversed(repository.config.get(MIRROR_KEY, [])), None)


def refresh_mirror(repository: Repository, elsewhere: Elsewhere) -> None:
    """Bring a mirror to what the address holds now. Raises GitError when it does not answer."""
    listing = elsewhere.list(_ALL)
    here: dict[str, str | None] = {}
    for prefix in _ALL:
        here |= repository.ref_store.all(prefix)
    wanted = {ref: listing.refs.get(ref) for ref in {*here, *listing.refs} if here.get(ref) != listing.refs.get(ref)}
    fetch_into(repository, elsewhere, listing, wanted, Placement(is_mirror=True))


def fetch_into(
    repository: Repository,
    elsewhere: Elsewhere,
    listing: Listing,
    wanted: Mapping[str, str | None],
    placement: Placement,
) -> None:
    """Fetch each wanted ref that is not here yet, and remove those that are None. Raises GitError."""
    specs = []
    for ref, new in sorted(wanted.items()):
        name = placement.name(ref)
        present = repository.ref_store.read(name)
        if new is None and present is not None:
            repository.ref_store.swap(name, present, None)
        elif new is not None and present != new:
            specs.append(f"+{ref}:{name}")
    elsewhere.fetch(specs)
    if listing.head is not None:
        _point_head(repository, listing.head, placement)


def _point_head(repository: Repository, head: str, placement: Placement) -> None:
    """Remember the default branch as git does: HEAD of a mirror, else `refs/cicd/remote/HEAD`."""
    from cicdctl.git.folders import replace_file

    name = "HEAD" if placement.is_mirror else remote_name("refs/HEAD")
    target = placement.name(head)
    if repository.ref_store.target(name) == target:
        return
    path = repository.common_dir / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, f"ref: {target}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise GitError(f'cannot write "{path}": {error.strerror}') from error


def monitor_mark(repository: Repository) -> str:
    """Return what the processes of a repository's monitors are marked with, for their end."""
    return f"{repository.id}/monitor"
