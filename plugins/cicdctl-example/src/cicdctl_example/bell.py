"""Rings when a run ends red: the terminal's bell, or a desktop notification."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from cicdctl.plugin_api import RunSummary, hookimpl


@hookimpl
def cicdctl_run_finished(summary: RunSummary) -> None:
    verdict = summary.run.verdict
    how = os.environ.get("CICDCTL_BELL", "terminal")
    if verdict is None or verdict.is_green or how == "off":
        return
    if how == "desktop" and shutil.which("notify-send"):
        text = f"{summary.run.pipeline} #{summary.run.number} {verdict}"
        subprocess.run(["notify-send", "--app-name=cicdctl", "cicdctl", text], check=True, timeout=5)
    elif sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()
