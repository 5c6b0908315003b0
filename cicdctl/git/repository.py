"""One open repository: what it holds is asked here, and nothing of it is changed but our own refs and objects."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cicdctl.errors import GitError
from cicdctl.git.commits import Commit, parse_commit
from cicdctl.git.discovery import Place, find_place
from cicdctl.git.objects import ObjectStore
from cicdctl.git.refs import KEEP_PREFIX, Head, Refs
from cicdctl.git.settings import Settings
from cicdctl.git.trees import FOLDER, MAX_TREE_BYTES, MODULE, TreeEntry, changed_entries, parse_tree, walk

if TYPE_CHECKING:
    from cicdctl.git.snapshot import Snapshot

_MAX_COMMIT_BYTES = 16 << 20
_TREE_CACHE_BYTES = 16 << 20
_MOST_TAGS = 20


class GitProgram(Protocol):
    """How to start the git program: gives (exit status, output, errors). Handed in, so this room starts nothing."""

    def __call__(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bytes = b""
    ) -> tuple[int, bytes, bytes]: ...


def open_repository(
    path: Path,
    *,
    git_program: GitProgram | None = None,
    quarantine: Path | None = None,
    read_only: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Repository:
    """Open the repository that `path` lies in. Raises GitError when there is none or it must not be read.

    `quarantine` is the value of GIT_QUARANTINE_PATH inside a pre-receive hook: its objects are readable and
    nothing is written. `read_only` alone forbids writing too. `environ` says where the
    user's git configuration lies, which only the snapshot reads.
    """
    return Repository(
        find_place(path),
        git_program=git_program,
        quarantine=quarantine,
        read_only=read_only,
        environ=environ or {},
    )


_KEEP_TRIES = 100


class Repository:
    """Not thread-safe: one per thread, see `reopen`. A context manager."""

    def __init__(
        self,
        place: Place,
        *,
        git_program: GitProgram | None = None,
        quarantine: Path | None = None,
        read_only: bool = False,
        environ: Mapping[str, str],
    ) -> None:
        self.place = place
        self.git_dir = place.git_dir
        self.common_dir = place.common_dir
        self.work_tree = place.work_tree
        self.object_format = place.object_format
        self.hash_bytes = 32 if place.object_format == "sha256" else 20
        self.git_program = git_program
        self.quarantine = quarantine
        self.environ = environ
        self.settings = Settings(place.config, environ)
        self.read_only = read_only or quarantine is not None
        self.objects = ObjectStore(
            place.common_dir / "objects", hash_bytes=self.hash_bytes, more_folders=(quarantine,) if quarantine else ()
        )
        self.ref_store = Refs(place.git_dir, place.common_dir)
        self._trees: dict[str, bytes] = {}
        self._trees_bytes = 0
        self._shallow: frozenset[str] | None = None
        self._digests: dict[tuple[str, tuple[str, ...]], str] = {}

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the packs. The repository opens them again when it is asked again."""
        self.objects.close()
        self._trees.clear()
        self._trees_bytes = 0

    def reopen(self) -> Repository:
        """Open the same repository once more, for another thread."""
        return Repository(
            self.place,
            git_program=self.git_program,
            quarantine=self.quarantine,
            read_only=self.read_only,
            environ=self.environ,
        )

    @property
    def id(self) -> str:
        """16 hexadecimal digits that stay the same while the common git folder stays where it is."""
        return hashlib.sha256(os.fsencode(os.path.realpath(self.common_dir))).hexdigest()[:16]

    @property
    def state_dir(self) -> Path:
        """The folder for our own files, shared by all worktrees."""
        return self.common_dir / "cicdctl"

    @property
    def config(self) -> dict[str, list[str]]:
        """All values of each key of the repository's own configuration files."""
        return self.place.config

    # Refs and revisions

    def head(self) -> Head:
        """Read HEAD: its `oid` is None on a branch without commits, its `ref` is None when detached."""
        return self.ref_store.head()

    def refs(self) -> dict[str, str]:
        """Give all refs with their object ids."""
        return self.ref_store.all()

    def resolve(self, revision: str) -> Commit:
        """Find the commit that a revision names. Raises GitError with near names as hint."""
        from cicdctl.git.revisions import resolve

        return self.commit(resolve(self, revision))

    def ref_name(self, revision: str) -> str | None:
        """Give the full name of the ref a short name means, or None when it is no ref."""
        from cicdctl.git.revisions import full_ref_name

        return full_ref_name(self, revision)

    def commits_between(self, expression: str) -> tuple[Commit, ...]:
        """Give the commits of "a..b": reachable from b and not from a, oldest first."""
        from cicdctl.git.revisions import commits_between

        return commits_between(self, expression)

    def default_branch(self) -> str | None:
        """Guess the branch (short name) that changes are compared with; None in an empty repository."""
        from cicdctl.git.revisions import default_branch

        return default_branch(self)

    def keep(self, oid: str) -> None:
        """Pin an object against gc and force-pushes. Does nothing in a quarantine."""
        self._set_keep(oid, oid)

    def release(self, oid: str) -> None:
        """Remove the pin of `keep`; no error when there is none."""
        self._set_keep(oid, None)

    def _set_keep(self, oid: str, wanted: str | None) -> None:
        """Bring a keep ref to the one value it can have, or away; others may do the opposite at the same time."""
        from cicdctl.git.refs import RefMoved

        name = KEEP_PREFIX + oid
        for _ in range(_KEEP_TRIES):
            found = self.ref_store.read(name)
            if self.read_only or found == wanted:
                return
            try:
                self.ref_store.swap(name, found, wanted)
            except RefMoved:
                continue
            return
        raise GitError(f"{name!r} keeps changing", hint="see what sets and removes it all the time")

    # Objects

    def read_object(self, oid: str) -> tuple[bytes, bytes]:
        """Give (type, content) of any object. Raises GitError (MissingObject) when it cannot be read."""
        return self.objects.read(oid)

    def read_blobs(self, oids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (id, content) once per distinct id, in pack order. Raises GitError as `read_object`."""
        return self.objects.read_many(oids)

    def read_tree(self, oid: str) -> bytes:
        """Give the bytes of a tree; remembers up to 16 MB of them."""
        data = self._trees.get(oid)
        if data is None:
            kind, data = self.objects.read(oid, MAX_TREE_BYTES)
            if kind != b"tree":
                raise GitError(f"object {oid} is a {kind.decode()}, not a tree")
            if self._trees_bytes + len(data) > _TREE_CACHE_BYTES:
                self._trees.clear()
                self._trees_bytes = 0
            self._trees[oid] = data
            self._trees_bytes += len(data)
        return data

    def commit(self, oid: str) -> Commit:
        """Read the commit an object id names; tags are peeled. Raises GitError for anything else."""
        for _ in range(_MOST_TAGS):
            kind, data = self.objects.read(oid, _MAX_COMMIT_BYTES)
            if kind == b"commit":
                return parse_commit(oid, data)
            if kind != b"tag":
                break
            oid = data.partition(b"\n")[0].removeprefix(b"object ").decode("ascii", "replace")
        raise GitError(f"object {oid} is not a commit")

    def parents(self, commit: Commit) -> tuple[str, ...]:
        """Give the parents that exist here: none at the boundary of a shallow clone."""
        if self._shallow is None:
            try:
                self._shallow = frozenset((self.common_dir / "shallow").read_text("ascii").split())
            except FileNotFoundError:
                self._shallow = frozenset()
        return () if commit.oid in self._shallow else commit.parents

    def tree_of(self, commit_oid: str) -> str:
        """Give the tree id of a commit."""
        return self.commit(commit_oid).tree

    # Trees

    def find_entry(self, tree: str, path: bytes) -> TreeEntry | None:
        """Find one path in a tree, folders too; None when it does not exist."""
        mode, oid = FOLDER, tree
        for name in path.split(b"/"):
            if mode != FOLDER:
                return None
            rows = parse_tree(self.read_tree(oid), self.hash_bytes)
            found = next((row for row in rows if row[1] == name), None)
            if found is None:
                return None
            mode, oid = found[0], found[2].hex()
        return TreeEntry(path, mode, oid)

    def read_file(self, tree: str, path: bytes) -> bytes | None:
        """Give the content of one file (a link's target) of a tree; None when it is no file there."""
        entry = self.find_entry(tree, path)
        if entry is None or entry.mode in (FOLDER, MODULE):
            return None
        return self.objects.read(entry.oid)[1]

    def walk(self, tree: str) -> Iterator[TreeEntry]:
        """Yield every file, link and submodule of a tree in index order. Raises GitError on refused names."""
        return walk(self.read_tree, tree, hash_bytes=self.hash_bytes)

    def changed_entries(
        self, old_tree: str | None, new_tree: str | None
    ) -> Iterator[tuple[bytes, TreeEntry | None, TreeEntry | None]]:
        """Yield (path, entry before, entry after) for what differs; None where a side lacks the path."""
        return changed_entries(self.read_tree, old_tree, new_tree, hash_bytes=self.hash_bytes)

    def changed_paths(self, old_tree: str | None, new_tree: str) -> Iterator[bytes]:
        """Yield each path that differs once; None as the old tree stands for an empty one."""
        last = None
        for path, _, _ in self.changed_entries(old_tree, new_tree):
            if path != last:
                yield path
            last = path

    def matching(self, tree: str, globs: Sequence[str]) -> Iterator[TreeEntry]:
        """Yield the entries of a tree that the globs select, opening only subtrees that can hold some."""
        from cicdctl.git.globs import Globs
        from cicdctl.git.inputs import matching

        return matching(self.read_tree, tree, Globs(globs), hash_bytes=self.hash_bytes)

    def input_digest(self, tree: str, globs: Sequence[str]) -> str:
        """Give "tree:<id>" without globs, else "rows:<sha256>" over the (path, mode, id) they select."""
        from cicdctl.git.inputs import digest_rows

        if not globs:
            return f"tree:{tree}"
        key = (tree, tuple(globs))
        if key not in self._digests:
            self._digests[key] = digest_rows(self.matching(tree, globs))
        return self._digests[key]

    def snapshot(self) -> Snapshot:
        """Give the working tree as a commit, without touching it, the index or HEAD."""
        from cicdctl.git.snapshot import take_snapshot

        return take_snapshot(self)
