"""Real tools take the outputs: skopeo, podman, umoci, docker."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DEADLINE, Run

FILE = """\
FROM base
WORKDIR /srv
COPY greeting .
RUN echo built > /built && ln -s greeting link
ENV WHO=world
ENTRYPOINT ["/bin/sh", "-c", "echo $(cat greeting) $WHO $(cat /built)"]
"""


@pytest.fixture
def project(context: Path) -> Path:
    (context / "Buildfile").write_text(FILE)
    (context / "greeting").write_text("hello\n")
    return context


def run(*line: str | Path, **options: object) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in line], capture_output=True, text=True, timeout=DEADLINE, **options
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def test_skopeo_reads_the_archive_and_the_store(
    pybuild: Run, project: Path, store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.tar"
    pybuild("build", "-t", "example/app:1", "-o", "type=image", "-o", f"type=oci,dest={out}", project)
    seen = json.loads(run("skopeo", "inspect", f"oci-archive:{out}"))
    assert "WHO=world" in seen["Env"]
    run("skopeo", "copy", f"oci-archive:{out}", f"dir:{tmp_path / 'copy'}")
    names = [
        item["annotations"]["org.opencontainers.image.ref.name"]
        for item in json.loads((store / "index.json").read_text())["manifests"]
    ]
    stored = json.loads(run("skopeo", "inspect", f"oci:{store}:{names[0]}"))
    assert stored["Layers"] == seen["Layers"]


def test_umoci_unpacks_the_layout(pybuild: Run, project: Path, tmp_path: Path) -> None:
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    pybuild("build", "-t", "app:v1", "-o", f"type=oci,tar=false,dest={layout}", project)
    names = [
        item["annotations"]["org.opencontainers.image.ref.name"]
        for item in json.loads((layout / "index.json").read_text())["manifests"]
    ]
    run("umoci", "unpack", "--image", f"{layout}:{names[0]}", bundle)
    assert (bundle / "rootfs/srv/greeting").read_text() == "hello\n"
    assert (bundle / "rootfs/built").read_text() == "built\n"
    assert os.readlink(bundle / "rootfs/srv/link") == "greeting"


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as podman wants it."""
    with tempfile.TemporaryDirectory(prefix="pb-", dir="/tmp") as name:
        yield Path(name)
        subprocess.run(
            [
                "podman",
                "--root",
                f"{name}/root",
                "--runroot",
                f"{name}/run",
                "--storage-driver",
                "vfs",
                "rmi",
                "-af",
            ],
            capture_output=True,
        )


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_podman_loads_and_runs(pybuild: Run, project: Path, tmp_path: Path, short: Path, form: str) -> None:
    out = tmp_path / "out.tar"
    pybuild("build", "-t", "localhost/app:v1", "-o", f"type={form},dest={out}", project)
    podman = ["podman", "--root", short / "root", "--runroot", short / "run", "--storage-driver", "vfs"]
    podman += ["--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "file"]
    loaded = run(*podman, "load", "-i", out)
    name = loaded.strip().splitlines()[-1].split(": ", 1)[1]
    ran = run(
        *podman,
        "run",
        "--rm",
        "--network",
        "none",
        "--ulimit",
        "nofile=256:256",
        "--ulimit",
        "nproc=500:500",
        name,
    )
    assert ran == "hello world built\n"


def test_podman_takes_comments_that_control_the_cache_for_comments(
    pybuild: Run, tmp_path: Path, short: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a").write_text("a")
    (context / "Dockerfile").write_text(
        'FROM scratch AS unneeded\n# pybuild: recheck="date" expires=24h\nRUN true\n'
        "FROM scratch\n# pybuild: cache=never\nCOPY a /a\n# pybuild: expires=24h\nCOPY a /b\n"
    )
    pybuild("build", "--output", "type=cacheonly", context)
    podman = ["podman", "--root", short / "root", "--runroot", short / "run", "--storage-driver", "vfs"]
    built = run(*podman, "build", "--isolation", "chroot", "-q", context)
    assert len(built.strip()) == 64


@pytest.fixture
def dockerd(tmp_path: Path) -> Iterator[str]:
    """A Docker daemon of the test's own; gives its address."""
    address = f"unix://{tmp_path}/docker.sock"
    log = (tmp_path / "dockerd.log").open("wb")
    daemon = subprocess.Popen(
        [
            "dockerd",
            "--host",
            address,
            "--data-root",
            str(tmp_path / "docker"),
            "--exec-root",
            str(tmp_path / "exec"),
        ]
        + [
            "--pidfile",
            str(tmp_path / "docker.pid"),
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        asking = ["/usr/bin/docker", "-H", address, "version"]
        while subprocess.run(asking, capture_output=True).returncode:
            assert daemon.poll() is None, (tmp_path / "dockerd.log").read_text()[-3000:]
            time.sleep(0.1)
        yield address
    finally:
        daemon.terminate()
        daemon.wait()
        log.close()


def test_docker_loads_and_runs(pybuild: Run, project: Path, tmp_path: Path, dockerd: str) -> None:
    out = tmp_path / "out.tar"
    pybuild("build", "-t", "example/app:2", "-o", f"type=docker,dest={out}", project)
    docker = ["/usr/bin/docker", "-H", dockerd]
    assert "example/app:2" in run(*docker, "load", "-i", out)
    ran = run(*docker, "run", "--rm", "--network", "none", "example/app:2")
    assert ran == "hello world built\n"


def test_the_files_as_folder_and_tar(pybuild: Run, project: Path, tmp_path: Path) -> None:
    folder, archive = tmp_path / "folder", tmp_path / "files.tar"
    pybuild("build", "-o", f"type=local,dest={folder}", "-o", f"type=tar,dest={archive}", project)
    assert (folder / "built").read_text() == "built\n"
    with tarfile.open(archive) as tar:
        assert tar.getmember("srv/link").linkname == "greeting"
    to_stdout = pybuild("build", "-o", "-", project, text=False).stdout
    assert to_stdout == archive.read_bytes()
