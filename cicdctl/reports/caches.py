"""Shows the cache and what was removed from it."""

from __future__ import annotations

from typing import Any

import msgspec

from cicdctl.project import Project
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.runner.housekeeping import clear_cache, collect_garbage
from cicdctl.units import format_size


def print_stats(project: Project, *, json: bool) -> int:
    """Print entries and bytes by kind. Returns exit status 0."""
    stats: dict[str, Any] = msgspec.to_builtins(project.cache.stats())
    if json:
        print_document("cache", {"folder": str(project.cache_folder), **stats})
        return 0
    print_lines([str(project.cache_folder)])
    print_table([(f"  {name}", _shown(name, value)) for name, value in stats.items() if isinstance(value, int | float)])
    return 0


def print_gc(project: Project, *, dry_run: bool, json: bool) -> int:
    """Collect garbage and say what went and why. Returns exit status 0."""
    report = collect_garbage(project, dry_run=dry_run)
    if json:
        print_document("cache-gc", {"dry_run": dry_run, **msgspec.to_builtins(report)})
        return 0
    verb = "would remove" if dry_run else "removed"
    for removal in report.removals[:50]:
        print_lines([f"  {verb} {removal.name[:16]}  {format_size(removal.size_bytes)}  {removal.reason}"])
    if len(report.removals) > 50:
        print_lines([f"  and {len(report.removals) - 50} more"])
    freed = sum(removal.size_bytes for removal in report.removals)
    print_lines([f"{verb} {len(report.removals)} things, {format_size(freed)}; {format_size(report.kept_bytes)} stay"])
    return 0


def print_cleared(project: Project) -> int:
    """Clear the cache. Returns exit status 0."""
    freed = clear_cache(project)
    print_lines([f"cleared {format_size(freed)}"])
    return 0


def print_verified(project: Project, *, json: bool) -> int:
    """Verify the cache. Returns exit status 1 when something was damaged, else 0."""
    report = project.cache.verify()
    damaged = list(report.damaged)
    if json:
        print_document("cache-verify", msgspec.to_builtins(report))
    else:
        print_lines([f"  damaged: {text}" for text in damaged])
        print_lines([f"{report.checked} entries and blobs checked, {len(damaged)} damaged and put aside"])
    return 1 if damaged else 0


def _shown(name: str, value: float) -> str:
    return format_size(int(value)) if name.endswith("bytes") else f"{value:g}"
