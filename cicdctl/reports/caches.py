"""Shows the cache and what was removed from it."""

from __future__ import annotations

from cicdctl.project import Project
from cicdctl.reports.document import every_field
from cicdctl.reports.output import print_document, print_lines, print_table
from cicdctl.runner.housekeeping import clear_cache, collect_garbage
from cicdctl.units import count, format_size

SHOWN_REMOVALS = 50


def print_stats(project: Project, *, json: bool) -> int:
    """Print what the cache holds by kind, and the size of it. Returns exit status 0."""
    stats = project.cache.stats()
    if json:
        print_document("cache", {"folder": str(project.cache_folder), **every_field(stats)})
        return 0
    rows = [
        ("results", f"{stats.entries:,}", format_size(stats.index_bytes)),
        ("artifacts and logs", f"{stats.blobs:,}", format_size(stats.blob_bytes)),
        ("dependency caches", f"{stats.dependency_caches:,}", format_size(stats.dependency_bytes)),
        ("damaged, put aside", "", format_size(stats.quarantine_bytes)),
        ("all", "", f"{format_size(stats.total_bytes)} of at most {format_size(stats.max_size_bytes)}"),
    ]
    print_lines([str(project.cache_folder)])
    print_table([(f"  {name}", number, size) for name, number, size in rows])
    return 0


def print_gc(project: Project, *, dry_run: bool, json: bool) -> int:
    """Collect garbage and say what went and why. Returns exit status 0."""
    report = collect_garbage(project, dry_run=dry_run)
    if json:
        print_document("cache-gc", every_field(report) | {"dry_run": dry_run})
        return 0
    if report.busy:
        print_lines(["another process is tidying up the cache; nothing was removed"])
        return 0
    verb = "would remove" if dry_run else "removed"
    for removal in report.removals[:SHOWN_REMOVALS]:
        print_lines([f"  {verb} {removal.name[:16]}  {format_size(removal.size_bytes)}  {removal.reason}"])
    if len(report.removals) > SHOWN_REMOVALS:
        print_lines([f"  and {len(report.removals) - SHOWN_REMOVALS:,} more"])
    freed = format_size(sum(removal.size_bytes for removal in report.removals))
    what = f"{count(len(report.removals), 'entry', 'entries')}, {freed}" if report.removals else "nothing"
    print_lines([f"{verb} {what}; {format_size(report.kept_bytes)} stay"])
    return 0


def print_cleared(project: Project) -> int:
    """Clear the cache. Returns exit status 0."""
    freed = clear_cache(project)
    print_lines([f"cleared {format_size(freed)}"])
    return 0


def print_verified(project: Project, *, json: bool) -> int:
    """Verify the cache. Returns exit status 1 when something was damaged, else 0."""
    report = project.cache.verify()
    if json:
        print_document("cache-verify", every_field(report))
    else:
        print_lines([f"  damaged: {text}" for text in report.damaged])
        checked = f"{count(report.entries, 'result')} and {count(report.blobs, 'blob')} checked"
        print_lines([f"{checked}, {len(report.damaged) or 'none'} damaged" + " and put aside" * bool(report.damaged)])
    return 1 if report.damaged else 0
