"""`pybuild check`: its formats, its exit status, and how it finds the file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builder.cli.main import main

TEXT = "FROM alpine:3.20 as base\nRUN echo a && \\\n    sudo b\nCMD run\n"
PAGES = "https://docs.docker.com/go/dockerfile/rule"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with no ShellCheck in sight."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    status = main(["check", *line])
    done = capsys.readouterr()
    return status, done.out, done.err


def read_json(capsys: pytest.CaptureFixture[str], *line: str) -> Any:
    return json.loads(run(capsys, *line)[1])


# --- text and status ---


def test_text(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(TEXT)
    status, out, err = run(capsys)
    assert (status, err) == (0, "")
    assert out == (
        "Dockerfile:1:18: warning: FromAsCasing: 'as' and 'FROM' keywords' casing do not match\n"
        "  FROM alpine:3.20 as base\n"
        "                   ^^\n"
        f"  see {PAGES}/from-as-casing/\n"
        "Dockerfile:3:5: error: DL3004: sudo is not needed: say USER root above, or use setpriv or gosu at run time\n"
        "      sudo b\n"
        "      ^^^^^^\n"
        "  see https://github.com/hadolint/hadolint/wiki/DL3004\n"
        "Dockerfile:4:1: warning: JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior"
        " related to OS signals\n"
        "  CMD run\n"
        "  ^^^^^^^\n"
        f"  see {PAGES}/json-args-recommended/\n"
        "\n"
        "note: shellcheck is not installed: the shell text of RUN was not checked for its pitfalls\n"
        "Dockerfile: 1 error, 2 warnings\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "wanted"),
    [
        (TEXT, (), 0),
        (TEXT, ("--error",), 1),
        (TEXT, ("--error=false",), 0),
        (f"# check=error=true\n{TEXT}", (), 1),
        (
            f"# check=error=true\n{TEXT}",
            ("--skip", "FromAsCasing,DL3004", "--skip", "JSONArgsRecommended"),
            0,
        ),
        (TEXT, ("--error", "--only", "DL3008"), 0),
        (TEXT, ("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all", "--error"), 0),
        (TEXT, ("--build-arg", "BUILDKIT_DOCKERFILE_CHECK=error=true"), 1),
        ("FROM alpine:3\n", ("--error",), 0),
        ("FORM alpine:3\n", (), 2),
        ("FROM alpine:3\nCOPY --from=7 a /\n", (), 2),
        ("", (), 2),
    ],
)
def test_exit_status(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, line: tuple[str, ...], wanted: int
) -> None:
    (folder / "Dockerfile").write_text(text)
    assert run(capsys, *line)[0] == wanted


def test_nothing_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Buildfile").write_text("FROM alpine:3\n")
    note = "note: shellcheck is not installed: the shell text of RUN was not checked for its pitfalls\n"
    assert run(capsys, ".") == (0, f"{note}Buildfile: nothing found\n", "")


def test_errors_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FORM a\nRUN --moun=1 x\n")
    assert run(capsys) == (
        2,
        "Dockerfile:1:1: error: unknown instruction: FORM\n  FORM a\n  ^^^^\n  hint: did you mean FROM?\n"
        "Dockerfile:2:5: error: unknown flag --moun for RUN\n  RUN --moun=1 x\n      ^^^^^^\n"
        "  hint: did you mean --mount?\n\nDockerfile: 2 errors\n",
        "",
    )


def test_what_parses_and_cannot_be_built(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(
        "FROM a:1 AS x\nCOPY --from=y b /\nFROM a:1 AS y\nCOPY --from=x b /\nCMD z\n"
    )
    found = read_json(capsys, "--format=json", "--only=JSONArgsRecommended")
    assert found["buildError"]["message"].startswith("circular dependency")
    assert [item["ruleName"] for item in found["warnings"]] == ["JSONArgsRecommended"]


# --- finding the file ---


def test_the_file(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sub = folder / "sub"
    sub.mkdir()
    (sub / "Dockerfile").write_text("FROM alpine:3 as a\n")
    (folder / "other").write_text("FROM alpine:3 AS B\n")
    for line, name, rule in (
        (("sub",), "sub/Dockerfile", "FromAsCasing"),
        (("sub/Dockerfile",), "sub/Dockerfile", "FromAsCasing"),
        (("-f", "other", "sub"), "other", "StageNameCasing"),
        (("--file=other",), "other", "StageNameCasing"),
    ):
        found = read_json(capsys, "--format", "json", *line)
        assert found["sources"][0]["filename"] == name
        assert [item["ruleName"] for item in found["warnings"]] == [rule]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"FROM alpine:3 as a\n")))
    assert read_json(capsys, "--format=json", "-f-")["sources"][0]["filename"] == "stdin"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        (("nothing",), '"nothing" does not exist', "give a build file, or the folder that holds it"),
        ((".",), 'there is no build file in "."', "give its path with -f"),
        (("-f", "x"), 'the build file "x" does not exist', ""),
        (
            ("https://me:secret@example.org/a.git",),
            "https://me:***@example.org/a.git is not on this machine, and a check fetches nothing",
            "give a folder, or a build file with -f",
        ),
        (("--format", "xml"), '--format: there is no "xml"', "use one of text, json, sarif, github"),
        (("--skip", "DL9999"), '--skip: there is no rule "DL9999"', "docs/checks.md lists the rules"),
        (("--only", "FromCasing"), '--only: there is no rule "FromCasing"', "did you mean FromAsCasing?"),
        (("a", "b"), 'check: unexpected "b"', "usage: pybuild check [CONTEXT|FILE]"),
    ],
)
def test_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], message: str, hint: str
) -> None:
    status, out, err = run(capsys, *line)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message}") and hint in err


def test_ignore_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FROM alpine:3\nCOPY a /a\n")
    assert read_json(capsys, "--format=json")["warnings"] == []
    (folder / ".containerignore").write_text("a\n")
    assert read_json(capsys, "--format=json")["warnings"][0]["ruleName"] == "CopyIgnoredFile"
    (folder / "Dockerfile.dockerignore").write_text("b\n")
    assert read_json(capsys, "--format=json")["warnings"] == []


def test_a_target(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FROM a:1 AS x\nENV a b\nFROM a:1 AS y\nENV c d\n")
    lines = [item["span"]["line"] for item in read_json(capsys, "--format=json", "--target", "X")["warnings"]]
    assert lines == [2]
    status, out, err = run(capsys, "--target=z")
    assert (status, out) == (2, "") and "the stages are x, y" in err


# --- documents ---


def test_json_as_buildkit_has_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(TEXT)
    found = read_json(capsys, "--format", "json", "--only", "DL3004,FromAsCasing")
    assert found["sources"] == [
        {
            "filename": "Dockerfile",
            "language": "Dockerfile",
            "data": base64.b64encode(TEXT.encode()).decode(),
        }
    ]
    assert "buildError" not in found
    assert found["warnings"][0] == {
        "ruleName": "FromAsCasing",
        "description": "The 'as' keyword should match the case of the 'from' keyword",
        "url": f"{PAGES}/from-as-casing/",
        "detail": "'as' and 'FROM' keywords' casing do not match",
        "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
        "severity": "warning",
        "span": {"line": 1, "column": 18, "endLine": 1, "endColumn": 20},
    }
    assert found["warnings"][1]["location"] == {
        "ranges": [{"start": {"line": 2}, "end": {"line": 2}}, {"start": {"line": 3}, "end": {"line": 3}}]
    }


def test_json_of_a_file_that_does_not_parse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FORM a\nRUN --moun=1 x\n")
    found = read_json(capsys, "--format=json")
    assert found["warnings"] == []
    assert found["buildError"] == {
        "message": "unknown instruction: FORM",
        "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
    }
    assert [(item["line"], item["column"], item["hint"]) for item in found["errors"]] == [
        (1, 1, "did you mean FROM?"),
        (2, 5, "did you mean --mount?"),
    ]


def check_sarif(document: Any) -> list[Any]:
    """The rules of SARIF 2.1.0 that a reader depends on; the results."""
    assert document["version"] == "2.1.0"  # 3.13.2
    assert document["$schema"].endswith("sarif-2.1.0.json")
    assert len(document["runs"]) == 1
    run = document["runs"][0]
    driver = run["tool"]["driver"]  # 3.14.6, 3.18.2, 3.19.8
    assert driver["name"] == "pybuild" and driver["version"]
    ids = [rule["id"] for rule in driver.get("rules", [])]  # 3.49.3
    assert len(ids) == len(set(ids))
    for rule in driver.get("rules", []):
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        assert re.match(r"https://", rule.get("helpUri", "https://"))
    assert run["columnKind"] == "unicodeCodePoints"  # 3.14.17
    for result in run["results"]:
        assert result["message"]["text"]  # 3.27.11
        assert result["level"] in ("none", "note", "warning", "error")  # 3.27.10
        if "ruleIndex" in result:  # 3.27.6
            assert ids[result["ruleIndex"]] == result["ruleId"]
        for location in result["locations"]:  # 3.28, 3.29.3
            physical = location["physicalLocation"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%:-]+", physical["artifactLocation"]["uri"])
            region = physical.get("region", {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2})
            assert all(type(value) is int and value >= 1 for value in region.values())  # 3.30
            start = (region["startLine"], region["startColumn"])
            assert start < (region["endLine"], region["endColumn"])
    return run["results"]  # type: ignore[no-any-return]


def test_sarif(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(TEXT + "RUN cd /x\n")
    results = check_sarif(read_json(capsys, "--format", "sarif"))
    assert [(item["ruleId"], item["level"]) for item in results] == [
        ("FromAsCasing", "warning"),
        ("DL3004", "error"),
        ("JSONArgsRecommended", "warning"),
        ("DL3003", "warning"),
    ]
    assert results[1]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "Dockerfile"},
        "region": {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 11},
    }


def test_sarif_of_odd_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "ä b").write_text("FORM a\n")
    results = check_sarif(read_json(capsys, "--format=sarif", "./ä b"))
    assert [(item["ruleId"], item["level"]) for item in results] == [("ParseError", "error")]
    assert results[0]["message"]["text"] == "unknown instruction: FORM (did you mean FROM?)"
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "%C3%A4%20b"
    (folder / "ok").write_text("FROM a:1\n")
    assert check_sarif(read_json(capsys, "--format=sarif", str(folder / "ok"))) == []
    (folder / "empty").write_text("")
    assert len(check_sarif(read_json(capsys, "--format=sarif", "empty"))) == 1
    (folder / "info").write_text("FROM a:1\nRUN apk add --no-cache a=1 && ps\n")
    assert [item["level"] for item in check_sarif(read_json(capsys, "--format=sarif", "info"))] == ["note"]


def test_github(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a,b:c%").write_text('FROM a:1\nRUN true && \\\n  sudo x\nWORKDIR "50%,\r"\nCMD \\\n  x\n')
    status, out, _ = run(capsys, "--format", "github", "--error", "a,b:c%")
    assert status == 1
    name = "a%2Cb%3Ac%25"
    assert out.splitlines() == [
        f"::error file={name},line=3,endLine=3,col=3,endColumn=8,title=DL3004::sudo is not needed: say USER root above,"
        " or use setpriv or gosu at run time%0Ahttps://github.com/hadolint/hadolint/wiki/DL3004",
        f"::warning file={name},line=4,endLine=4,col=9,endColumn=15,title=WorkdirRelativePath::"
        'Relative workdir "50%25,\\r" can have unexpected results if the base image changes%0A'
        f"{PAGES}/workdir-relative-path/",
        f"::warning file={name},line=5,endLine=6,title=JSONArgsRecommended::JSON arguments recommended for CMD to prevent"
        f" unintended behavior related to OS signals%0A{PAGES}/json-args-recommended/",
    ]
    (folder / "bad").write_text("FORM a\n")
    assert run(capsys, "--format=github", "bad") == (
        2,
        "::error file=bad,line=1,endLine=1,col=1,endColumn=4,title=ParseError::unknown instruction: FORM%0A"
        "hint: did you mean FROM?\n",
        "",
    )


def test_text_from_the_file_is_harmless(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = b"FROM a:1\nLABEL a=$\xff\nWORKDIR \x1b[2J\xff\xc2\x9b\n"
    (folder / "Dockerfile").write_bytes(evil)
    for form in ("text", "github"):
        out = run(capsys, "--format", form)[1]
        assert "WorkdirRelativePath" in out and "\x1b" not in out and "\x9b" not in out
    found = read_json(capsys, "--format", "json")
    assert base64.b64decode(found["sources"][0]["data"]) == evil
    check_sarif(read_json(capsys, "--format", "sarif"))


def test_shellcheck_is_asked_if_it_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FROM a:1\nRUN echo hello\n")
    program = folder / "shellcheck"
    comment = {
        "line": 3,
        "endLine": 3,
        "column": 6,
        "endColumn": 11,
        "level": "style",
        "code": 1,
        "message": "no",
    }
    answer = json.dumps({"comments": [{**comment, "file": "FILE"}]}).replace('"FILE"', '"\'"$f"\'"')
    program.write_text(f"#!/bin/sh\nfor f; do :; done\necho '{answer}'\n")
    program.chmod(0o755)
    out = run(capsys)[1]
    assert out == (
        "Dockerfile:2:10: style: SC0001: no\n".replace("SC0001", "SC1")
        + "  RUN echo hello\n           ^^^^^\n  see https://www.shellcheck.net/wiki/SC1\n\nDockerfile: 1 style remark\n"
    )
    assert run(capsys, "--skip", "SC1")[1] == "Dockerfile: nothing found\n"


# --- build --check and --call ---


def build(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str, str]:
    status = main(["build", *line])
    done = capsys.readouterr()
    return status, done.out, done.err


CALLED = """\
# V the version
ARG V=1
# base has tools
FROM alpine:$V AS base
RUN --mount=type=secret,id=token,required cd /x
FROM base as app
ENV a b
"""


def test_build_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(CALLED)
    status, out, err = build(capsys, "--check", ".")
    assert (status, err) == (1, "")
    assert [
        line.split(": ")[2]
        for line in out.splitlines()
        if line.startswith("Dockerfile:") and ": warning: " in line
    ] == [
        "FromAsCasing",
        "LegacyKeyValueFormat",
    ]
    assert out.endswith("\nDockerfile: 2 warnings\n")
    for line in (
        ("--call=check,format=json",),
        ("--call", "lint,format=json"),
        ("--print=lint,format=json",),
        ("--check", "--call=check,format=json"),
    ):
        status, out, _ = build(capsys, *line, ".")
        assert status == 1
        assert [item["ruleName"] for item in json.loads(out)["warnings"]] == [
            "FromAsCasing",
            "LegacyKeyValueFormat",
        ]
    assert build(
        capsys, "--check", "--target=base", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing", "."
    ) == (
        0,
        "Dockerfile: nothing found\n",
        "",
    )
    # The word and its options come in any order.
    assert json.loads(build(capsys, "--call=format=json,check", ".")[1])["warnings"]
    assert build(capsys, "--call=check,ignorestatus=true", ".")[0] == 0
    assert build(capsys, "--call=check,ignorestatus=0", ".")[0] == 1
    (folder / "Dockerfile").write_text("FORM a\n")
    assert build(capsys, "--check", ".")[0] == 2
    assert build(capsys, "--call=check,ignorestatus=true", ".")[0] == 2


def test_call_outline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(CALLED)
    assert build(capsys, "--call=outline", "--target=base", "--build-arg=V=2", ".") == (
        0,
        "TARGET:       base\nDESCRIPTION:  has tools\n\nBUILD ARG  VALUE  DESCRIPTION\nV          2      the version\n\n"
        "SECRET  REQUIRED\ntoken   true\n",
        "",
    )
    found = json.loads(build(capsys, "--call=outline,format=json", ".")[1])
    place = {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]}
    assert found["name"] == "app" and "description" not in found
    assert found["args"] == [{"name": "V", "description": "the version", "value": "1", "location": place}]
    assert found["secrets"][0]["name"] == "token" and found["secrets"][0]["required"] is True
    assert base64.b64decode(found["sources"][0]).decode() == CALLED


def test_call_targets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text(CALLED)
    assert build(capsys, "--call", "targets", ".")[1] == (
        "TARGET         DESCRIPTION\nbase           has tools\napp (default)\n"
    )
    found = json.loads(build(capsys, "--call", "targets,format=json", ".")[1])
    assert found["targets"][1] == {
        "name": "app",
        "default": True,
        "base": "base",
        "location": {"ranges": [{"start": {"line": 6}, "end": {"line": 6}}]},
    }


def test_call_describe(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = build(capsys, "--call=subrequests.describe", ".")[1]
    assert [line.split()[0] for line in out.splitlines()] == [
        *("NAME", "outline", "targets", "lint", "subrequests.describe"),
    ]
    found = json.loads(build(capsys, "--call=subrequests.describe,format=json", ".")[1])
    assert [item["name"] for item in found] == [
        *("frontend.outline", "frontend.targets", "frontend.lint", "frontend.subrequests.describe"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--call=chekc",), '--call: there is no "chekc"'),
        (("--call=check,form=json",), '--call: there is no option "form"'),
        (("--call=check,format=xml",), '--call: there is no "xml"'),
        (("--call=check,ignorestatus=yes",), '--call: ignorestatus is true or false, not "yes"'),
        (("--call=check,outline",), "--call: check and outline cannot both be done"),
        (("--check", "--call=outline"), "--check and --call=outline cannot both be done"),
    ],
)
def test_calls_that_cannot_be_meant(
    folder: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], message: str
) -> None:
    assert build(capsys, *line, ".")[2].startswith(f"error: {message}")


def test_the_word_of_a_call(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in (("-",), ("-f-", ".")):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"FROM a:1 as b\n")))
        assert build(capsys, "--check", *line)[1].endswith("stdin: 1 warning\n")
    status, out, err = build(capsys, "--call=targets", "https://example.org/a.tar")
    assert (status, out) == (2, "")
    assert err.startswith("error: https://example.org/a.tar is not on this machine")


def test_calls_need_no_store(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYBUILD_STORE", str(folder / "store"))
    (folder / "Dockerfile").write_text(CALLED)
    before = sorted(os.listdir(folder))
    for name in ("check", "outline", "targets"):
        build(capsys, f"--call={name}", ".")
    run(capsys)
    assert sorted(os.listdir(folder)) == before


# --- what planning finds, and what bases say ---


def layout(folder: Path, **config: Any) -> None:
    """An OCI layout in which an image has a config and no layers."""

    def blob(document: Any) -> dict[str, Any]:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (folder / "blobs" / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    (folder / "blobs" / "sha256").mkdir(parents=True)
    kind = "application/vnd.oci.image"
    image = {"architecture": "amd64", "os": "linux", "config": config}
    entry = blob({**image, "rootfs": {"type": "layers", "diff_ids": []}})
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", **entry},
        "layers": [],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [{"mediaType": f"{kind}.manifest.v1+json", **blob(manifest)}],
    }
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def test_build_check_reads_the_config_of_a_layout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout(
        folder / "layout", Env=["PORT=80", "PATH=/bin"], Shell=["/bin/ash", "-c"], OnBuild=["EXPOSE $PORT x"]
    )
    (folder / "Dockerfile").write_text("FROM base\nCOPY $PROT $PORT /x/\nCMD run\n")
    assert build(capsys, "--check", ".")[1] == (
        "Dockerfile:3:1: warning: JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior"
        f" related to OS signals\n  CMD run\n  ^^^^^^^\n  see {PAGES}/json-args-recommended/\n\nDockerfile: 1 warning\n"
    )
    status, out, _ = build(capsys, "--check", "--build-context", "base=oci-layout://layout", ".")
    assert status == 2
    assert [line for line in out.splitlines() if line.startswith("Dockerfile:")][:2] == [
        "Dockerfile:1:1: error: in a trigger of the base: invalid port 'x': 'x' is no port between 0 and 65535",
        "Dockerfile:2:6: warning: UndefinedVar: Usage of undefined variable '$PROT' (did you mean $PORT?)",
    ]
    assert "JSONArgsRecommended" not in out  # the base sets a SHELL
    (folder / "layout" / "index.json").write_text("{")
    assert build(capsys, "--check", "--build-context", "base=oci-layout://layout", ".")[0] == 1


def test_what_planning_finds_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "FROM a AS unused\nEXPOSE x $PORT\nSTOPSIGNAL x\nFROM scratch\nUSER ${B:?no}\nFROM b\nVOLUME $DIR\n"
    )
    (folder / "Dockerfile").write_text(text)
    for check in (run, build):
        status, out, _ = check(capsys, *(["--check", "."] if check is build else []))
        assert status == 2
        # What variables of an unknown base are worth is not known: nothing is said of lines 2 and 7.
        assert [
            line.split(": ")[0] for line in out.splitlines() if ": error: " in line and ": DL" not in line
        ] == [
            "Dockerfile:3:12",
            "Dockerfile:5:6",
        ]
    assert build(capsys, "--check", "--target", "unused", ".")[0] == 2
    (folder / "Dockerfile").write_text("FROM a AS unused\nENV A=${\nFROM scratch\n")
    assert build(capsys, "--check", ".")[0] == 2


def test_a_trigger_that_does_not_parse_is_an_error_of_check_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "Dockerfile").write_text("FROM alpine:3.20\nONBUILD RUNN x\n")
    assert build(capsys, "--check", ".")[0] == 0
    status, out, _ = run(capsys)
    assert status == 2
    assert out.startswith("Dockerfile:2:9: error: unknown instruction: RUNN\n")


def test_what_the_parser_wonders_about_is_a_note(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "Dockerfile").write_text("FROM alpine:3.20\n# \0\nRUN\nRUN a \\\n\n b\n")
    notes = read_json(capsys, "--format", "json")["notes"]
    assert notes[1:] == [
        "Dockerfile:2: the line has a NUL character",
        "Dockerfile:3: RUN has no command: it runs nothing",
    ]
