"""Revisions: from what people type to an object id, and the commits between two of them."""

from __future__ import annotations

import heapq
import re
from typing import TYPE_CHECKING

from cicdctl.errors import GitError
from cicdctl.git.commits import Commit

if TYPE_CHECKING:
    from cicdctl.git.repository import Repository

# gitrevisions(7): where a short name is looked for, in this order.
_RULES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
_STEP = re.compile(r"([~^])(?!\{)(\d*)|\^\{([a-z]*)\}")
_BASE = re.compile(r"(?P<base>(?:[^~^@]|@(?!\{)|@$)*)(?P<at>(?:@\{[^}]*\})*)(?P<steps>(?:[~^]\d*|\^\{[a-z]*\})*)")
_HEX = re.compile(r"[0-9a-f]{4,64}")
_DESCRIBED = re.compile(r".+-\d+-g([0-9a-f]{4,64})")
_SLOP = 5
_MAX_REFLOG_BYTES = 64 << 20


def resolve(repository: Repository, revision: str) -> str:
    """Find the object id a revision names. Raises GitError when there is none or an abbreviation is ambiguous."""
    match = _BASE.fullmatch(revision)
    if match is None or revision.startswith("-") or not revision or "\0" in revision:
        raise _no_such(repository, revision)
    base = match["base"]
    oid = _resolve_at(repository, base, match["at"]) if match["at"] else _resolve_name(repository, base)
    if oid is None:
        raise _no_such(repository, revision)
    for step in _STEP.finditer(match["steps"]):
        oid = _take_step(repository, oid, step, revision)
    return oid


def _take_step(repository: Repository, oid: str, step: re.Match[str], revision: str) -> str:
    kind, count, peel = step.groups()
    if peel is not None:
        if peel not in ("", "commit"):
            raise GitError(f"{revision!r} names no commit")
        return repository.commit(oid).oid
    commit = repository.commit(oid)
    number = int(count) if count else 1
    if kind == "^":
        if number == 0:
            return commit.oid
        parents = repository.parents(commit)
        if number > len(parents):
            raise _no_such(repository, revision)
        return parents[number - 1]
    for _ in range(number):
        parents = repository.parents(commit)
        if not parents:
            raise _no_such(repository, revision)
        commit = repository.commit(parents[0])
    return commit.oid


def _resolve_name(repository: Repository, name: str) -> str | None:
    name = "HEAD" if name == "@" else name
    if not name:
        return None
    if len(name) == repository.hash_bytes * 2 and _HEX.fullmatch(name.lower()):
        return name.lower()
    ref = _find_ref(repository, name)
    if ref is not None:
        return repository.ref_store.read(ref)
    described = _DESCRIBED.fullmatch(name)
    short = (described[1] if described else name).lower()
    if _HEX.fullmatch(short) is None or len(short) > repository.hash_bytes * 2:
        return None
    found = repository.objects.with_prefix(short)
    if len(found) > 1:
        commits = [oid for oid in found if repository.objects.kind_and_size(oid)[0] == b"commit"]
        if len(commits) != 1:
            raise GitError(f"{name!r} is ambiguous: {len(found)} objects begin so", hint="write more digits")
        return commits[0]
    return found[0] if found else None


def _find_ref(repository: Repository, name: str) -> str | None:
    if name.startswith("/") or ".." in name or "\\" in name or name.endswith((".lock", "/")):
        return None
    for rule in _RULES:
        full = rule.format(name)
        # A bare name is a file of the git folder only when it looks like HEAD or FETCH_HEAD.
        if rule == "{}" and not full.startswith("refs/") and re.fullmatch(r"[A-Z_]+", full) is None:
            continue
        if repository.ref_store.read(full) is not None:
            return full
    return None


def full_ref_name(repository: Repository, revision: str) -> str | None:
    """Give the full name of the ref that a short name means: "v1" -> "refs/tags/v1"; HEAD gives its branch."""
    if revision in ("HEAD", "@"):
        return repository.head().ref
    if not revision or revision.startswith("-") or re.search(r"[\x00-\x20~^:?*\[\\]|@\{", revision):
        return None
    if len(revision) == repository.hash_bytes * 2 and _HEX.fullmatch(revision.lower()):
        return None  # the object is meant, also when a branch is called so
    found = _find_ref(repository, revision)
    if found is not None and found.endswith("/HEAD"):
        return repository.ref_store.target(found) or found
    return found


def _resolve_at(repository: Repository, base: str, selectors: str) -> str | None:
    """Resolve name@{upstream}, name@{push}, name@{3} and @{-1}."""
    ref = full_ref_name(repository, base) if base else repository.head().ref
    oid = None
    for selector in re.findall(r"@\{([^}]*)\}", selectors):
        if re.fullmatch(r"-[1-9]\d*", selector) and not base:
            ref = _earlier_branch(repository, int(selector[1:]))
        elif selector.lower() in ("u", "upstream"):
            ref = _upstream(repository, ref)
        elif selector.isdigit():
            log = "HEAD" if base in ("HEAD", "@") or (not base and ref is None) else ref
            return _from_reflog(repository, log, int(selector))
        else:
            raise GitError(f"'@{{{selector}}}' is not supported", hint="use @{upstream}, @{1} or @{-1}")
        oid = repository.ref_store.read(ref) if ref else None
    if oid is None and ref and re.fullmatch("[0-9a-f]{40,64}", ref):
        return ref
    return oid


def _upstream(repository: Repository, ref: str | None) -> str | None:
    if ref is None or not ref.startswith("refs/heads/"):
        return None
    branch = ref.removeprefix("refs/heads/")
    remote = repository.config.get(f"branch.{branch}.remote", [""])[-1]
    merge = repository.config.get(f"branch.{branch}.merge", [""])[-1]
    if remote == ".":
        return merge or None
    return f"refs/remotes/{remote}/{merge.removeprefix('refs/heads/')}" if remote and merge else None


def _reflog(repository: Repository, ref: str) -> list[str]:
    folder = repository.git_dir if ref == "HEAD" else repository.common_dir
    try:
        with (folder / "logs" / ref).open("rb") as file:
            return file.read(_MAX_REFLOG_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _from_reflog(repository: Repository, ref: str | None, back: int) -> str | None:
    if ref is None:
        return None
    if back == 0:
        return repository.head().oid if ref == "HEAD" else repository.ref_store.read(ref)
    lines = _reflog(repository, ref)
    if back < len(lines):
        return lines[-1 - back].split(" ", 2)[1]
    return lines[0].split(" ", 1)[0] if back == len(lines) and lines and lines[0].strip("0 ")[:1] else None


def _earlier_branch(repository: Repository, back: int) -> str | None:
    for line in reversed(_reflog(repository, "HEAD")):
        moved = re.search(r"\tcheckout: moving from (\S+) to ", line)
        if moved:
            back -= 1
            if back == 0:
                return full_ref_name(repository, moved[1]) or moved[1]
    return None


def _no_such(repository: Repository, revision: str) -> GitError:
    # Slow import, wanted only to explain.
    from difflib import get_close_matches

    head = repository.head()
    if head.oid is None and revision in ("HEAD", "@"):
        return GitError("this branch has no commit yet", hint="run: git commit")
    short = [re.sub(r"^refs/(?:heads|tags|remotes)/", "", name) for name in repository.refs()]
    near = get_close_matches(revision, sorted(set(short)), n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else ""
    return GitError(f"no such revision {revision!r}", hint=hint)


def commits_between(repository: Repository, expression: str) -> tuple[Commit, ...]:
    """Give the commits of "a..b", parents before children. An empty side means HEAD. Raises GitError."""
    left, dots, right = expression.partition("..")
    if not dots or right.startswith("."):
        raise GitError(f"{expression!r} is not a range", hint='write it as "main..feature"')
    without, tip = resolve(repository, left or "HEAD"), resolve(repository, right or "HEAD")
    wanted = _not_reachable(repository, repository.commit(without), repository.commit(tip))
    return _parents_first(repository, wanted)


def _not_reachable(repository: Repository, without: Commit, tip: Commit) -> dict[str, Commit]:
    """Walk both histories newest first, as git: ends a little after nothing wanted is left."""
    found = {tip.oid: tip, without.oid: without}
    dull = {without.oid}
    queue = [(-commit.time, commit.oid) for commit in found.values()]
    heapq.heapify(queue)
    wanted_in_queue = int(tip.oid not in dull)
    slop = _SLOP
    while queue and (wanted_in_queue > 0 or slop > 0):
        if wanted_in_queue <= 0:
            slop -= 1
        _, oid = heapq.heappop(queue)
        is_dull = oid in dull
        wanted_in_queue -= not is_dull
        for parent in repository.parents(found[oid]):
            if parent not in found:
                found[parent] = repository.commit(parent)
                if is_dull:
                    dull.add(parent)
                else:
                    wanted_in_queue += 1
                heapq.heappush(queue, (-found[parent].time, parent))
            elif is_dull and parent not in dull:
                wanted_in_queue -= _spread(repository, found, dull, parent, {row[1] for row in queue})
    return {oid: commit for oid, commit in found.items() if oid not in dull}


def _spread(repository: Repository, found: dict[str, Commit], dull: set[str], start: str, queued: set[str]) -> int:
    """Mark `start` and its known ancestors as not wanted; gives how many of them wait in the queue."""
    todo = [start]
    waiting = 0
    while todo:
        oid = todo.pop()
        if oid in dull or oid not in found:
            continue
        dull.add(oid)
        waiting += oid in queued
        todo += repository.parents(found[oid])
    return waiting


def _parents_first(repository: Repository, commits: dict[str, Commit]) -> tuple[Commit, ...]:
    missing = {oid: sum(parent in commits for parent in repository.parents(commits[oid])) for oid in commits}
    children: dict[str, list[str]] = {}
    for oid, commit in commits.items():
        for parent in repository.parents(commit):
            children.setdefault(parent, []).append(oid)
    ready = [(commits[oid].time, oid) for oid, count in missing.items() if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ready:
        oid = heapq.heappop(ready)[1]
        ordered.append(commits[oid])
        for child in children.get(oid, ()):
            missing[child] -= 1
            if missing[child] == 0:
                heapq.heappush(ready, (commits[child].time, child))
    return tuple(ordered)


def default_branch(repository: Repository) -> str | None:
    """Guess the branch that changes are compared with, as a short name; None in an empty repository."""
    refs = repository.ref_store
    for remote in ("origin", "upstream"):
        target = refs.target(f"refs/remotes/{remote}/HEAD")
        if target and target.startswith(f"refs/remotes/{remote}/"):
            return target.removeprefix(f"refs/remotes/{remote}/")
    head = repository.head()
    if repository.work_tree is None and head.ref and head.oid:
        return head.ref.removeprefix("refs/heads/")  # nobody checks anything out there: it says what it is for
    named = repository.config.get("init.defaultbranch", [])
    for name in (*named[-1:], "main", "master", "trunk"):
        if refs.read(f"refs/heads/{name}") is not None:
            return name
    if head.ref and head.oid:
        return head.ref.removeprefix("refs/heads/")
    branches = [name for name in refs.all("refs/heads/")]
    return branches[0].removeprefix("refs/heads/") if branches else None
