"""What is a part of a step's key and what is not: one change at a time, and whether the step is found again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import builder

RUN = """\
FROM base
ARG U
RUN --mount=type=secret,id=s --mount=type=cache,id=one,target=/c true
"""
COPY = """\
FROM base
ARG D=/d
COPY f $D/
"""
GIVEN: dict[str, Any] = {
    "secrets": {"s": b"first"},
    "add_hosts": [("h", "10.0.0.1")],
    "build_args": {"HTTP_PROXY": "http://first"},
}


class Builds:
    """Builds of small files in one store; `base` is there."""

    def __init__(self, bases: Path, folder: Path) -> None:
        self.folder, self._base = folder, {"base": f"oci-layout://{bases / 'base'}"}
        (folder / "context").mkdir()
        (folder / "context" / "f").write_text("text")

    def last(self, text: str, **options: Any) -> str:
        """How the last step of a build file ended."""
        return self.all(text, **options)[-1]

    def all(self, text: str, **options: Any) -> list[str]:
        """How the steps of a build file ended."""
        (self.folder / "Buildfile").write_text(text)
        result = builder.build(
            str(self.folder / "context"),
            file=str(self.folder / "Buildfile"),
            store=str(self.folder / "store"),
            build_contexts=self._base,
            **options,
        )
        return [step.outcome.value for step in result.steps if step.slot]


@pytest.fixture(scope="module")
def builds(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Builds:
    made = Builds(bases, tmp_path_factory.mktemp("keys"))
    assert made.last(RUN, **GIVEN) == "miss"
    assert made.last(COPY) == "miss"
    return made


@pytest.mark.parametrize(
    "options",
    [
        {"secrets": {"s": b"second"}},
        {"secrets": {}},
        {"add_hosts": [("h", "10.0.0.2")]},
        {"build_args": {"HTTP_PROXY": "http://second", "no_proxy": "x"}},
        {"build_args": {"UNDECLARED": "1"}},
        {"labels": {"a": "b"}},
        {"tags": ["example/keys"]},
    ],
    ids=["secret", "no secret", "address", "proxy", "undeclared", "label", "tag"],
)
def test_what_is_given_and_is_no_part_of_a_key(builds: Builds, options: dict[str, Any]) -> None:
    assert builds.last(RUN, **{**GIVEN, **options}) == "hit"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id=one", "id=two"),
        ("ARG U", "# words\nLABEL a=b\nARG U\nEXPOSE 80"),
        ("--mount=type=cache", "\\\n  # words\n  --mount=type=cache"),
        ("FROM base", "FROM base AS named"),
        ("ARG U", "ARG U\nCMD x"),
    ],
    ids=["cache id", "config", "layout", "stage", "command"],
)
def test_what_is_written_and_is_no_part_of_a_key(builds: Builds, old: str, new: str) -> None:
    assert builds.last(RUN.replace(old, new), **GIVEN) == "hit"


@pytest.mark.parametrize(
    "options",
    [
        {"build_args": {"U": "unused by the command"}},
        {"add_hosts": [("other", "10.0.0.1")]},
        {"network": "none"},
        {"ulimits": [("nofile", 64, 64)]},
        {"shm_size": 1 << 20},
    ],
    ids=["argument", "host", "network", "limit", "shared memory"],
)
def test_what_is_given_and_is_a_part_of_a_key(builds: Builds, options: dict[str, Any]) -> None:
    assert builds.last(RUN, **{**GIVEN, **options}) == "miss"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("true", "true again"),
        ("ARG U", "ARG U\nENV E=1"),
        ("ARG U", "ARG U HTTP_PROXY"),
        ("ARG U", "ARG U=default"),
        ("ARG U", "USER app"),
        ("ARG U", 'SHELL ["/bin/sh", "-e", "-c"]'),
        ("target=/c", "target=/d"),
        ("id=s", "id=s,env=S"),
        ("type=cache,id=one", "type=tmpfs"),
    ],
    ids=["text", "env", "declared proxy", "default", "user", "shell", "target", "variable", "kind"],
)
def test_what_is_written_and_is_a_part_of_a_key(builds: Builds, old: str, new: str) -> None:
    assert builds.last(RUN.replace(old, new), **GIVEN) == "miss"


@pytest.mark.parametrize(
    ("old", "new"),
    [("$D/", "/d/"), ("$D/", "/x/../d/"), ("ARG D=/d", "ARG D=/d OTHER=1"), ("f $D/", '["f", "/d/"]')],
    ids=["value", "path", "argument", "array"],
)
def test_a_copy_is_known_by_what_it_means(builds: Builds, old: str, new: str) -> None:
    assert builds.last(COPY.replace(old, new)) == "hit"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("=/d", "=/e"),
        ("$D/", "$D"),
        ("COPY f", "COPY --chown=1 f"),
        ("COPY f", "COPY --chmod=600 f"),
        ("COPY f", "COPY f g"),
    ],
    ids=["value", "file or folder", "owner", "mode", "sources"],
)
def test_a_copy_that_means_something_else(builds: Builds, old: str, new: str) -> None:
    (builds.folder / "context" / "g").write_text("more")
    assert builds.last(COPY.replace(old, new)) == "miss"


def _times(file: Path) -> None:
    os.utime(file, (1, 1))


def _owner(file: Path) -> None:
    os.chown(file, os.geteuid(), 65534)


def _mode(file: Path) -> None:
    file.chmod(0o751)


def _content(file: Path) -> None:
    file.write_text("Text")


@pytest.mark.parametrize(
    ("change", "outcome"), [(_times, "hit"), (_owner, "hit"), (_mode, "miss"), (_content, "miss")]
)
def test_what_of_a_file_counts(
    bases: Path, tmp_path: Path, change: Callable[[Path], None], outcome: str
) -> None:
    if change is _owner and os.geteuid() != 0:
        pytest.skip("giving a file to another group needs root")
    builds = Builds(bases, tmp_path)
    builds.last(COPY)
    change(builds.folder / "context" / "f")
    assert builds.last(COPY) == outcome


def test_of_a_stage_that_is_mounted_only_what_the_mount_shows_counts(builds: Builds) -> None:
    text = (
        "FROM base AS s\nRUN mkdir /d && echo {} > /beside && echo {} > /d/f\nFROM base\n"
        "RUN --mount=from=s,source=/d,target=/m ls /m > /seen\nRUN true\n"
    )
    builds.all(text.format("one", "one"))
    assert builds.all(text.format("two", "one"))[-2:] == ["hit", "hit"]
    assert builds.all(text.format("two", "two"))[-2:] == ["miss", "hit"]


def test_a_step_that_fails_is_not_kept_but_its_cache_mount_is(pybuild: Any, context: Path) -> None:
    line = "RUN --mount=type=cache,target=/c cat /c/f; echo written > /c/f; test -e /go"
    (context / "Buildfile").write_text(f"FROM base\n{line}\n")
    for said in (False, True):
        failed = pybuild("build", context, ok=False)
        assert failed.returncode == 1
        assert "1 failed" in failed.stderr
        assert ("written\n" in failed.stderr) == said
