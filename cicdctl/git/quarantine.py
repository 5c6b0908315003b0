"""Takes objects out of the quarantine of a push that has not been accepted yet, so that a run outlives the push."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from cicdctl.errors import GitError
from cicdctl.git.repository import Repository

_LOOSE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{38}(?:[0-9a-f]{24})?")
_PACK = re.compile(r"pack/pack-[0-9a-f]{40}(?:[0-9a-f]{24})?\.(pack|rev|bitmap|idx)")
# A pack is there once its index is: the index comes last.
_ORDER = {"pack": 0, "rev": 1, "bitmap": 1, "idx": 2}


def adopt_objects(repository: Repository, quarantine: Path) -> None:
    """Copy what a push has brought into the repository's own store, where only a ref can keep it.

    git has checked by then that nothing is missing (receive-pack, before the hook). A push that is rejected leaves
    objects that no ref names, which the next gc takes away. Raises GitError.
    """
    if repository.quarantine is not None:
        raise GitError("a repository that reads a quarantine adopts nothing")
    target = repository.common_dir / "objects"
    try:
        names = [os.path.relpath(path, quarantine) for path in quarantine.rglob("*") if _is_plain(path)]
        loose = [name for name in names if _LOOSE.fullmatch(name)]
        packs = [name for name in names if _PACK.fullmatch(name)]
        for name in [*loose, *sorted(packs, key=lambda name: _ORDER[name.rpartition(".")[2]])]:
            _copy(quarantine / name, target / name)
    except OSError as error:
        raise GitError(f"what was pushed cannot be kept: {error.strerror}") from error


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    aside = target.with_name(f"tmp_obj_{os.getpid()}_{os.urandom(6).hex()}")
    try:
        shutil.copyfile(source, aside)
        aside.chmod(0o444)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
