"""The command as a user meets it: statuses, streams, files, signals, terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DEADLINE, PYBUILD, Run

FILE = "FROM base\nCOPY a /a\nRUN say hello\n"


@pytest.fixture
def project(context: Path) -> Path:
    (context / "Buildfile").write_text(FILE)
    (context / "a").write_text("x")
    return context


@pytest.fixture
def environment(store: Path) -> dict[str, str]:
    # Output is buffered, as it is for users.
    return {**os.environ, "PYBUILD_STORE": str(store), "PYTHONUNBUFFERED": ""}


def start(line: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PYBUILD, *line],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def base(bases: Path) -> list[str]:
    return ["--build-context", f"base=oci-layout://{bases / 'base'}"]


def test_quiet_prints_the_id_and_nothing_else(pybuild: Run, project: Path, tmp_path: Path) -> None:
    iid = tmp_path / "iid"
    done = pybuild("build", "-q", "--iidfile", iid, "-t", "app", project)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.stdout)
    assert done.stderr == ""
    assert iid.read_text() == done.stdout.strip()
    assert done.stdout in pybuild("images", "-q", "--no-trunc").stdout.splitlines(keepends=True)


def test_files_of_a_result_that_are_no_files(pybuild: Run, project: Path, tmp_path: Path) -> None:
    """A pipe gets what a file would; what cannot be written is told before the build, and no earlier id stays."""
    pipe, iid = tmp_path / "pipe", tmp_path / "iid"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        pybuild("build", "-q", "--iidfile", pipe, "-o", f"type=oci,dest={tmp_path / 'x.tar'}", project)
        assert stat.S_ISFIFO(pipe.lstat().st_mode) and reader.read().startswith(b"sha256:")
    pybuild("build", "-q", "--iidfile", tmp_path / "new" / "iid", "-o", tmp_path / "new" / "deep", project)
    assert (tmp_path / "new" / "iid").is_file()
    for place in (tmp_path, tmp_path / "none" / "file"):
        for words in (["--metadata-file", place], ["-o", f"type=oci,dest={place}"]):
            iid.write_text("old")
            done = pybuild("build", "--iidfile", iid, *words, project, ok=False)
            assert done.returncode == 2 and f'cannot write "{place}"' in done.stderr
            assert not iid.exists()


def test_no_image_is_called_by_a_digest_that_it_has_not(pybuild: Run, project: Path) -> None:
    name = f"app@sha256:{'a' * 64}"
    pybuild("build", "-t", "app", project)
    for words in (["build", "-t", name, project], ["tag", "app", name]):
        done = pybuild(*words, ok=False)
        assert done.returncode == 2 and "leave @sha256:… out" in done.stderr
    assert "aaaa" not in pybuild("images", "--json").stdout


def test_build_is_the_default_command(project: Path, bases: Path, environment: dict[str, str]) -> None:
    line = [*PYBUILD, "-f", str(project / "Buildfile"), *base(bases), str(project)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert re.search(r"^#\d+ \d+\.\d{3} OUT: hello$", done.stderr, re.MULTILINE)


def test_a_context_called_like_a_command(context: Path, bases: Path, environment: dict[str, str]) -> None:
    folder = context / "run"
    folder.mkdir()
    (folder / "Buildfile").write_text("FROM scratch\n")
    line = [*PYBUILD, "./run"]
    assert subprocess.run(line, env=environment, cwd=context, capture_output=True).returncode == 0


def test_a_line_of_output_stands_in_the_log_once(pybuild: Run, project: Path) -> None:
    assert pybuild("build", "--progress", "plain", project).stderr.count("OUT: hello") == 1


def test_metadata_and_report(pybuild: Run, project: Path, tmp_path: Path) -> None:
    meta, report = tmp_path / "meta.json", tmp_path / "report.json"
    pybuild("build", "-t", "app:1", "--metadata-file", meta, "--report", report, project)
    found = json.loads(meta.read_text())
    assert found["image.name"] == "docker.io/library/app:1" or found["image.name"] == "app:1"
    assert found["containerimage.descriptor"]["digest"] == found["containerimage.digest"]
    first = json.loads(report.read_text())
    assert first["ok"] and first["image"] == found["containerimage.config.digest"]
    (project / "a").write_text("y")
    pybuild("build", "--report", report, project)
    second = json.loads(report.read_text())
    copy = next(step for step in second["steps"] if "COPY" in step["title"])
    assert copy["outcome"] == "miss" and any("a" in reason["detail"] for reason in copy["reasons"])
    pybuild("build", "--report", report, project)
    third = json.loads(report.read_text())
    assert (third["misses"], third["hits"]) == (0, 3)


def test_a_failure_leaves_a_report_and_no_id(pybuild: Run, project: Path, tmp_path: Path) -> None:
    iid, report = tmp_path / "iid", tmp_path / "report.json"
    iid.write_text("old")
    (project / "Buildfile").write_text("FROM base\nRUN say first; say last >&2; exit 7\n")
    done = pybuild("build", "--iidfile", iid, "--report", report, project, ok=False)
    assert done.returncode == 1
    assert not iid.exists()
    found = json.loads(report.read_text())
    assert (found["ok"], found["error"]["status"], found["error"]["line"]) == (False, 7, 2)
    tail = done.stderr[done.stderr.index(f"{project / 'Buildfile'}:2:1: error: ") :]
    assert "exit code: 7" in tail.splitlines()[0]
    assert tail.splitlines()[1:3] == ["  RUN say first; say last >&2; exit 7", f"  {'^' * 35}"]
    assert tail.splitlines()[3:] == ["last output:", "  | OUT: first", "  | OUT: last"]


def test_json_progress_is_json_to_the_last_line(pybuild: Run, project: Path) -> None:
    (project / "Buildfile").write_text("FROM base\nRUN false\n")
    done = pybuild("build", "--progress", "rawjson", project, ok=False)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, lines[-1]["event"], lines[-1]["line"]) == (1, "Error", 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["build"], "the build context is missing"),
        (["build", ".", "."], 'build: unexpected "."'),
        (["build", "nosuch"], 'the build context "nosuch" does not exist'),
        (["build", "--progress", "pretty", "."], 'there is no "pretty"'),
        (["build", "--jobs", "0", "."], "--jobs needs a number"),
        (
            ["build", "--cache-to", "type=gha", "."],
            "type=gha (the cache service of GitHub's runners) is not supported",
        ),
        (["build", "-f", "nosuch", "."], 'the build file "nosuch" does not exist'),
        (["build", "-o", "type=oci,dest=-", "-o", "-", "."], "only one output"),
        (["imagse"], '"imagse" is neither a command nor a folder'),
        (["tag", "a"], "tag: too few words"),
        (["tag", "a", "B"], "not an image name"),
        (["--nosuch"], "unknown flag: --nosuch"),
        (["load", "-i", "nosuch"], 'the archive "nosuch" cannot be read'),
        (["save", "--format", "zip", "x"], 'there is no "zip"'),
        (["login", "-u", "me"], "a name and a password are needed"),
        (["run", "--network", "moon", "x"], 'there is no "moon"'),
        (["run"], "run: too few words"),
    ],
)
def test_wrong_usage_ends_with_2(
    line: list[str], message: str, context: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [*PYBUILD, *line],
        env=environment,
        cwd=context,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["inspect", "nosuch"], 'the store has no image "nosuch"'),
        (["history", "nosuch"], "no image"),
        (["rmi", "nosuch"], "no image"),
        (["push", "nosuch"], "no image"),
        (["save", "nosuch", "-o", "x.tar"], "no image"),
        (["run", "--pull", "never", "nosuch"], "no image"),
        (["pull", "localhost:1/nosuch"], "localhost:1"),
    ],
)
def test_what_cannot_be_done_ends_with_1(
    line: list[str], message: str, context: Path, environment: dict[str, str]
) -> None:
    done = subprocess.run([*PYBUILD, *line], env=environment, cwd=context, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (context / "x.tar").exists()


def test_a_file_that_does_not_parse_ends_with_2(pybuild: Run, project: Path) -> None:
    (project / "Buildfile").write_text("FROM base\nRUNN make\n")
    done = pybuild("build", project, ok=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{project / 'Buildfile'}:2:1: error: ")
    assert "\n  RUNN make\n  ^^^^\n  hint: " in done.stderr


def test_debugging_shows_where_an_error_came_from(context: Path, environment: dict[str, str]) -> None:
    line = [*PYBUILD, "build", "nosuch"]
    done = subprocess.run(line, env={**environment, "PYBUILD_DEBUG": "1"}, capture_output=True, text=True)
    assert "Traceback" in done.stderr and "UsageError" in done.stderr


@pytest.mark.parametrize("line", [["--help"], ["help", "build"], ["build", "-h"], ["run", "--help"], ["-h"]])
def test_help_goes_to_standard_output(line: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run([*PYBUILD, *line], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage:" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_nobody_reads_standard_output(pybuild: Run, project: Path, environment: dict[str, str]) -> None:
    pybuild("build", "-t", "app", project)
    for line in (["images"], ["inspect", "app"], ["save", "app"], ["--version"], ["build", "--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [*PYBUILD, *line], env=environment, stdout=write, stderr=subprocess.PIPE, text=True
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (1, ""), line


def test_standard_streams_that_are_not_open(
    pybuild: Run, project: Path, environment: dict[str, str], bases: Path
) -> None:
    pybuild("build", "-t", "app", project)

    def closed(*line: str, streams: str) -> subprocess.CompletedProcess[str]:
        words = ["sh", "-c", f'exec "$@" {streams}', "sh", *PYBUILD, *line]
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    plan = ["plan", *base(bases), str(project)]
    for line in (["images"], plan, ["save", "app"], ["report"]):
        done = closed(*line, streams=">&-")
        assert (done.returncode, done.stderr) == (1, "error: Bad file descriptor\n"), line
    build = ["build", *base(bases), "--progress", "plain", "--no-cache", "-t", "two", str(project)]
    assert closed(*build, streams="<&- >&- 2>&-").returncode == 0
    # Nothing that was printed has gone into a file of the store.
    assert "two" in closed("images", streams="<&- 2>&-").stdout


def test_a_full_disk_behind_standard_output(pybuild: Run, project: Path, environment: dict[str, str]) -> None:
    pybuild("build", "-t", "app", project)
    with open("/dev/full", "wb") as full:
        for line in (["inspect", "app"], ["save", "app"], ["build", "-o", "-", str(project)]):
            done = subprocess.run(
                [*PYBUILD, *line, *()], env=environment, stdout=full, stderr=subprocess.PIPE, text=True
            )
            if line[0] == "build" and done.returncode == 1 and "base" in done.stderr:
                continue  # the base is not there without the named context
            assert done.returncode == 1, line
            assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_build_cleanly(
    project: Path, bases: Path, environment: dict[str, str], number: signal.Signals, status: int, store: Path
) -> None:
    (project / "Buildfile").write_text("FROM base\nRUN say started; sleep 600\n")
    child = start(["build", "--progress", "plain", *base(bases), str(project)], environment)
    assert child.stderr is not None
    for line in child.stderr:
        if b"OUT: started" in line:
            break
    child.send_signal(number)
    rest = child.stderr.read()  # some of it may have been read with the line
    child.communicate(timeout=DEADLINE)
    assert child.returncode == status, rest
    assert b"Traceback" not in rest and b"CANCELED" in rest
    assert list((store / "runs").iterdir()) == []


def test_nohup_is_heeded(project: Path, bases: Path, environment: dict[str, str]) -> None:
    (project / "Buildfile").write_text("FROM base\nRUN say started; sleep 1; say ended\n")
    line = [
        "sh",
        "-c",
        'trap "" HUP; exec "$@"',
        "sh",
        *PYBUILD,
        "build",
        "--progress",
        "plain",
        *base(bases),
    ]
    child = subprocess.Popen([*line, str(project)], env=environment, stderr=subprocess.PIPE)
    assert child.stderr is not None
    for text in child.stderr:
        if b"OUT: started" in text:
            break
    child.send_signal(signal.SIGHUP)
    rest = child.stderr.read()
    child.communicate(timeout=DEADLINE)
    assert child.returncode == 0 and b"OUT: ended" in rest


def test_environment_and_arguments(pybuild: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "Buildfile").write_text("FROM base\nARG FROM_ENV\nARG GIVEN\nRUN say $FROM_ENV $GIVEN\n")
    monkeypatch.setenv("FROM_ENV", "one")
    monkeypatch.setenv("BUILDKIT_PROGRESS", "plain")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    done = pybuild("build", "-t", "app", "--build-arg", "FROM_ENV", "--build-arg", "GIVEN=two", project)
    assert "OUT: one two" in done.stderr
    assert json.loads(pybuild("inspect", "app").stdout)[0]["Created"].startswith("2001-09-09T01:46:40")
    monkeypatch.setenv("BUILDKIT_PROGRESS", "nosuch")
    assert 'BUILDKIT_PROGRESS: there is no "nosuch"' in pybuild("build", project, ok=False).stderr


def test_secrets_reach_the_command_and_nothing_else(pybuild: Run, project: Path, store: Path) -> None:
    (project / "Buildfile").write_text(
        'FROM base\nRUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = hush-hush\n'
    )
    (project.parent / "token").write_text("hush-hush")
    done = pybuild(
        "build", "--secret", f"id=token,src={project.parent / 'token'}", "--report", "-", project, ok=False
    )
    done = pybuild("build", "--secret", f"id=token,src={project.parent / 'token'}", project)
    assert "hush-hush" not in done.stderr.replace("= hush-hush", "")


def test_containers(pybuild: Run, project: Path) -> None:
    pybuild("build", "-t", "app", project)
    assert pybuild("run", "app", "cat", "/a").stdout == "x"
    done = pybuild("run", "-e", "A=1", "--rm", "app", "sh", "-c", "echo $A; exit 9", ok=False)
    assert (done.returncode, done.stdout) == (9, "1\n")
    assert pybuild("run", "app", "nosuch", ok=False).returncode == 127
    assert pybuild("run", "app", "/etc/passwd", ok=False).returncode == 126
    assert pybuild("run", "-i", "app", "cat", input="typed").stdout == "typed"


def terminal(line: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own: the status and all that appears."""
    main, side = pty.openpty()
    child = subprocess.Popen([*PYBUILD, *line], env=environment, stdin=side, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:
            break
        shown += data
    os.close(main)
    return child.wait(), shown.decode()


def test_a_terminal(project: Path, bases: Path, environment: dict[str, str]) -> None:
    (project / "Buildfile").write_text("FROM base\nRUN say begin; sleep 1; say end\nRUN say why; exit 3\n")
    line = ["build", *base(bases), str(project)]
    status, shown = terminal(line, {**environment, "TERM": "xterm-256color"})
    assert status == 1
    assert "OUT: begin" in shown and "DONE" in shown and "ERROR" in shown
    assert "│ OUT: why" in shown and "failed: 3 steps: " in shown
    assert shown.rstrip().splitlines()[-1].strip("\r ").startswith("^^^")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back
    status, shown = terminal(line, {**environment, "TERM": "dumb"})
    assert "\x1b" not in shown and "#2 CACHED" in shown
    status, shown = terminal(line, {**environment, "TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b[3" not in shown


def test_no_archive_is_written_to_a_terminal(
    pybuild: Run, project: Path, bases: Path, environment: dict[str, str]
) -> None:
    pybuild("build", "-t", "app", project)
    for line in (["build", *base(bases), "-o", "-", str(project)], ["save", "app"], ["load"]):
        status, shown = terminal(line, environment)
        assert status == 2 and "terminal" in shown, line


def test_python_finds_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "builder", "--version"], capture_output=True, text=True)
    assert re.fullmatch(r"pybuild \d+\.\d+\.\d+\n", done.stdout)


def test_an_owner_that_nobody_knows_is_told(pybuild: Run, context: Path) -> None:
    (context / "f").write_text("x")
    (context / "Buildfile").write_text("FROM base\nCOPY --chown=nobody-here:nor-here f /\n")
    told = pybuild("build", context).stderr
    assert (
        f"WARNING: {context}/Buildfile:2: --chown=nobody-here:nor-here: the files below know no user 'nobody-here'"
        in told
    )
    assert "know no group 'nor-here', for which 0 is taken" in told
