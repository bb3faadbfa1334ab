"""Build files that are made to cost time, memory or patience: what they cost grows with their length, and no faster."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.cli.main import main

TENFOLD = "$A" * 10
FILES = {
    "labels": "FROM scratch\n" + "".join(f"LABEL a{number}=b\n" for number in range(20_000)),
    "variables": "FROM scratch\n" + "".join(f"ENV A{number}=b\n" for number in range(20_000)),
    "volumes": "FROM scratch\n" + "".join(f"VOLUME /a{number}\n" for number in range(20_000)),
    "comments": "# text\n" * 300_000 + "FROM scratch\n",
    "quotes": "FROM scratch\nENV A=" + "\"'\\\n" * 200_000 + "\n",
    "flags": "FROM scratch\nRUN " + "--network=none \\\n" * 100_000 + "x\n",
    "words": "FROM scratch\nENV " + "A=\\b \\\n" * 40_000 + "\n",
    "depth": "FROM scratch\nENV A=" + "${a:-\\\n" * 100_000 + "\n",
    "names": "FROM scratch AS a\n" + "ONBUILD LABEL a=b\n" * 3000 + "FROM a\n" * 10,
    "values": "ARG A=xxxxxxxxxx\n" + f"ARG A={TENFOLD}\n" * 30 + "FROM scratch\n",
    "pattern": f"FROM scratch\nENV A={'a' * 60_000}\nENV B=${{A#{'*a' * 3000}b}} C=${{A//{'a*' * 1000}b/x}}\n",
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no ShellCheck
    monkeypatch.chdir(tmp_path)
    Path("Dockerfile").write_text(FILES[name])
    start = time.process_time()  # of this process alone: the machine may be busy
    status = main(["check"])
    assert time.process_time() - start < 40  # a second or two; what was quadratic took a minute and more
    shown = capsys.readouterr().out
    assert status in (0, 2) and len(shown) < 30_000, shown[:500]


def test_values_that_grow_tenfold_with_each_line_fill_no_memory(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FILES["values"])
    bounded = ["sh", "-c", 'ulimit -v 1048576; exec "$@"', "sh"]
    line = [*bounded, sys.executable, "-m", "builder", "check"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: the value may be longer than 16 MiB once expanded" in done.stdout


def test_messages_do_not_repeat_what_is_endless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "Dockerfile"
    for flag in ("--from=x ", ""):
        path.write_text(f"FROM scratch\nCOPY {flag}--{'a' * 60_000}=x {'b' * 60_000 if flag else 'b'} c\n")
        assert main(["check", str(path)]) == 2
        assert len(capsys.readouterr().out) < 3000
