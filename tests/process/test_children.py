"""Programs that outlive us."""

from __future__ import annotations

import os
import sys

from cicdctl.process import reap_detached, start_detached


def test_detached_programs_do_not_stay_as_zombies(tmp_path, wait_until):
    """Each has a session of its own; the end of one is noted as soon as somebody asks, or starts another."""
    pids = []
    for _ in range(2):
        argv = [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"]
        pids.append(start_detached(argv, cwd=tmp_path, env=os.environ, log=tmp_path / "log"))
    wait_until(lambda: (tmp_path / "log").read_text() == "True\nTrue\n")

    def are_gone() -> bool:
        reap_detached()
        return not any(os.path.exists(f"/proc/{pid}") for pid in pids)

    wait_until(are_gone)
