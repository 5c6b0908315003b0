"""The index writer: git must read what we write, and a splice equals a new build."""

from __future__ import annotations

import os

import pytest

from cicdctl.errors import GitError
from cicdctl.git.worktree_index import WorktreeIndex, build_index, stat_words


def head_of(tmp_path, number: int, mode: int = 0o100644) -> bytes:
    file = tmp_path / "f"
    file.write_bytes(b"x" * number)
    return stat_words(os.stat(file), mode) + bytes([number]) * 20


def test_entries_and_trees_come_back_as_they_were_given(tmp_path):
    paths = [b"a", b"a-b", b"a.b", b"a0/x", b"ab/c/d", b"ab/e", b"long/" + b"n" * 250, b"z\xff\n"]
    entries = {path: head_of(tmp_path, number) for number, path in enumerate(sorted(paths), 1)}
    trees = {folder: bytes([number]) * 20 for number, folder in enumerate([b"", b"a0", b"ab", b"ab/c", b"long"], 50)}

    index = WorktreeIndex(build_index(sorted(entries.items()), trees, 20).data, 20)

    assert index.entries() == entries
    assert index.trees() == trees
    assert index.is_intact()


def test_a_splice_equals_a_new_build(tmp_path):
    paths = [b"b.txt", b"a/b.txt", b"a/c", b"a/aa/b.txt"]
    entries = {path: head_of(tmp_path, number) for number, path in enumerate(sorted(paths), 1)}
    trees = {b"": b"r" * 20, b"a": b"s" * 20, b"a/aa": b"t" * 20}
    index = build_index(sorted(entries.items()), trees, 20)
    new_entries = {**entries, b"b.txt": head_of(tmp_path, 77), b"a/b.txt": head_of(tmp_path, 78)}
    new_trees = {**trees, b"": b"R" * 20, b"a": b"S" * 20}

    spliced = index.with_words({p: new_entries[p] for p in (b"b.txt", b"a/b.txt")}, {b"": b"R" * 20, b"a": b"S" * 20})

    assert spliced is not None
    assert spliced.data == build_index(sorted(new_entries.items()), new_trees, 20).data


def test_a_splice_of_an_unknown_path_is_not_attempted(tmp_path):
    index = build_index([(b"a/b", head_of(tmp_path, 1))], {b"": b"r" * 20, b"a": b"s" * 20}, 20)
    assert index.with_words({b"b": head_of(tmp_path, 2)}, {}) is None
    assert index.with_words({}, {b"c": b"x" * 20}) is None


def test_damage_is_noticed(tmp_path):
    index = build_index([(b"a", head_of(tmp_path, 1)), (b"b", head_of(tmp_path, 2))], {}, 20)
    damaged = bytearray(index.data)
    damaged[11] = 3
    assert not WorktreeIndex(bytes(damaged), 20).is_intact()
    with pytest.raises(GitError, match="damaged"):
        WorktreeIndex(bytes(damaged), 20).entries()


def test_an_index_without_entries_is_read_by_git(make_git):
    git = make_git()
    (git.path / ".git" / "index").write_bytes(build_index((), {}, 20).data)
    assert git.text("ls-files") == ""
