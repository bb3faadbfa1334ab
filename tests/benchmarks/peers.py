"""The builders that pybuild is compared with: each from Debian, with all its data in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {"docker": "docker.io", "buildah": "buildah"}
# Another `docker` may stand in front of Debian's.
PROGRAMS = {"docker": "/usr/bin/docker", "buildah": "/usr/bin/buildah"}


@dataclass(frozen=True)
class Peer:
    """A builder: what builds a context (flags and the context follow), what loads an image, and its surroundings."""

    name: str
    build: tuple[str, ...]
    load: tuple[str, ...]
    env: dict[str, str]

    def give(self, archive: str) -> None:
        """Let it have an image from an archive in docker's form."""
        line = [word.replace("ARCHIVE", archive) for word in self.load]
        subprocess.run(line, env=self.env, check=True, capture_output=True)


def install(names: Sequence[str]) -> None:
    """Install what is missing with apt."""
    missing = [PACKAGES[name] for name in names if not os.path.exists(PROGRAMS[name])]
    if missing:
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(["apt-get", "update", "-q"], env=env, check=True, stdout=sys.stderr)
        line = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
        subprocess.run(line, env=env, check=True, stdout=sys.stderr)


def installed() -> list[str]:
    """The names of those that are here."""
    return [name for name, program in PROGRAMS.items() if os.path.exists(program)]


@contextmanager
def started(names: Sequence[str], work: Path, env: dict[str, str]) -> Iterator[list[Peer]]:
    """The peers, ready for work; `docker` with a daemon of its own."""
    peers = []
    if "buildah" in names:
        own = [PROGRAMS["buildah"], "--root", str(work / "buildah"), "--runroot", str(work / "buildah-run")]
        build = [*own, "build", "-q", "--layers", "--network", "host", "-t", "bench:theirs"]
        peers.append(Peer("buildah", tuple(build), (*own, "pull", "-q", "docker-archive:ARCHIVE"), env))
    if "docker" not in names:
        yield peers
        return
    env = dict(env, DOCKER_HOST=f"unix://{work}/docker.sock", DOCKER_BUILDKIT="1")
    docker = PROGRAMS["docker"]
    build = [docker, "build", "-q", "--network", "host", "-t", "bench:theirs"]
    with _daemon(work, env):
        yield [Peer("docker", tuple(build), (docker, "load", "-q", "-i", "ARCHIVE"), env), *peers]


@contextmanager
def _daemon(work: Path, env: dict[str, str]) -> Iterator[None]:
    line = [shutil.which("dockerd") or "/usr/sbin/dockerd", "--host", env["DOCKER_HOST"]]
    line += ["--data-root", str(work / "docker"), "--exec-root", str(work / "docker-run")]
    line += ["--pidfile", str(work / "docker.pid"), "--bridge=none", "--iptables=false", "--ip6tables=false"]
    with (work / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(line, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while subprocess.run([PROGRAMS["docker"], "version"], env=env, capture_output=True).returncode:
            if daemon.poll() is not None or time.monotonic() > until:
                sys.exit("dockerd does not start:\n" + (work / "dockerd.log").read_text()[-2000:])
            time.sleep(0.1)
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)
