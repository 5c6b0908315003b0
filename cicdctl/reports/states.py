"""Shows the health of the state database, and what became of its copies."""

from __future__ import annotations

from pathlib import Path

from cicdctl.project import Project
from cicdctl.reports.output import print_document, print_lines
from cicdctl.store import back_up_state, check_state, restore_state
from cicdctl.store.backup import list_backups
from cicdctl.units import format_size


def print_check(project: Project, *, json: bool) -> int:
    """Check the state. Returns exit status 1 when it is damaged, else 0; raises StoreError when it does not open."""
    findings = check_state(project.state_folder)
    backups = list_backups(project.state_folder)
    is_whole = findings == "ok"
    if json:
        print_document("state", {"ok": is_whole, "findings": findings, "backups": [str(path) for path in backups]})
        return 0 if is_whole else 1
    print_lines([f"{project.state_folder}: {'whole' if is_whole else f'damaged: {findings}'}"])
    print_lines([f"  backup  {path}  {format_size(path.stat().st_size)}" for path in backups] or ["  no backup yet"])
    if not is_whole:
        print_lines(["cicdctl state restore puts the last backup back"])
    return 0 if is_whole else 1


def print_backup(project: Project, *, json: bool) -> int:
    """Make a backup and name it. Returns exit status 0."""
    path = back_up_state(project.state_folder)
    if json:
        print_document("state-backup", {"path": str(path), "bytes": path.stat().st_size})
    else:
        print_lines([f"{path}  {format_size(path.stat().st_size)}"])
    return 0


def print_restored(project: Project, source: Path | None) -> int:
    """Put a backup back and say where the old files are. Returns exit status 0."""
    aside = restore_state(project.state_folder, source)
    print_lines([f"restored; the files that were there are in {aside}"])
    return 0
