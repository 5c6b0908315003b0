"""A repository of its own for one checkout: nothing in it leads to the user's, not even a shared file on the disk.

The mirror's objects are hard links, so whoever may write to a slot's common folder can reach the very bytes of the
user's objects. Here they are copies: of one commit, its trees and its files, without history, refs, hooks and remotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cicdctl.git.checkout import Content
from cicdctl.git.objects import STREAM_ABOVE_BYTES
from cicdctl.git.pack_writer import PackedObject, write_pack
from cicdctl.git.repository import Repository
from cicdctl.git.trees import MODULE

_FOLDERS = ("objects/pack", "objects/info", "refs/heads", "refs/tags")


def write_own_repository(repository: Repository, git_dir: Path, commit: str, content: Content) -> None:
    """Make `git_dir` a repository that holds one commit, its HEAD; the index is the caller's to write.

    `content` is what the commit's tree holds. Raises GitError or OSError.
    """
    for folder in _FOLDERS:
        (git_dir / folder).mkdir(mode=0o755, parents=True)
    (git_dir / "config").write_text(plain_config(repository.object_format, is_bare=False))
    (git_dir / "HEAD").write_text(f"{commit}\n")
    if repository.commit(commit).parents:
        # Else git looks for its parents and says that the repository is damaged.
        (git_dir / "shallow").write_text(f"{commit}\n")
    trees = {raw.hex() for raw in content.trees.values()}
    blobs = {raw.hex() for _, mode, raw in content.rows if mode != MODULE}
    objects = _objects(repository, commit, trees, blobs)
    write_pack(git_dir / "objects/pack", 1 + len(trees) + len(blobs), objects, hash_bytes=repository.hash_bytes)


def plain_config(object_format: str, *, is_bare: bool) -> str:
    """Return the configuration of a repository of ours: no maintenance, and nothing of anybody's own."""
    is_sha256 = object_format == "sha256"
    text = f"[core]\n\trepositoryformatversion = {int(is_sha256)}\n\tfilemode = true\n\tbare = {str(is_bare).lower()}\n"
    text += "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
    return text + ("[extensions]\n\tobjectFormat = sha256\n" if is_sha256 else "")


def _objects(repository: Repository, commit: str, trees: set[str], blobs: set[str]) -> Iterator[PackedObject]:
    for kind, oid in [(b"commit", commit), *((b"tree", tree) for tree in sorted(trees))]:
        data = repository.read_object(oid)[1]
        yield PackedObject(oid, kind, len(data), (data,))
    large = {oid: size for oid in blobs if (size := repository.objects.kind_and_size(oid)[1]) > STREAM_ABOVE_BYTES}
    for oid, data in repository.read_blobs(blobs - large.keys()):
        yield PackedObject(oid, b"blob", len(data), (data,))
    for oid, size in large.items():
        yield PackedObject(oid, b"blob", size, repository.objects.stream(oid))
