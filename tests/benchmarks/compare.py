"""Whole commands side by side with `docker build` (BuildKit in Debian's dockerd, started here in a temporary folder).

Prints medians and ratios of the same run; nothing is judged.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
ROOT = Path(__file__).resolve().parent.parent.parent
PYBUILD = [sys.executable, "-m", "builder"]


def seconds(line: list[str], env: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(line, env=env, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pb-bench-", dir="/tmp") as name:
        work = Path(name)
        address = f"unix://{work}/docker.sock"
        env = dict(
            os.environ,
            PYBUILD_STORE=str(work / "store"),
            DOCKER_HOST=address,
            DOCKER_BUILDKIT="1",
            PYTHONPATH=str(ROOT),
        )
        line = [
            "dockerd",
            "--host",
            address,
            "--data-root",
            str(work / "data"),
            "--exec-root",
            str(work / "exec"),
        ]
        line += ["--pidfile", str(work / "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false"]
        daemon = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            subprocess.run(
                [str(ROOT / "examples/bases/busybox"), *PYBUILD], env=env, check=True, capture_output=True
            )
            subprocess.run(
                [*PYBUILD, "save", "-o", str(work / "bb.tar"), "busybox:local"], env=env, check=True
            )
            while subprocess.run(["/usr/bin/docker", "version"], env=env, capture_output=True).returncode:
                time.sleep(0.1)
            subprocess.run(["/usr/bin/docker", "load", "-q", "-i", str(work / "bb.tar")], env=env, check=True)
            context = work / "context"
            context.mkdir()
            steps = [f"RUN true {number}" for number in range(50)]
            (context / "Dockerfile").write_text("\n".join(["FROM busybox:local", *steps]) + "\n")
            print(f"{'work':<24}{'pybuild':>10}{'docker':>10}{'ratio':>8}")
            for title, flags in (("50 RUN steps, cold", ["--no-cache"]), ("50 RUN steps, cached", [])):
                ours = [*PYBUILD, "build", "-q", *flags, str(context)]
                theirs = ["/usr/bin/docker", "build", "-q", "--network", "host", *flags, str(context)]
                pairs = [(seconds(ours, env), seconds(theirs, env)) for _ in range(ROUNDS + 1)][1:]
                a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
                print(f"{title:<24}{a:>9.3f}s{b:>9.3f}s{a / b:>8.2f}")
        finally:
            daemon.terminate()
            daemon.wait(30)


if __name__ == "__main__":
    main()
