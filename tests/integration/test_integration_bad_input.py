"""What can go wrong, as a user meets it: one clear message, the right exit status, nothing lost, the store usable."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import DEADLINE, PYBUILD, Run

GOOD = "FROM base\nRUN echo x > /x\n"


@pytest.mark.parametrize(
    ("file", "status", "words"),
    [
        ("", 2, "no instructions"),
        ("FROM base\nCOPPY a b\n", 2, "did you mean COPY"),
        ("FROM base\nCOPY --chwon=1 a b\n", 2, "did you mean --chown"),
        ("FROM base\nCOPY --from=nowhere /a /a\n", 1, "nowhere"),
        ("FROM base\nCOPY gone /x\n", 1, '"gone" is not in the build context'),
        ("FROM base\nCOPY ../../etc/passwd /x\n", 1, "is not in the build context"),
        ("FROM base\nCOPY ../other /x\n", 1, "nothing outside is taken"),
        ("FROM base AS b\nFROM base\nCOPY --from=b /gone /x\n", 1, "and which stage makes it"),
        (
            "FROM base\nRUN --mount=type=bind,source=left-out,target=/x true\n",
            1,
            "an ignore file leaves it out",
        ),
        ("FROM scratch\nRUN true\n", 1, "the image has no such program"),
        ("FROM base\nRUN echo last words && exit 7\n", 1, "exit code: 7"),
        ("FROM base\nRUN sleep 9 & kill -9 $!; wait $!\n", 1, "exit code: 137"),
        ("FROM base\nENV A=${B\n", 2, "closing brace"),
        ("RUN true\n", 2, "FROM"),
        ("FROM base\nUSER ghost\nRUN true\n", 1, "ghost"),
    ],
)
def test_a_bad_build_file_is_answered_in_words(
    pybuild: Run, context: Path, file: str, status: int, words: str
) -> None:
    (context / "Buildfile").write_text(file)
    (context / ".dockerignore").write_text("left-out\n")
    (context / "left-out").write_text("x\n")
    failed = pybuild("build", context, ok=False)
    assert failed.returncode == status, failed.stderr
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr
    if "last words" in file:
        assert "last words" in failed.stderr
    (context / "Buildfile").write_text(GOOD)
    pybuild("build", context)


def test_files_may_go_into_a_folder_that_the_build_makes(pybuild: Run, context: Path, tmp_path: Path) -> None:
    (context / "Buildfile").write_text(GOOD)
    out = tmp_path / "out"
    pybuild(
        "build", "-o", out, "--metadata-file", out / "meta.json", "--report", out / "report.json", context
    )
    assert (out / "meta.json").exists() and (out / "report.json").exists()


def test_a_base_for_another_platform_is_told(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text(GOOD)
    pybuild("build", "-t", "127.0.0.1:1/base:1", context)
    (context / "Buildfile").write_text("FROM 127.0.0.1:1/base:1\n")
    failed = pybuild("build", "--platform", "linux/s390x", context, ok=False)
    assert "the store has 127.0.0.1:1/base:1 for " in failed.stderr and "not for linux/s390x" in failed.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--mount=type=ssh", "2:13: error: RUN --mount=type=ssh is not supported yet"),
        ("--network=host", "network.host is not allowed"),
        ("--security=insecure", "security.insecure is not allowed"),
    ],
)
def test_what_cannot_be_carried_out_is_told_before_anything_is(
    pybuild: Run, context: Path, flags: str, words: str
) -> None:
    (context / "Buildfile").write_text(f"FROM scratch AS later\nRUN {flags} true\nFROM base\nRUN touch /x\n")
    pybuild("build", context)  # nothing needs the stage
    text = (context / "Buildfile").read_text()
    (context / "Buildfile").write_text(f"{text}RUN echo first\nCOPY --from=later / /y\n")
    failed = pybuild("build", "--progress", "plain", context, ok=False)
    assert failed.returncode == 1
    assert words in failed.stderr and "echo first" not in failed.stderr, failed.stderr
    (context / "Buildfile").write_text(
        f"FROM base\nRUN {flags} --mount=type=ssh true\nRUN --device=a.b/c=d echo x\n"
    )
    failed = pybuild("build", "--report", context / "report.json", context, ok=False)
    messages = [words.partition("error: ")[2] or words, "type=ssh is not supported", "RUN --device is not"]
    assert all(message in failed.stderr for message in messages), failed.stderr
    report = json.loads((context / "report.json").read_text())
    assert report["error"]["others"][-1]["message"].startswith("RUN --device is not")


def test_a_type_of_a_mount_that_is_a_variable_is_refused_for_nothing_before_it_is_known(
    pybuild: Run, context: Path
) -> None:
    line = "FROM base\nARG T=cache\nRUN --mount=type=${T:-ssh},target=/x true\n"
    (context / "Buildfile").write_text(line)
    pybuild("build", "--pull", context)
    done = pybuild("build", "--pull", "--build-arg", "T=ssh", context, ok=False)
    assert "type=ssh is not supported" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "/nonexistent"], "does not exist"),
        (["build", "-f", "/nonexistent", "."], "does not exist"),
        (["build", "--target", "nope", "."], "nope"),
        (["build", "--tga", "x", "."], "did you mean --tag"),
        (["build", "-o", "type=nonsense,dest=x", "."], "nonsense"),
        (["inspect", "nothing"], "nothing"),
        (["load", "-i", "/nonexistent"], "/nonexistent"),
    ],
)
def test_wrong_usage(pybuild: Run, context: Path, arguments: list[str], words: str) -> None:
    (context / "Buildfile").write_text(GOOD)
    failed = pybuild(*arguments, ok=False, cwd=context)
    assert failed.returncode in (1, 2)
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def wait_for(build: subprocess.Popen[str], end: str) -> None:
    """Read the log of a build until a line ends so."""
    assert build.stderr is not None
    assert any(line.endswith(end) for line in build.stderr), "the build ended"


def test_a_killed_build_leaves_a_usable_store_and_nothing_behind(
    pybuild: Run, context: Path, store: Path, bases: Path
) -> None:
    (context / "Buildfile").write_text(
        "FROM base\nRUN echo one > /one\nRUN echo two > /two && echo started && sleep 600\n"
    )
    line = [*PYBUILD, "build", "--build-context", f"base=oci-layout://{bases / 'base'}", str(context)]
    build = subprocess.Popen(
        line, env=dict(os.environ, PYBUILD_STORE=str(store)), stderr=subprocess.PIPE, text=True
    )
    wait_for(build, " started\n")
    build.kill()
    build.communicate()
    (context / "Buildfile").write_text("FROM base\nRUN echo one > /one\n")
    again = pybuild("build", context)
    assert again.stderr.count("CACHED") == 2
    assert not list((store / "runs").iterdir())


def test_an_interrupted_build_ends_at_once_with_130(context: Path, store: Path, bases: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN trap '' TERM INT; echo started; sleep 600\n")
    line = [*PYBUILD, "build", "--build-context", f"base=oci-layout://{bases / 'base'}", str(context)]
    build = subprocess.Popen(
        line, env=dict(os.environ, PYBUILD_STORE=str(store)), stderr=subprocess.PIPE, text=True
    )
    wait_for(build, " started\n")
    build.send_signal(signal.SIGINT)
    assert build.stderr is not None
    told = build.stderr.read()  # some of it may have been read with the line
    build.communicate(timeout=DEADLINE)
    assert build.returncode == 130, told
    assert "Traceback" not in told
    assert not list((store / "runs").iterdir())


def test_a_store_of_a_newer_version_is_refused(pybuild: Run, context: Path, store: Path) -> None:
    (context / "Buildfile").write_text(GOOD)
    pybuild("build", context)
    database = sqlite3.connect(store / "pybuild.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    failed = pybuild("build", context, ok=False)
    assert failed.returncode == 1
    assert "newer version" in failed.stderr


@pytest.mark.parametrize("what", ["pybuild.db", "index.json", "secret"])
def test_a_damaged_store_is_told_or_built_anew(pybuild: Run, context: Path, store: Path, what: str) -> None:
    (context / "Buildfile").write_text(GOOD)
    pybuild("build", "-t", "app", context)
    path = store / what
    path.write_bytes(b"garbage" + path.read_bytes()[7 : len(path.read_bytes()) // 2])
    for leftover in store.glob("pybuild.db-*"):
        leftover.unlink()
    again = pybuild("build", "-t", "app", context, ok=False)
    assert "Traceback" not in again.stderr
    assert again.returncode == 0 or "damaged" in again.stderr


def test_a_missing_snapshot_is_a_miss(pybuild: Run, context: Path, store: Path) -> None:
    (context / "Buildfile").write_text(GOOD)
    pybuild("build", context)
    for snapshot in (store / "snapshots").iterdir():
        if (snapshot / "fs" / "x").exists():
            subprocess.run(["rm", "-rf", str(snapshot / "fs")], check=True)
    again = pybuild("build", "-t", "app", context)
    assert again.stderr.count("CACHED") == 1
    assert pybuild("run", "app", "cat", "/x").stdout == "x\n"


def test_a_full_disk_is_told_and_harms_nothing(pybuild: Run, context: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        (context / "Buildfile").write_text("FROM base\nCOPY big /big\n")
        (context / "big").write_bytes(os.urandom(12 << 20))
        failed = pybuild("build", "--store", small / "store", context, ok=False)
        assert failed.returncode == 1
        assert "space" in failed.stderr, failed.stderr
        (context / "Buildfile").write_text(GOOD)
        pybuild("build", "--store", small / "store", context)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.parametrize(
    ("made", "why", "hint"),
    [
        ("printf x > /x", "exec format error: built for another machine, or a script without a #! line",
         "take one that was built for the image's platform, or begin the script with #!/bin/sh"),
        ("printf '#!/none' > /x", "it is there, but the interpreter or dynamic linker that it names is not",
         "add what it needs to the image"),
        ("true", "no such file or directory", "the image has no such program: add it"),
    ],
)  # fmt: skip
def test_why_a_program_does_not_start_is_said_once_and_then_what_to_do(
    pybuild: Run, context: Path, made: str, why: str, hint: str
) -> None:
    (context / "Buildfile").write_text(f'FROM base\nRUN {made}; touch /x2; chmod +x /x*\nRUN ["/x"]\n')
    failed = pybuild("build", context, ok=False)
    assert f"cannot run '/x': exec /x: {why}\n" in failed.stderr and f"hint: {hint}" in failed.stderr


def test_a_platform_is_given_once(pybuild: Run) -> None:
    text = " ".join(pybuild("build", "--help").stdout.split())
    assert "Platform to build for, one at a time" in text
    assert "(may be repeated)" not in text.partition("--platform")[2].partition("--pull")[0]
