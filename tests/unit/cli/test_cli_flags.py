"""The reading of command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.cli.build_flags import FLAGS, NOT_YET, refuse_later
from builder.cli.command import COMMANDS, find
from builder.cli.flags import Arguments, Flag, read_flags
from builder.errors import UsageError

TABLE = (
    Flag("--file", "FILE", "File", "-f"),
    Flag("--tag", "NAME", "Name", "-t", many=True),
    Flag("--quiet", "", "Quiet", "-q"),
    Flag("--interactive", "", "Input", "-i"),
    Flag("--sbom", "SPEC", "Bill", bare="true"),
)


def read(*line: str, stop_at_word: bool = False) -> Arguments:
    return read_flags(TABLE, line, command="test", stop_at_word=stop_at_word)


@pytest.mark.parametrize(
    "line",
    [["--file", "x"], ["--file=x"], ["-f", "x"], ["-fx"], ["-f=x"], ["-qfx"], ["--file", "y", "-f", "x"]],
)
def test_a_value_in_every_spelling(line: list[str]) -> None:
    assert read(*line).text("--file") == "x"


def test_values_may_look_like_flags_and_be_empty() -> None:
    assert read("--file", "-q").text("--file") == "-q"
    assert read("--file=").text("--file") == ""
    assert read("--file=a=b").text("--file") == "a=b"


def test_flags_stand_before_and_after_words() -> None:
    args = read("-q", ".", "-t", "a", "--tag=b")
    assert (args.words, args.texts("--tag"), args.switch("--quiet")) == ((".",), ("a", "b"), True)


def test_switches() -> None:
    assert read("-iq").switch("--interactive") and read("-iq").switch("--quiet")
    assert not read().switch("--quiet")
    assert not read("--quiet", "--quiet=false").switch("--quiet")
    assert read("--quiet=1").switch("--quiet")
    assert "--quiet" not in read("--quiet=false").given()
    with pytest.raises(UsageError, match='--quiet is true or false, not "maybe"'):
        read("--quiet=maybe")


def test_a_flag_that_may_come_without_its_value_takes_no_word() -> None:
    args = read("--sbom", ".")
    assert (args.text("--sbom"), args.words) == ("true", (".",))
    assert read("--sbom=generator=x").text("--sbom") == "generator=x"


def test_two_dashes_end_the_flags() -> None:
    assert read("-q", "--", "-f", "--tag").words == ("-f", "--tag")
    assert read("-").words == ("-",)


def test_words_of_a_container_are_not_read() -> None:
    args = read("-q", "image", "ls", "-i", "--nosuch", stop_at_word=True)
    assert args.words == ("image", "ls", "-i", "--nosuch")
    assert not args.switch("--interactive")


def test_a_short_flag_takes_the_rest_of_its_word() -> None:
    assert read("-tag", "x").texts("--tag") == ("ag",)  # as Docker reads it


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (["--fil", "x"], "unknown flag: --fil", "did you mean --file? See pybuild test --help"),
        (["-quiet"], "unknown flag: -u", "did you mean --quiet? See pybuild test --help"),
        (["-z"], "unknown flag: -z", "see pybuild test --help"),
        (["--file"], "--file needs a value", "write --file FILE; see pybuild test --help"),
        (["-f"], "-f needs a value", "write -f FILE; see pybuild test --help"),
    ],
)
def test_mistakes(line: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(*line)
    assert (caught.value.message, caught.value.hint) == (message, hint)


# Every flag of `docker buildx build`, with a value of its syntax.
BUILDX = {
    "--invoke": "sh",
    "--root": "/x",
    "--server-config": "x.toml",
    "--add-host": "name:10.0.0.1",
    "--allow": "network.host",
    "--annotation": "manifest:k=v",
    "--attest": "type=sbom",
    "--build-arg": "k=v",
    "--build-context": "n=dir",
    "--builder": "name",
    "--cache-from": "type=registry,ref=x",
    "--cache-to": "type=inline",
    "--call": "check",
    "--cgroup-parent": "x",
    "--cpu-period": "1",
    "--cpu-quota": "1",
    "--cpu-shares": "1",
    "--cpuset-cpus": "0",
    "--cpuset-mems": "0",
    "--file": "Dockerfile",
    "--iidfile": "f",
    "--isolation": "default",
    "--label": "k=v",
    "--memory": "1g",
    "--memory-swap": "1g",
    "--metadata-file": "f",
    "--network": "none",
    "--no-cache-filter": "a,b",
    "--output": "type=oci,dest=x",
    "--platform": "linux/amd64",
    "--on": "error",
    "--policy": "x",
    "--print": "outline",
    "--provenance": "mode=max",
    "--ref": "x",
    "--resource": "memory=2g",
    "--sbom": "true",
    "--progress": "plain",
    "--secret": "id=x",
    "--security-opt": "x",
    "--shm-size": "64m",
    "--ssh": "default",
    "--tag": "name:tag",
    "--target": "stage",
    "--ulimit": "nofile=1024:2048",
}
SWITCHES = (
    *("--check", "--debug", "--load", "--no-cache", "--pull", "--push", "--quiet", "--compress", "--rm"),
    *("--force-rm", "--squash", "--detach", "--disable-content-trust"),
)
SHORT = {"-f": "--file", "-o": "--output", "-t": "--tag", "-m": "--memory", "-c": "--cpu-shares"}


@pytest.mark.parametrize("flag", BUILDX)
def test_every_flag_of_buildx_with_a_value(flag: str) -> None:
    for line in ([flag, BUILDX[flag], "."], [f"{flag}={BUILDX[flag]}", "."], [".", flag, BUILDX[flag]]):
        args = read_flags(FLAGS, line, command="build")
        assert args.texts(flag) == (BUILDX[flag],)
        assert args.words == (".",)


@pytest.mark.parametrize("flag", SWITCHES)
def test_every_switch_of_buildx(flag: str) -> None:
    args = read_flags(FLAGS, [flag, "."], command="build")
    assert args.given() == (flag,)
    assert args.words == (".",)


def test_short_flags_of_buildx() -> None:
    for short, flag in SHORT.items():
        assert read_flags(FLAGS, [short, "v"], command="build").text(flag) == "v"
    args = read_flags(FLAGS, ["-qD"], command="build")
    assert args.switch("--quiet") and args.switch("--debug")


@pytest.mark.parametrize("flag", [*NOT_YET, "--allow"])
def test_what_cannot_be_done_is_said(flag: str) -> None:
    line = [f"{flag}={BUILDX[flag]}"] if flag in BUILDX else [flag]
    if flag == "--allow":
        line = ["--allow=security.insecure"]
    with pytest.raises(UsageError, match="is not supported yet") as caught:
        refuse_later(read_flags(FLAGS, line, command="build"))
    assert caught.value.exit_status == 2
    assert flag in caught.value.message


@pytest.mark.parametrize(
    "line",
    [
        ["--provenance=false", "--sbom=false", "--attest=type=provenance,disabled=true"],
        ["--provenance=False", "--sbom", "0", "--attest=type=sbom,disabled=1", "--progress=none"],
        ["--call=build", "--allow=network.host", "--check=false", "--squash=false"],
        ["--rm", "--force-rm", "--builder", "x", "--compress", "--disable-content-trust=true", "-D"],
    ],
)
def test_what_asks_for_nothing_is_accepted(line: list[str]) -> None:
    refuse_later(read_flags(FLAGS, line, command="build"))


@pytest.mark.parametrize(
    "flag",
    [
        *("--file", "--build-context", "--output", "--secret", "--allow", "--cache-from", "--cache-to"),
        *("--annotation", "--cgroup-parent", "--invoke", "--provenance", "--sbom", "--ssh"),
    ],
)
def test_an_empty_value_is_none(flag: str) -> None:
    args = read_flags(FLAGS, [f"{flag}=", "."], command="build")
    assert args.texts(flag) == ()
    refuse_later(args)
    # The last one counts, also if it is empty.
    assert read_flags(FLAGS, ["-fx", "-f="], command="build").text("--file") is None


def test_every_flag_is_shown_or_harmless_or_refused() -> None:
    harmless = {"--builder", "--debug", "--rm", "--force-rm", "--compress", "--disable-content-trust"}
    for flag in FLAGS:
        assert flag.text or flag.name in harmless or flag.name in {*NOT_YET, "--call", "--print", "--allow"}


@pytest.mark.parametrize("name", COMMANDS)
def test_tables_hold_together(name: str) -> None:
    command = find(name)
    assert command.name == name
    names = [flag.name for flag in command.flags]
    shorts = [flag.short for flag in command.flags if flag.short]
    assert len(set(names)) == len(names) and len(set(shorts)) == len(shorts)
    assert all(text.startswith("--") for text in names)
    assert all(len(text) == 2 and text[0] == "-" for text in shorts)
    if command.isolated:
        assert "--isolation" in names


def test_the_documents_name_each_flag_that_is_not_there_yet() -> None:
    text = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
    assert [flag for flag in NOT_YET if f"`{flag}`" not in text] == []
