"""docs/ci.md: every command of its examples is one that pybuild knows, and the whole of it works from one machine to the next."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from builder.cli.build_flags import FLAGS
from builder.cli.caches import parse_cache_from, parse_cache_to
from builder.cli.command import COMMANDS, find
from builder.cli.flags import read_flags
from builder.engine.conditions import parse_conditions
from builder.report.reportfile import FORMATS, form_of
from tests.conftest import DEADLINE, PYBUILD, ROOT

TEXT = (ROOT / "docs" / "ci.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """The words of every call of pybuild in the examples, with variables as they stand."""
    found = []
    for _, block in BLOCKS:
        text = block.replace("\\\n", " ").replace("$IMAGE", "registry.example/shop")
        for line in text.splitlines():
            match = re.search(r'(?:^|[ \'/|])(?:"\$\(command -v pybuild\)"|pybuild) (.*)', line)
            if match and "pybuild-oci" not in line:
                words = shlex.split(
                    match[1].removesuffix("'") if match[1].count("'") % 2 else match[1], comments=True
                )
                found.append([word for word in words if word not in ("||", "true", "$@")])
    return found


def test_the_examples_are_of_all_three_systems() -> None:
    assert [kind for kind, _ in BLOCKS] == ["sh", "sh", "sh", "yaml", "yaml", "groovy", "sh"]
    assert len(commands()) == 13


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words)[:60])
def test_every_command_is_one(words: list[str]) -> None:
    name = words[0] if words[0] in COMMANDS else "build"
    command = find(name)
    args = read_flags(
        FLAGS if name == "build" else command.flags,
        words[words[0] == name :],
        command=name,
        stop_at_word=command.stop_at_word,
    )
    command.check(args)
    if name not in ("build", "plan"):
        return
    assert args.words == (".",)
    parse_conditions(args.texts("--require"))
    for text in args.texts("--cache-from"):
        parse_cache_from(text)
    for text in args.texts("--cache-to"):
        parse_cache_to(text)
    for text in args.texts("--report"):
        assert text.removeprefix("type=") in FORMATS if text.startswith("type=") else form_of(text)


def test_from_one_machine_to_the_next(tmp_path: Path, bases: Path) -> None:
    """Main builds and writes a signed cache; a pull request on a fresh machine only reads, and its promise holds until it is broken."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "requirements.txt").write_text("a==1\n")
    (context / "app.py").write_text("1")
    (context / "Buildfile").write_text(
        "FROM base AS build\nCOPY requirements.txt /\nRUN echo pip install > /installed\nCOPY app.py /\n"
    )

    def pybuild(store: str, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        line = [*PYBUILD, *words, "--store", str(tmp_path / store)]
        done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=DEADLINE)
        assert done.returncode == status, done.stderr
        return done

    subprocess.run([*PYBUILD, "cache", "keygen", "cache-key"], check=True, cwd=tmp_path, capture_output=True)
    build = ("build", "--progress", "plain", "--build-context", f"base=oci-layout://{bases / 'base'}")
    cache = f"{tmp_path / 'cache'}"
    pybuild("main", *build, "--cache-to", f"type=local,dest={cache},mode=max,sign=cache-key", str(context))
    (context / "app.py").write_text("2")
    promised = (
        "--require",
        "hit:build/RUN echo pip install",
        "--cache-from",
        f"type=local,src={cache},trust=cache-key.pub",
    )
    reports = ("--report", "report.xml", "--report", "report.json")
    pybuild("one", *build, *promised, *reports, str(context))
    assert ET.parse(tmp_path / "report.xml").getroot().get("failures") == "0"
    # Somebody copies the application above the step that is expensive.
    (context / "Buildfile").write_text(
        "FROM base AS build\nCOPY requirements.txt app.py /\nRUN echo pip install > /installed\n"
    )
    done = pybuild("two", *build, *promised, *reports, str(context), status=3)
    assert "hit:build/RUN echo pip install is not met" in done.stderr
    assert ET.parse(tmp_path / "report.xml").getroot().get("failures") == "1"
    assert json.loads((tmp_path / "report.json").read_text())["conditions"][0]["met"] is False
