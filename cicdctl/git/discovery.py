"""Where a repository is: found by walking up from a folder, checked before anything in it is believed."""

from __future__ import annotations

import os
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.git_config import is_true, read_git_config
from cicdctl.model import Value

_UNDERSTOOD = frozenset({"objectformat", "worktreeconfig", "relativeworktrees"})
_MAX_GITFILE_BYTES = 1 << 20


class Place(Value, frozen=True):
    """The folders of one repository. `work_tree` is None when bare; `config` holds all values of each key."""

    git_dir: Path
    common_dir: Path
    work_tree: Path | None
    object_format: str
    config: dict[str, list[str]]


def find_place(start: Path) -> Place:
    """Find the repository that `start` lies in: a working tree, linked worktree, submodule or bare repository.

    Reads no environment variable. Raises GitError when there is none, when it belongs to another user, or when
    it uses a format extension we do not know.
    """
    folder = Path(os.path.realpath(start))
    if not folder.exists():
        raise GitError(f"there is no folder {str(start)!r}")
    for candidate in (folder, *folder.parents):
        dot_git = candidate / ".git"
        git_dir = _git_dir_at(dot_git)
        if git_dir is not None:
            return _read_place(git_dir, candidate, dot_git)
        if _is_git_dir(candidate):
            return _read_place(candidate, None, candidate)
    raise GitError(f"{str(start)!r} is not in a git repository", hint="run: git init")


def _git_dir_at(dot_git: Path) -> Path | None:
    if dot_git.is_dir():
        return dot_git if _is_git_dir(dot_git) else None
    if not dot_git.is_file():
        return None
    if dot_git.stat().st_size > _MAX_GITFILE_BYTES:
        raise GitError(f"{str(dot_git)!r} is not a .git file")
    text = os.fsdecode(dot_git.read_bytes()).strip("\r\n")
    if not text.startswith("gitdir: "):
        raise GitError(f"{str(dot_git)!r} is not a .git file")
    target = Path(os.path.normpath(dot_git.parent / text[8:]))
    if not _is_git_dir(target):
        raise GitError(
            f"{str(dot_git)!r} points to {str(target)!r}, which is not a repository",
            hint="was the main repository moved? run there: git worktree repair",
        )
    return target


def _is_git_dir(folder: Path) -> bool:
    head = folder / "HEAD"
    if not (head.is_file() or head.is_symlink()):
        return False
    common = _common_dir(folder)
    return (common / "objects").is_dir() and (common / "refs").is_dir()


def _common_dir(git_dir: Path) -> Path:
    try:
        text = os.fsdecode((git_dir / "commondir").read_bytes()).rstrip("\r\n")
    except (FileNotFoundError, NotADirectoryError):
        return git_dir
    return Path(os.path.normpath(git_dir / text))


def _read_place(git_dir: Path, work_tree: Path | None, witness: Path) -> Place:
    common_dir = _common_dir(git_dir)
    for path in {witness, git_dir, common_dir} | ({work_tree} if work_tree else set()):
        _check_owner(path)
    config = read_git_config(common_dir / "config")
    object_format = _check_format(config, common_dir)
    if is_true(config, "extensions.worktreeconfig"):
        for key, values in read_git_config(git_dir / "config.worktree").items():
            config.setdefault(key, []).extend(values)
    if "core.worktree" in config:
        # A submodule's git folder names its working tree; a linked worktree ignores the main one's.
        if git_dir == common_dir or "core.worktree" in read_git_config(git_dir / "config.worktree"):
            work_tree = Path(os.path.normpath(git_dir / config["core.worktree"][-1]))
    elif is_true(config, "core.bare") and git_dir == common_dir:
        work_tree = None
    elif work_tree is None:
        work_tree = _work_tree_of(git_dir, common_dir)
    return Place(
        git_dir=git_dir, common_dir=common_dir, work_tree=work_tree, object_format=object_format, config=config
    )


def _work_tree_of(git_dir: Path, common_dir: Path) -> Path | None:
    """Give the working tree of a git folder we stand in: its parent, or what a linked worktree's `gitdir` names."""
    if git_dir == common_dir:
        return git_dir.parent if git_dir.name == ".git" else None
    try:
        text = os.fsdecode((git_dir / "gitdir").read_bytes()).rstrip("\r\n")
    except OSError:
        return None
    return Path(os.path.normpath(git_dir / text)).parent


def _check_owner(path: Path) -> None:
    me = os.geteuid()
    owner = path.lstat().st_uid
    if me not in (0, owner):
        raise GitError(
            f"{str(path)!r} belongs to another user (uid {owner}, you are {me})",
            hint="its configuration could run programs as you; work on a clone of your own, or change the owner",
        )


def _check_format(config: dict[str, list[str]], common_dir: Path) -> str:
    version = config.get("core.repositoryformatversion", ["0"])[-1]
    if version not in ("0", "1"):
        raise GitError(f"{str(common_dir)!r} has repository format version {version!r}, which is not supported")
    extensions = {key[11:]: values[-1] for key, values in config.items() if key.startswith("extensions.")}
    if version == "0":
        # git heeds only these in version 0.
        extensions = {key: value for key, value in extensions.items() if key in ("partialclone", "preciousobjects")}
    if extensions.pop("refstorage", "files") != "files":
        raise GitError(
            "the repository extension refStorage (reftable) is not supported",
            hint="run: git refs migrate --ref-format=files",
        )
    unknown = sorted(set(extensions) - _UNDERSTOOD)
    if unknown:
        raise GitError(f"the repository extension {', '.join(map(repr, unknown))} is not supported")
    object_format = extensions.get("objectformat", "sha1").lower()
    if object_format not in ("sha1", "sha256"):
        raise GitError(f"the object format {object_format!r} is not supported")
    return object_format


def is_nested_repository(folder: bytes) -> bool:
    """Say whether a folder inside a working tree is a repository of its own."""
    try:
        return _git_dir_at(Path(os.fsdecode(folder)) / ".git") is not None
    except GitError:
        return False


def head_of_nested(folder: bytes) -> str | None:
    """Give the commit checked out in a repository inside a working tree; None when there is none."""
    from cicdctl.git.refs import Refs

    try:
        git_dir = _git_dir_at(Path(os.fsdecode(folder)) / ".git")
        return Refs(git_dir, _common_dir(git_dir)).head().oid if git_dir is not None else None
    except GitError:
        return None
