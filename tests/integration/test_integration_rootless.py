"""Builds and containers of an ordinary user with subordinate ids."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from user_place import user_place


@pytest.fixture
def home(unprivileged: str, bases: Path) -> Iterator[Path]:
    """A folder that belongs to the user, with the base image and a copy of the program that the user can read."""
    with user_place(unprivileged, bases) as folder:
        yield folder


def test_an_ordinary_user_builds_and_runs(home: Path, unprivileged: str) -> None:
    context = home / "context"
    context.mkdir()
    (context / "f").write_text("mine\n")
    (context / "Buildfile").write_text(
        "FROM base\nCOPY --chown=app:staff f /f\nRUN id -u > /id && rm /etc/group && mkdir /d && chown 1001:50 /d\n"
        'USER app\nRUN id -un > /home/app/who\nCMD ["sh", "-c", "cat /id /home/app/who; ls -ln /f"]\n'
    )
    subprocess.run(["chown", "-R", unprivileged, str(context)], check=True)

    def run(*words: str) -> str:
        line = [
            "runuser",
            "-u",
            unprivileged,
            "--",
            str(home / "pybuild"),
            *words,
            "--store",
            str(home / "store"),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=home)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    flags = ["--build-context", f"base=oci-layout://{home / 'base'}", "-t", "app", "-o", "type=image"]
    flags += ["-o", f"type=oci,dest={home / 'out.tar'}"]
    assert run("build", *flags, str(context)).count("CACHED") <= 1
    assert run("build", *flags, str(context)).count("CACHED") == 4
    shown = subprocess.run(
        ["runuser", "-u", unprivileged, "--", str(home / "pybuild"), "run", "--store", str(home / "store"), "app"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert shown.stdout.splitlines()[:2] == ["0", "app"], shown.stderr
    assert shown.stdout.splitlines()[2].split()[2:4] == ["1000", "50"]
    # The image says the ids that it has inside, not those of the user's range.
    subprocess.run(["umoci", "--version"], check=True, capture_output=True)
    listed = subprocess.run(
        ["sh", "-c", f"skopeo copy -q oci-archive:{home}/out.tar dir:{home}/dir && "
         f"for f in {home}/dir/*; do tar -tvzf $f 2>/dev/null; done"], capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert any(line.split()[1] == "1000/50" and line.endswith(" f") for line in listed.splitlines()), listed
    assert any(line.split()[1] == "1001/50" and line.endswith(" d/") for line in listed.splitlines())
    assert any("etc/.wh.group" in line for line in listed.splitlines())


def test_an_ordinary_user_plans_and_explains(home: Path, unprivileged: str) -> None:
    context = home / "context"
    context.mkdir()
    (context / "f").write_text("one\n")
    (context / "Buildfile").write_text(
        'FROM base AS one\nCOPY --chown=app f /f\n# pybuild: recheck="cat /f"\nRUN cat /f > /g\n'
        "FROM base\nCOPY --from=one /g /g\nRUN --mount=from=one,target=/m cat /m/g > /h\n"
    )
    subprocess.run(["chown", "-R", unprivileged, str(context)], check=True)

    def run(*words: str) -> str:
        line = [
            "runuser",
            "-u",
            unprivileged,
            "--",
            str(home / "pybuild"),
            *words,
            "--store",
            str(home / "store"),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=home)
        assert done.returncode == 0, done.stderr
        return done.stdout

    base = ["--build-context", f"base=oci-layout://{home / 'base'}"]
    run("build", *base, str(context))
    planned = run("plan", *base, str(context))
    assert "3 hits, 0 misses" in planned and "depends on what it says now: cat /f" in planned
    (context / "f").write_text("two\n")
    assert "1 file changed: f (content)" in run("plan", *base, str(context))
    run("build", *base, str(context))
    told = run("explain", "--diff")
    assert "    -one\n    +two\n" in told and "because step" in told


def test_prune_removes_files_of_other_ids(home: Path, unprivileged: str) -> None:
    """Files of subordinate ids, which the user cannot remove outside the user namespace, and those of killed builds."""
    context, store = home / "context", home / "store"
    context.mkdir()
    (context / "Buildfile").write_text(
        "FROM base\nRUN --mount=type=cache,target=/c,uid=1001 mkdir /d && echo x > /d/x && chown -R 1001:50 /d && chmod 700 /d"
        " && dd if=/dev/zero of=/c/big bs=1k count=300 && chown 1001 /c/big && chmod 500 /d /c\n"
    )
    subprocess.run(["chown", "-R", unprivileged, str(context)], check=True)

    def run(*words: str) -> str:
        line = ["runuser", "-u", unprivileged, "--", str(home / "pybuild"), *words, "--store", str(store)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, cwd=home)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("build", "-q", "--build-context", f"base=oci-layout://{home / 'base'}", "-t", "app", str(context))
    (snapshot,) = store.glob("snapshots/*/fs/d")
    assert snapshot.stat().st_uid not in (0, store.stat().st_uid)
    # A killed build's run with files of such an id.
    subprocess.run(
        ["cp", "-a", str(snapshot.parent.parent), str(store / "runs" / "0123456789abcdef")], check=True
    )
    assert "cache mounts" in run("du")
    run("rmi", "app")
    assert "reclaimed" in run("prune", "--all", "--force")
    for folder in ("snapshots", "runs", "blobs/sha256", "caches", "listings"):
        assert list((store / folder).iterdir()) == [], folder
