"""Cache mounts of one name in steps that run at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import DEADLINE, PYBUILD, Run

# Each of two stages leaves its mark, waits (at most two minutes) until the other is there too, and lists what it sees.
MEET = """\
FROM base AS {name}
RUN --mount=type=cache,id=tried,target=/tried,sharing={sharing} --mount=type=cache,id=met,target=/met <<EOF
touch /tried/{name} /met/{name}
for i in $(seq 6000); do [ -e /met/a ] && [ -e /met/b ] && break; sleep 0.02; done
ls /tried > /seen
EOF
"""
ALONE = """\
FROM base AS {name}
RUN --mount=type=cache,id=tried,target=/tried,sharing=locked --mount=type=cache,id=met,target=/met <<EOF
mkdir /met/inside || exit 1
sleep 0.2
rmdir /met/inside
touch /tried/{name}
ls /tried > /seen
EOF
"""
RESULT = "FROM scratch\nCOPY --from=a /seen /a\nCOPY --from=b /seen /b\n"


def seen(pybuild: Run, context: Path, tmp_path: Path, stages: str) -> dict[str, list[str]]:
    (context / "Buildfile").write_text(stages + RESULT)
    pybuild("build", "--jobs", "2", "-o", tmp_path / "out", context)
    return {name: (tmp_path / "out" / name).read_text().split() for name in "ab"}


@pytest.mark.parametrize(
    ("sharing", "expected"),
    [
        ("shared", {"a": ["a", "b"], "b": ["a", "b"]}),
        ("private", {"a": ["a"], "b": ["b"]}),
    ],
)
def test_two_steps_at_once(
    pybuild: Run, context: Path, tmp_path: Path, sharing: str, expected: dict[str, list[str]]
) -> None:
    stages = "".join(MEET.format(name=name, sharing=sharing) for name in "ab")
    assert seen(pybuild, context, tmp_path, stages) == expected


def test_a_locked_mount_is_for_one_step_at_a_time(pybuild: Run, context: Path, tmp_path: Path) -> None:
    found = seen(pybuild, context, tmp_path, "".join(ALONE.format(name=name) for name in "ab"))
    assert sorted(found.values(), key=len) in ([["a"], ["a", "b"]], [["b"], ["a", "b"]])


def test_another_owner_mode_or_beginning_is_another_mount(
    pybuild: Run, context: Path, tmp_path: Path
) -> None:
    lines = [
        f"RUN --mount=type=cache,id=c,target=/c{more} ls /c >> /seen; touch /c/{number}"
        for number, more in enumerate(["", ",uid=5", ",gid=5", ",mode=700", ",from=s,source=/d", ""])
    ]
    stage = "FROM base AS s\nRUN mkdir /d && touch /d/given\nFROM base AS a\n" + "\n".join(lines)
    (context / "Buildfile").write_text(f"{stage}\nFROM scratch\nCOPY --from=a /seen /a\n")
    pybuild("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out" / "a").read_text().split() == ["given", "0"]


def test_a_folder_inside_a_mount_is_shown(pybuild: Run, context: Path, tmp_path: Path) -> None:
    lines = [
        "RUN --mount=type=cache,id=c,target=/c mkdir -p /c/d/e && touch /c/d/e/f && ln -s /etc /c/out && ln -s d/e /c/in",
        # The owner and mode are those of a mount that is made, and so no part of this one.
        "RUN --mount=type=cache,id=c,target=/x,source=d/e,uid=5,mode=700 ls /x > /seen; touch /x/g",
        "RUN --mount=type=cache,id=c,target=/x,source=in ls /x >> /seen",
    ]
    text = "FROM base AS a\n" + "\n".join(lines)
    (context / "Buildfile").write_text(f"{text}\nFROM scratch\nCOPY --from=a /seen /\n")
    pybuild("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out" / "seen").read_text() == "f\nf\ng\n"
    # A link leads to what is in the mount, not to this machine.
    for inside, column in (("nope", 39), ("out", 39), ("d/../../etc", 1)):
        line = f"RUN --mount=type=cache,id=c,target=/x,source={inside} ls /x\n"
        (context / "Buildfile").write_text(f"{text}\n{line}")
        failed = pybuild("build", context, ok=False)
        shown = f'Buildfile:5:{column}: error: the source "/{inside.split("/")[-1]}" of a mount is not there'
        assert shown in failed.stderr


def test_what_a_mount_begins_with_is_a_part_of_it_and_of_the_key(
    pybuild: Run, context: Path, tmp_path: Path
) -> None:
    def built(given: str) -> tuple[str, str]:
        (context / "Buildfile").write_text(
            f"FROM base AS s\nRUN mkdir /d && touch /d/{given}\nFROM base AS a\n"
            "RUN --mount=type=cache,id=c,target=/c,from=s,source=/d ls /c > /seen; touch /c/more\n"
            "FROM scratch\nCOPY --from=a /seen /\n"
        )
        done = pybuild("build", "-o", tmp_path / "out", context)
        line = next(line for line in done.stderr.splitlines() if line.startswith(" [a 2/2] RUN"))
        return (tmp_path / "out" / "seen").read_text(), "miss" if " miss " in line else "hit"

    assert built("one") == ("one\n", "miss")
    assert built("two") == ("two\n", "miss")
    assert built("one") == ("one\n", "hit")


def test_a_context_that_changed_is_another_beginning(pybuild: Run, context: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    (given / "d").mkdir(parents=True)
    (given / "beside").write_text("of no mount")
    (context / "Buildfile").write_text(
        "FROM base AS a\nRUN --mount=type=cache,id=c,target=/c,from=given,source=/d cat /c/* > /seen; echo more > /c/more\n"
        "FROM scratch\nCOPY --from=a /seen /\n"
    )

    def built(*args: str) -> tuple[str, str]:
        done = pybuild("build", *args, "--build-context", f"given={given}", "-o", tmp_path / "out", context)
        line = next(line for line in done.stderr.splitlines() if line.startswith(" [a 2/2] RUN"))
        return (tmp_path / "out" / "seen").read_text(), "miss" if " miss " in line else "hit"

    (given / "d" / "a").write_text("one\n")
    assert built() == ("one\n", "miss")
    (given / "beside").write_text("something else")
    assert built() == ("one\n", "hit")
    (given / "d" / "a").write_text("two\n")
    assert built() == ("two\n", "miss")
    # The folder of each is kept, with what steps have put there.
    (given / "d" / "a").write_text("one\n")
    assert built() == ("one\n", "hit")
    assert built("--no-cache") == ("one\nmore\n", "miss")


def test_a_target_names_a_mount_in_all_build_files(pybuild: Run, context: Path, tmp_path: Path) -> None:
    for target, command in (("/x/../c", "touch /c/first"), ("/c/", "ls /c > /seen")):
        (context / "Buildfile").write_text(
            f"FROM base AS a\nRUN --mount=type=cache,target={target} {command}; touch /seen\n"
            "FROM scratch\nCOPY --from=a /seen /\n"
        )
        pybuild("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out" / "seen").read_text() == "first\n"


@pytest.mark.parametrize("sharing", ["shared", "private", "locked"])
def test_a_mount_that_one_step_names_twice_is_one(
    pybuild: Run, context: Path, tmp_path: Path, sharing: str
) -> None:
    mounts = " ".join(f"--mount=type=cache,id=one,target=/{name},sharing={sharing}" for name in "ab")
    (context / "Buildfile").write_text(
        f"FROM base AS a\nRUN {mounts} touch /a/f; ls /b > /seen\nFROM scratch\nCOPY --from=a /seen /\n"
    )
    pybuild("build", "-o", tmp_path / "out", context)
    assert (tmp_path / "out" / "seen").read_text() == "f\n"


def test_steps_that_lock_several_mounts_do_not_wait_for_each_other(pybuild: Run, context: Path) -> None:
    stages = ""
    for name, order in (("a", "xyz"), ("b", "zyx"), ("c", "yxz")):
        mounts = " ".join(f"--mount=type=cache,id={one},target=/{one},sharing=locked" for one in order)
        stages += f"FROM base AS {name}\nRUN {mounts} touch /{name}\n"
    copies = "".join(f"COPY --from={name} /{name} /\n" for name in "abc")
    (context / "Buildfile").write_text(f"{stages}FROM scratch\n{copies}")
    for _ in range(3):
        pybuild("build", "--no-cache", "--jobs", "3", context)


@pytest.mark.parametrize("other", ["true; ", ""], ids=["a locked mount", "a step"])
def test_a_build_that_waits_for_another_can_be_stopped(
    context: Path, bases: Path, store: Path, other: str
) -> None:
    text = (
        "FROM base\nRUN --mount=type=cache,id=m,target=/m,sharing=locked {}touch /m/here;"
        " until [ -e /m/go ]; do sleep 0.02; done\n"
    )
    line = [
        *PYBUILD,
        "build",
        "--progress",
        "plain",
        "--build-context",
        f"base=oci-layout://{bases / 'base'}",
    ]
    env = dict(os.environ, PYBUILD_STORE=str(store))

    def start(text: str, name: str) -> subprocess.Popen[str]:
        (context / name).write_text(text)
        return subprocess.Popen(
            [*line, "-f", context / name, context], env=env, text=True, stderr=subprocess.PIPE
        )

    first = start(text.format(""), "one")
    while not (found := list(store.glob("caches/*/here"))):
        assert first.poll() is None
        time.sleep(0.02)
    second = start(text.format(other), "two")
    assert second.stderr is not None
    assert any(said.startswith("#2 [2/2] RUN") for said in iter(second.stderr.readline, ""))
    second.terminate()
    assert second.wait(DEADLINE) == 128 + signal.SIGTERM
    assert first.poll() is None
    (found[0].parent / "go").touch()
    first.communicate()
    assert first.returncode == 0
    second.stderr.close()
