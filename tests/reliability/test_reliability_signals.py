"""Commands that are interrupted or asked to end at any moment: no traceback, the status of the signal, and nothing left behind.

PYBUILD_SIGNALS says how often (16); the full campaign has 600.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import DEADLINE, ROOT
from registry_server import run_registry

SIGNALS = int(os.environ.get("PYBUILD_SIGNALS", "16"))
SEED = int(os.environ.get("PYBUILD_SEED", "1"))
FILE = """FROM base
COPY tree /tree
RUN cat /tree/* > /sum; dd if=/dev/zero of=/zeros bs=1M count=8 2>/dev/null; sleep 0.2
RUN --mount=type=cache,target=/c date >> /c/log; echo $V > /v
WORKDIR /w
"""


class Place:
    """A context, a store that knows some of it, an archive, and a registry that has an image; commands that use them."""

    def __init__(self, folder: Path, base: Path, host: str) -> None:
        self.folder, self.base, self.host = folder, base, host
        self.context, self.store, self.temp = folder / "context", folder / "store", folder / "temp"
        (self.context / "tree").mkdir(parents=True)
        self.temp.mkdir()
        for number in range(400):
            (self.context / "tree" / str(number)).write_bytes(os.urandom(2000))
        (self.context / "Buildfile").write_text(FILE)
        self.env = {
            **os.environ,
            "PYBUILD_STORE": str(self.store),
            "TMPDIR": str(self.temp),
            "PYTHONPATH": str(ROOT),
        }
        for words in (
            self.build("-t", f"{host}/app:1", "--push"),
            self.build("-t", "app"),
            ["save", "app", "-o", str(folder / "app.tar")],
        ):
            done = self.run(words)
            assert done.returncode == 0, done.stderr

    def build(self, *more: str) -> list[str]:
        return ["build", "--build-context", f"base=oci-layout://{self.base}", *more, str(self.context)]

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "builder", *words]
        return subprocess.run(line, env=self.env, capture_output=True, text=True, timeout=DEADLINE)

    def commands(self, number: int) -> dict[str, list[str]]:
        """What is interrupted, by a name for each; `number` makes builds differ."""
        out = str(self.folder / "out")
        return {
            "build": self.build("--build-arg", f"V={number}", "-t", "new"),
            "build it all": self.build("--no-cache", "-o", f"type=oci,dest={out}.tar"),
            "build to a folder": self.build("-o", f"type=local,dest={out}"),
            "build and push": self.build("--no-cache", "-t", f"{self.host}/app:new", "--push"),
            "build with a cache": self.build(
                "--no-cache", "--cache-to", f"type=local,mode=max,dest={out}-cache"
            ),
            "build cached": self.build("-t", "app"),
            "pull": ["pull", "--store", f"{out}-store", f"{self.host}/app:1"],
            "load": ["load", "--store", f"{out}-store", "-i", str(self.folder / "app.tar")],
            "save": ["save", "app", "-o", f"{out}-saved.tar"],
            "run": ["run", "app", "sleep", "0.3"],
            "explain": ["explain"],
            "prune": ["prune", "--force", "--filter", "until=1h"],
        }

    def clear(self) -> None:
        subprocess.run(["rm", "-rf", *map(str, self.folder.glob("out*"))], check=True)


def processes_of(session: int) -> list[str]:
    """What runs in a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((path / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended
            continue
    return found


def leftovers(place: Place, session: int) -> list[str]:
    """Processes, mounts and files of a command that has ended. What a killed RUN had started may take a moment to be gone."""
    for _ in range(100):
        found = processes_of(session)
        if not found:
            break
        time.sleep(0.05)
    found += [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(place.folder) in line
    ]
    for store in (place.store, place.folder / "out-store"):
        found += [str(path) for path in (store / "runs").iterdir()] if (store / "runs").is_dir() else []
    found += [str(path) for path in place.temp.iterdir()]
    known = {"out.tar", "out", "out-saved.tar", "out-cache", "out-store"}
    made = {path.name for path in place.folder.iterdir()} - {"context", "store", "temp", "app.tar"}
    return found + sorted(made - known)


@pytest.mark.timeout(900 + 5 * SIGNALS)
def test_signals_at_any_moment(bases: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    wrong, ended = [], Counter[str]()
    with run_registry(tmp_path / "registry") as registry, tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        place = Place(Path(folder), bases / "base", registry.host)
        names = list(place.commands(0))
        lasts = dict.fromkeys(names, 0.5)
        for number in range(SIGNALS):
            name = names[number % len(names)]
            chosen = rng.choice([signal.SIGINT, signal.SIGTERM])
            group = rng.random() < 0.5  # as a terminal does
            again = rng.uniform(0.0, 0.1) if rng.random() < 0.25 else None  # somebody has no patience
            line = [sys.executable, "-m", "builder", *place.commands(number)[name]]
            child = subprocess.Popen(
                line,
                env=place.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            after = rng.uniform(0.0, lasts[name])
            try:
                child.wait(after)
            except subprocess.TimeoutExpired:
                send = os.killpg if group else os.kill
                send(child.pid, chosen)
                if again is not None:
                    try:
                        child.wait(again)
                    except subprocess.TimeoutExpired:
                        send(child.pid, chosen)
            _, said = child.communicate(timeout=DEADLINE)
            told = f"{name}, {chosen.name} after {after:.3f} s{' to all' * group}{', and again' * bool(again)}: {child.returncode}\n{said[-1500:]}"
            if child.returncode == 0:
                lasts[name] *= 0.8
                ended["done"] += 1
            else:
                lasts[name] *= 1.1
                if "KeyboardInterrupt" in said and "/builder/" not in said.replace("/builder/__", ""):
                    ended["in Python's own start"] += 1  # before the first lines of this program
                    continue
                ended[f"{child.returncode}"] += 1
                if name == "run" and child.returncode == 137:
                    continue  # the container's command looked after no signal: it was killed, and this is how it ended
                if child.returncode not in (128 + chosen, -chosen):
                    wrong.append(f"status: {told}")
                if "Traceback" in said or "mistake in pybuild" in said or "Exception" in said:
                    wrong.append(f"words: {told}")
                if child.returncode > 0 and said.count("what was finished is kept") != 1:
                    wrong.append(f"lines: {told}")
            # A process that ended without a word, before it could look after signals, leaves what a killed one does: nothing yet.
            left = leftovers(place, child.pid)
            if again is not None:  # it was broken off: the next build sweeps
                left = [name for name in left if "/runs/" not in name]
            if left:
                wrong.append(f"left: {left}: {told}")
                place.run(place.build())
            place.clear()
        assert not wrong, "\n".join(wrong)
        assert SIGNALS < 100 or min(ended["130"], ended["143"]) > SIGNALS // 20, ended
        for words in (["doctor"], place.build("-o", f"type=tar,dest={folder}/one")):
            done = place.run(words)
            assert done.returncode == 0, done.stdout + done.stderr
    print(dict(ended))
