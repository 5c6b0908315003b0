"""What a push takes with the hook installed and without: `python tests/benchmarks/push.py [PUSHES]`.

Two bare repositories on the same disk, pushed to in turns; with the orchestrator down, then up. Also: from the start
of the push to the first command of the first stage. A pause between two pushes lets the runs end.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "date +%s.%N >> {stamps}"
"""
OPERATOR = '[orchestrator]\ntrust = { refs = ["**"] }\n'
PAUSE_S = 1.5


def main() -> None:
    pushes = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="push-") as folder:
        root = Path(folder)
        env = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1"}
        env |= {f"GIT_{who}_{what}": "a@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        cicdctl = [sys.executable, "-P", "-m", "cicdctl", "-C", str(root / "hooked.git")]
        work, stamps = root / "work", root / "stamps"

        def git(*argv: str) -> None:
            subprocess.run(["git", *argv], cwd=work, env=env, check=True, capture_output=True)

        work.mkdir()
        git("init", "-q", "-b", "main")
        (work / ".cicd.toml").write_text(CONFIG.format(stamps=stamps))
        git("add", "-A")
        git("commit", "-q", "-m", "first")
        for name in ("plain", "hooked"):
            git("clone", "-q", "--bare", ".", f"../{name}.git")
        (root / "hooked.git/cicdctl").mkdir(mode=0o700)
        (root / "hooked.git/cicdctl/config.toml").write_text(OPERATOR)
        subprocess.run([*cicdctl, "hook", "install", "post-receive"], env=env, check=True, capture_output=True)

        def series(title: str) -> None:
            took: dict[str, list[float]] = {"plain": [], "hooked": []}
            to_start = []
            for number in range(pushes):
                (work / "number").write_text(f"{title} {number}\n")
                git("add", "-A")
                git("commit", "-q", "-m", f"{title} {number}")
                for name in ("plain", "hooked"):
                    seen = len(stamps.read_text().split()) if stamps.exists() else 0
                    before, wall = time.perf_counter(), time.time()
                    git("push", "-q", f"../{name}.git", "main")
                    took[name].append(time.perf_counter() - before)
                    if name == "hooked":
                        deadline = time.monotonic() + 30
                        while time.monotonic() < deadline:
                            found = stamps.read_text().split() if stamps.exists() else []
                            if len(found) > seen:
                                to_start.append(float(found[seen]) - wall)
                                break
                            time.sleep(0.01)
                time.sleep(PAUSE_S)
            extra = sorted(hooked - plain for plain, hooked in zip(took["plain"], took["hooked"], strict=True))
            starts = sorted(to_start)
            print(
                f"{title}: {pushes} pushes; without {_ms(statistics.median(took['plain']))}, "
                f"with {_ms(statistics.median(took['hooked']))}; the hook adds p50 {_ms(_at(extra, 0.5))}, "
                f"p95 {_ms(_at(extra, 0.95))}, most {_ms(extra[-1])}"
            )
            print(
                f"  to the first command: {len(starts)} runs, p50 {_ms(_at(starts, 0.5))}, p95 {_ms(_at(starts, 0.95))}"
            )

        series("orchestrator down")
        watch = subprocess.Popen([*cicdctl, "watch"], env=env, stderr=subprocess.DEVNULL)
        time.sleep(2.0)
        if watch.poll() is None:
            series("orchestrator up")
            watch.send_signal(signal.SIGTERM)
        watch.wait()
        time.sleep(PAUSE_S)


def _at(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    main()
