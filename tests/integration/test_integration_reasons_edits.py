"""Edits of a build file, and what is said of each: one true sentence, which leads to what was edited."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import Run
from test_integration_reasons import details, find, last

from builder.cache.explain import explain
from builder.cache.key import Part
from builder.store.store import open_store

FILE = """FROM base AS build
ARG VERSION=1
ENV MODE=fast
COPY one /one
RUN cat /one > /first
RUN echo $VERSION > /second
RUN --mount=type=cache,target=/c,mode=0700 echo three > /third
RUN <<EOF
echo four > /fourth
EOF
FROM base
COPY --from=build /first /first
COPY one two /files/
"""
LONG = "RUN true && " + " && ".join(f"echo {number} > /long" for number in range(20))

# What is replaced by what, and what is said of which step; of the others it is said that they follow it.
EDITS = {
    "a new line": (
        "RUN echo $V", "RUN echo new > /new\nRUN echo $V",
        {"RUN echo new": ["never built before"], "RUN echo 1 >": "RUN echo new", "RUN --mount": "RUN echo 1 >"},
    ),
    "a new line much like another": (
        "RUN echo $V", "RUN echo $VERSION > /other\nRUN echo $V",
        {"RUN echo 1 > /other": ["never built before"], "RUN echo 1 > /second": "RUN echo 1 > /other"},
    ),
    "a new COPY": (
        "COPY one two", "COPY two /elsewhere\nCOPY one two",
        {"COPY two": ["never built before"], "COPY one two": "COPY two"},
    ),
    "a line twice": (
        "RUN <<EOF", "RUN echo $VERSION > /second\nRUN <<EOF",
        {"6/7] RUN echo 1": ["never built before"], "RUN <<EOF": "6/7] RUN echo 1"},
    ),
    "a line is gone": (
        "RUN echo $VERSION > /second\n", "",
        {"RUN --mount": ["it stands on RUN cat /one > /first now, on RUN echo $VERSION > /second before"]},
    ),
    "lines change places": (
        "RUN cat /one > /first\nRUN echo $VERSION > /second\n",
        "RUN echo $VERSION > /second\nRUN cat /one > /first\n",
        {
            "RUN echo 1": ["it stands on COPY one /one now, on RUN cat /one > /first before"],
            "RUN cat": "RUN echo 1",
        },
    ),
    "another command": (
        "cat /one > /first", "cat  /one /one > /first",
        {"RUN cat": ["command: 'cat /one > /first' → 'cat  /one /one > /first'"], "RUN echo 1": "RUN cat"},
    ),
    "other blanks": ("cat /one >", "cat  /one  >", {"RUN cat": ["command: only blanks or line ends differ"]}),
    "the end of a long command": (
        LONG, LONG[:-5] + "/last",
        {"RUN true": ["command: '…long && echo 19 > /long' → '…long && echo 19 > /last'"]},
    ),
    "another shell": (
        "RUN echo $V", 'SHELL ["/bin/sh", "-ec"]\nRUN echo $V',
        {"RUN echo 1": [
            "command: '/bin/sh -c echo $VERSION > /second' → '/bin/sh -ec echo $VERSION > /second'"
        ]},
    ),
    "a heredoc": (
        "echo four >", "echo five >",
        {"RUN <<EOF": ["command: 'echo four > /fourth⏎' → 'echo five > /fourth⏎'"]},
    ),
    "another mount": (
        "target=/c,", "target=/d,",
        {"RUN --mount": ["mount cache /d is new", "mount cache /c is gone"]},
    ),
    "another mode of a mount": (
        "mode=0700", "mode=0711",
        {"RUN --mount": ["mount cache /c: 'mode=0700 owner=0:0 rw' → 'mode=0711 owner=0:0 rw'"]},
    ),
    "another source": ("COPY one two /f", "COPY one three /f", {"COPY one three": ["+three", "-two"]}),
    "an option": ("COPY one two", "COPY --chown=7 one two", {"COPY --chown": ["--chown is new: '7'"]}),
    "a switch": ("COPY one two", "COPY --link one two", {"COPY --link": ["--link is new"]}),
    "a user": (
        "RUN <<EOF", "USER root\nRUN <<EOF",
        {"RUN <<EOF": ["user: none → 'root'"]},
    ),
    "a variable": ("MODE=fast", "MODE=slow", {"RUN cat": ["ENV MODE: fast → slow"]}),
    "an argument": ("VERSION=1", "VERSION=2", {"RUN echo 2": ["ARG VERSION: 1 → 2"]}),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that all edits are built in, each in a folder of its own: all begin with steps that are there."""
    return tmp_path_factory.mktemp("shared")


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_told_as_what_it_is(pybuild: Run, shared: Path, name: str) -> None:
    store, context = shared / "store", shared / name.replace(" ", "-")
    before, after, told = EDITS[name]
    context.mkdir()
    for file in ("one", "two", "three"):
        (context / file).write_text(file)
    text = FILE + f"{LONG}\n"
    assert before in text
    (context / "Buildfile").write_text(text)
    pybuild("build", "--store", store, "-q", context)
    (context / "Buildfile").write_text(text.replace(before, after, 1))
    pybuild("build", "--store", store, "-q", context)
    steps = last(store)
    for step, said in told.items():
        found = find(steps, step)
        if isinstance(said, str):
            assert found.reasons[-1].step == find(steps, said).number, (details(found), found.reasons)
        else:
            assert sorted(details(found)) == sorted(said)
    assert "nobody knows" not in pybuild("explain", "--store", store).stdout


def test_a_build_file_that_was_elsewhere_is_compared_with_itself(
    pybuild: Run, store: Path, context: Path, tmp_path: Path
) -> None:
    (context / "Buildfile").write_text(FILE)
    for file in ("one", "two"):
        (context / file).write_text(file)
    pybuild("build", "-q", context)
    # Another project, with a line of the same text: it was never built.
    other = tmp_path / "other"
    other.mkdir()
    (other / "one").write_text("another")
    (other / "Buildfile").write_text("FROM base AS build\nCOPY one /one\nRUN echo other\n")
    pybuild("build", "-q", other)
    assert details(find(last(store), "COPY one")) == ["never built before"]
    # A second checkout of the same folder's name, and one in the place of the first.
    for place in (tmp_path / "again" / "context", tmp_path / "moved"):
        place.parent.mkdir(exist_ok=True)
        shutil.copytree(context, place)
        if place.name == "moved":
            shutil.rmtree(context)
        (place / "one").write_text(f"of {place.name}")
        pybuild("build", "-q", place)
        reasons = details(find(last(store), "COPY one /one"))
        assert len(reasons) == 1 and reasons[0].startswith("one (content "), reasons
        assert find(last(store), "RUN cat").reasons[0].step == find(last(store), "COPY one /one").number


def test_a_step_that_waited_for_what_failed_did_not_fail(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS one\nRUN exit 3\nFROM base\nCOPY --from=one /x /x\nRUN --mount=from=one,target=/m true\n"
    )
    report = context / "r.xml"
    assert pybuild("build", "--report", report, context, ok=False).returncode == 1
    assert [step.outcome for step in last(store) if "RUN exit" in step.title] == ["failed"]
    assert [step.outcome for step in last(store) if "COPY" in step.title] == ["cancelled"]
    text = pybuild("explain").stdout
    assert "COPY" not in text and "nobody knows why" not in text and text.count("failed: process") == 1
    assert 'failures="1"' in report.read_text()


def test_a_step_is_meant_by_its_line_too(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nARG V=1\nRUN echo $V > /v\nRUN echo x > /x\n")
    pybuild("build", context)
    for name in ("RUN echo $V > /v", "RUN echo 1 > /v", "RUN  echo $V  > /v"):
        done = pybuild("build", "--no-cache-filter", name, context)
        assert details(find(last(store), "RUN echo 1")) == [
            f"the cache was not asked: --no-cache-filter {name}"
        ]
        assert "no stage or step is called so" not in done.stderr


def test_words_of_an_exec_form_that_are_parted_in_another_way() -> None:
    old = [Part("argument", "0", "a"), Part("argument", "1", "b c")]
    new = [Part("argument", "0", "a"), Part("argument", "1", "b"), Part("argument", "2", "c")]
    (reason,) = explain(new, old)
    assert reason.detail == """command: "['a', 'b c']" → "['a', 'b', 'c']\""""


def test_what_a_bind_shows_is_not_told_as_a_fingerprint() -> None:
    old, new = (Part("mount", "bind /m", f"source=/ owner=0:0 ro {digit * 32}") for digit in "ab")
    (reason,) = explain([new], [old])
    assert reason.detail == "mount bind /m: the files that it shows changed"


def test_a_new_line_is_not_taken_for_what_another_said_long_ago(
    pybuild: Run, store: Path, context: Path
) -> None:
    """Only what the last build said, or those that failed after it, can have become another line."""
    file = context / "Buildfile"

    def build(*lines: str, ok: bool = True) -> None:
        file.write_text("\n".join(["FROM base", *(f"RUN {line}" for line in lines)]) + "\n")
        pybuild("build", context, ok=ok)

    build("echo one > /a", "echo two > /b")
    build("echo one > /a", "echo three > /b")
    build("echo one > /a", "true", "echo three > /b")
    assert details(find(last(store), "RUN true")) == ["never built before"]
    # A line that never came to its end has become none.
    build("echo one > /a", "true", "false", ok=False)
    build("echo one > /a", "true", "echo four > /b")
    assert details(find(last(store), "RUN echo four")) == ["command: 'echo three > /b' → 'echo four > /b'"]


@pytest.mark.parametrize("given", ["-", "/dev/stdin", "a substitution"])
def test_a_build_file_that_comes_through_a_pipe_belongs_to_its_context(
    pybuild: Run, store: Path, tmp_path: Path, given: str
) -> None:
    """Projects are kept apart, whatever number the pipe has; a link to a project's folder is that project."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    (tmp_path / "link").symlink_to("one")

    def build(place: str) -> list[str]:
        text = "FROM base\nCOPY f /f\n"
        if given != "a substitution":
            pybuild("build", "-q", "-f", given, tmp_path / place, input=text)
        else:
            read, write = os.pipe()
            os.write(write, text.encode())
            os.close(write)
            try:
                pybuild("build", "-q", "-f", f"/dev/fd/{read}", tmp_path / place, pass_fds=[read])
            finally:
                os.close(read)
        return details(find(last(store), "COPY f"))

    assert [build("one"), build("two")] == [["never built before"]] * 2
    (tmp_path / "one/f").write_text("changed")
    extra = os.open("/dev/null", os.O_RDONLY)  # so that the pipe has another number
    assert build("link") == ["f (content 3 → 7 bytes)"]
    os.close(extra)
    with open_store(str(store)) as opened:
        assert {build.file for build in opened.history.builds(10)} == {"stdin"}


def test_a_link_to_a_project_is_that_project(
    pybuild: Run, store: Path, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(context)
    (context / "Buildfile").write_text("FROM base\nRUN echo one\n")
    pybuild("build", "-q", context)
    (context / "Buildfile").write_text("FROM base\nRUN echo one\nRUN echo two\n")
    pybuild("build", "-q", tmp_path / "link")
    assert len({step.slot.partition("\n")[0] for step in last(store) if step.slot}) == 1
    with open_store(str(store)) as opened:
        slots = opened.database.all("SELECT DISTINCT slot FROM records")
    assert {str(slot).partition("\n")[0] for (slot,) in slots} == {str(context / "Buildfile")}
