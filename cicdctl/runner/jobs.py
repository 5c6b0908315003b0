"""How many stages run at once when nobody says."""

from __future__ import annotations

import os

from cicdctl.project import Project


def count_jobs(project: Project) -> int:
    """Return one per core that this process may use, at most `max_cpu_cores`; 1 without `parallel_execution`."""
    if not project.settings.orchestrator.optimization.parallel_execution:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ceiling = project.settings.orchestrator.resources.max_cpu_cores
    return max(1, min(cores, int(ceiling)) if ceiling else cores)
