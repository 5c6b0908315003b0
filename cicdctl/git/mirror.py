"""The stage mirror: a bare repository in the cache folder whose objects are hard links; slots belong to it.

What a stage does with git reaches only the mirror, never the user's repository.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from pathlib import Path

import msgspec

from cicdctl.errors import GitError
from cicdctl.git.folders import Trash, replace_file, wait_for_tick
from cicdctl.git.own_repository import plain_config
from cicdctl.git.repository import Repository
from cicdctl.model import Value

_VERSION = 1
_SHOWN_REFS = ("refs/heads/", "refs/tags/", "refs/remotes/")
# Linked in this order, so that an index never names a pack that is not there yet.
_PACK_SUFFIXES = (".pack", ".rev", ".idx")
_TRIES = 5
_CANNOT_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
# A folder younger than this may change again without a new mtime.
_SETTLED_NS = 2_000_000_000
# What is not sealed: objects are named by content, each slot checks its own admin folder.
_UNSEALED = frozenset({"objects", "worktrees"})


class MirrorState(Value, frozen=True, kw_only=True):
    """What the last sync left, kept beside the mirror: `seen` maps loose folders to their mtime in ns."""

    version: int
    seen: dict[str, int]
    packs: tuple[str, ...]
    refs: str
    seal: str


class Mirror:
    """One mirror per trust level. Its methods need the mirror's lock, which the pool holds."""

    def __init__(self, folder: Path, trust: str, trash: Trash) -> None:
        self.path = folder / f"mirror-{trust}.git"
        self._folder = folder
        self._state_path = folder / f"mirror-{trust}.state"
        self._trash = trash
        self._state: MirrorState | None = None

    def sync(self, repository: Repository, commit: str) -> None:
        """Bring objects and refs up to date; afterwards `commit` is here. Raises GitError."""
        try:
            state = self._load() or self._create(repository)
            refs = _refs_text(repository)
            digest = hashlib.sha256(refs).hexdigest()
            wrote, untouched = not state.seal, self.is_pristine()
            if state.refs != digest:
                replace_file(self.path / "packed-refs", refs)
                wrote = True
            seen, packs = self._link_objects(repository, state)
            if wrote or seen != state.seen or packs != state.packs:
                # What a stage changed is never sealed in: the mirror stays in need of a reset.
                seal = self._compute_seal() if wrote and untouched else state.seal
                self._save(MirrorState(version=_VERSION, seen=seen, packs=packs, refs=digest, seal=seal))
            if wrote:
                wait_for_tick(self._folder, (self.path / "packed-refs").lstat().st_ctime_ns)
        except OSError as error:
            raise GitError(f"cannot update the mirror '{self.path}': {error.strerror}") from error

    def is_pristine(self) -> bool:
        """Whether configuration, hooks, refs and the rest are as the last sync left them; True before the first."""
        state = self._load()
        if state is None:
            return True
        return not self.path.is_symlink() and state.seal == self._compute_seal()

    def reset(self) -> None:
        """Throw away all but objects and the slots' admin folders; the next sync writes it anew."""
        self._state = None
        self._state_path.unlink(missing_ok=True)
        with os.scandir(self.path) as rows:
            names = [row.name for row in rows if row.name not in _UNSEALED or row.is_symlink()]
        for name in names:
            self._trash.throw(self.path / name)
        info = self.path / "objects" / "info"
        if "objects" not in names and os.path.lexists(info):
            self._trash.throw(info)

    def discard(self) -> None:
        """Throw the whole mirror away, with the admin folders of all its slots."""
        self._state = None
        self._state_path.unlink(missing_ok=True)
        if os.path.lexists(self.path):
            self._trash.throw(self.path)

    def _load(self) -> MirrorState | None:
        try:
            data = self._state_path.read_bytes()
        except FileNotFoundError:
            self._state = None
            return None
        try:
            state = msgspec.json.decode(data, type=MirrorState)
        except msgspec.DecodeError:
            return None
        return state if state.version == _VERSION and os.path.lexists(self.path) else None

    def _save(self, state: MirrorState) -> None:
        replace_file(self._state_path, msgspec.json.encode(state))

    def _create(self, repository: Repository) -> MirrorState:
        for folder in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "worktrees"):
            (self.path / folder).mkdir(mode=0o755, parents=True, exist_ok=True)
        config = plain_config(repository.object_format, is_bare=True)
        replace_file(self.path / "config", config.encode())
        ref = repository.head().ref or "refs/heads/main"
        replace_file(self.path / "HEAD", f"ref: {ref}\n".encode("utf-8", "surrogateescape"))
        shallow = repository.common_dir / "shallow"
        if shallow.is_file():
            replace_file(self.path / "shallow", shallow.read_bytes())
        return MirrorState(version=_VERSION, seen={}, packs=(), refs="", seal="")

    def _compute_seal(self) -> str:
        """A digest over names and stat words of every file a stage could use to reach later stages."""
        rows: list[str] = []
        todo = [""]
        while todo:
            folder = todo.pop()
            with os.scandir(self.path / folder) as found:
                for row in found:
                    path = f"{folder}{row.name}"
                    if row.is_dir(follow_symlinks=False):
                        rows.append(path + "/")
                        if path == "objects":
                            todo.append("objects/info/")
                        elif path not in _UNSEALED:
                            todo.append(path + "/")
                    else:
                        word = row.stat(follow_symlinks=False)
                        rows.append(f"{path} {word.st_mode} {word.st_ino} {word.st_size} {word.st_ctime_ns}")
        return hashlib.sha256("\0".join(sorted(rows)).encode("utf-8", "surrogateescape")).hexdigest()

    def _link_objects(self, repository: Repository, state: MirrorState) -> tuple[dict[str, int], tuple[str, ...]]:
        """Link what is new. gc moves objects while we look: then the list of packs has changed, and we look again."""
        seen = dict(state.seen)
        for _ in range(_TRIES):
            stores = repository.objects.folders()
            before = _list_packs(stores)
            try:
                for path in before:
                    if path not in state.packs:
                        for suffix in _PACK_SUFFIXES:
                            self._link_pack(path + suffix)
                for store in stores:
                    self._link_loose(store, seen)
            except FileNotFoundError:
                continue
            if _list_packs(stores) == before:
                return seen, before
        raise GitError("objects keep moving while they are linked", hint="wait until git gc has ended")

    def _link_pack(self, source: str) -> None:
        target = self.path / "objects" / "pack" / source.rpartition("/")[2]
        try:
            _link(source, target)
        except FileNotFoundError:
            if not source.endswith(".rev"):
                raise

    def _link_loose(self, store: str, seen: dict[str, int]) -> None:
        now = time.time_ns()
        with os.scandir(store) as rows:
            folders = [row for row in rows if len(row.name) == 2 and row.is_dir()]
        for folder in folders:
            modified = folder.stat().st_mtime_ns
            if seen.get(folder.path) == modified:
                continue
            target = self.path / "objects" / folder.name
            target.mkdir(mode=0o755, exist_ok=True)
            have = set(os.listdir(target))  # noqa: PTH208 - names only
            for name in os.listdir(folder.path):  # noqa: PTH208 - names only
                if name not in have and not name.startswith("tmp_"):
                    _link(f"{folder.path}/{name}", target / name)
            seen[folder.path] = modified if now - modified > _SETTLED_NS else 0


def _list_packs(stores: list[str]) -> tuple[str, ...]:
    """Each pack without its suffix; those without an index are still being written."""
    found: list[str] = []
    for store in stores:
        try:
            names = os.listdir(f"{store}/pack")  # noqa: PTH208 - names only
        except FileNotFoundError:
            continue
        found += [f"{store}/pack/{name[:-4]}" for name in names if name.endswith(".idx")]
    return tuple(sorted(found))


def _link(source: str, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=True)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        beside = target.with_name(f"tmp_{os.urandom(6).hex()}")
        shutil.copyfile(source, beside)
        beside.chmod(0o444)
        beside.replace(target)


def _refs_text(repository: Repository) -> bytes:
    """Branches, tags and remotes in the format of packed-refs; nothing of ours."""
    lines = ["# pack-refs with: sorted "]
    for name, oid in sorted(repository.refs().items(), key=lambda row: row[0].encode("utf-8", "surrogateescape")):
        if name.startswith(_SHOWN_REFS):
            lines.append(f"{oid} {name}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
