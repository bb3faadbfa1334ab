"""What builds leave in the history of their store."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conftest import DEADLINE, Run

from builder.events import Outcome
from builder.store.history import Build, BuildStep
from builder.store.store import open_store


def history(store: Path) -> list[tuple[Build, list[BuildStep]]]:
    """All builds, the oldest first, with their steps."""
    with open_store(str(store)) as opened:
        return [(build, opened.history.steps(build.number)) for build in reversed(opened.history.builds())]


def outcomes(steps: Sequence[BuildStep]) -> list[str]:
    return [step.outcome.value for step in steps if step.outcome is not Outcome.DONE]


def test_every_build_is_in_the_history_with_its_steps(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base AS one\nCOPY a /a\nRUN echo x > /x\n")
    (context / "a").write_text("1")
    pybuild("build", "-t", "example/app:1", context)
    (context / "a").write_text("2")
    pybuild("build", context)
    (first, steps), (second, later) = history(store)
    assert (first.number, second.number) == (1, 2)
    assert first.ok and first.names == ("example/app:1",) and first.stages == ("one",)
    assert first.context == str(context) and first.file == str(context / "Buildfile")
    assert first.image.startswith("sha256:") and first.platform.startswith("linux/")
    assert (second.hits, second.misses) == (1, 2)
    assert outcomes(steps) == ["miss"] * 3 and outcomes(later) == ["hit", "miss", "miss"]
    copy = later[1]
    assert copy.title == "[2/3] COPY a /a" and copy.line == 2 and copy.stage == "one"
    assert copy.slot.endswith("\none\nCOPY") and len(copy.key) == len(copy.state) == 16
    assert [reason.detail for reason in copy.reasons] == ["a (content)"]
    assert steps[0].digest.startswith("sha256:") and steps[0].slot.endswith("\none\nFROM")
    assert first.seconds > 0 and steps[2].seconds > 0 and steps[2].started >= first.started


def test_a_build_that_failed_is_in_the_history_with_why(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo x\nRUN exit 3\nRUN echo never\n")
    pybuild("build", context, ok=False)
    ((build, steps),) = history(store)
    assert build.outcome == "failed" and "exit" in build.error
    assert outcomes(steps) == ["miss", "miss", "failed"]
    assert steps[-1].error and steps[-1].key and steps[-1].reasons


def test_what_is_no_build_is_not_in_the_history(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUM echo x\n")
    pybuild("build", context, ok=False)
    pybuild("build", context / "missing", ok=False)
    assert history(store) == []


def test_a_build_that_was_stopped_is_in_the_history(store: Path, context: Path, bases: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo begun; sleep 600\n")
    program = f"""
import threading, builder
from builder.events import StepOutput
stop = threading.Event()
def show(event):
    if isinstance(event, StepOutput):
        stop.set()
try:
    builder.build({str(context)!r}, store={str(store)!r}, on_event=show, cancelled=stop,
                  build_contexts={{"base": "oci-layout://{bases / "base"}"}})
except builder.BuilderError as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=DEADLINE)
    assert done.stdout == "Cancelled\n", done.stderr
    ((build, steps),) = history(store)
    assert build.outcome == "cancelled"
    assert outcomes(steps) == ["miss", "cancelled"]


def test_secrets_are_not_in_the_history(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text(
        'FROM base\nRUN --mount=type=secret,id=key,env=KEY test -n "$KEY" && cat /run/secrets/key; exit 4\n'
    )
    (context / "key").write_text("hunter2-hunter2")
    pybuild("build", "--secret", f"id=key,src={context / 'key'}", context, ok=False)
    assert history(store)
    database = sqlite3.connect(store / "pybuild.db")
    text = "\n".join(database.iterdump())
    database.close()
    assert "hunter2" not in text


def test_a_history_that_cannot_be_written_is_a_warning(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM base\nRUN echo x\n")
    pybuild("build", context)
    database = sqlite3.connect(store / "pybuild.db")
    database.execute("CREATE TRIGGER no BEFORE INSERT ON builds BEGIN SELECT RAISE(ABORT, 'no'); END")
    database.commit()
    database.close()
    done = pybuild("build", context)
    assert "this build is not in the history" in done.stderr


def recorded(store: Path) -> int:
    """Bytes of what is kept about steps: the listings and the database."""
    database = sqlite3.connect(store / "pybuild.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (pages,), (page,) = (
        database.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
    )
    database.close()
    files = [
        path for path in (*store.glob("listings/**/*"), *store.glob("snapshots/*/facts")) if path.is_file()
    ]
    return pages * page + sum(path.stat().st_size for path in files)


def contents(store: Path) -> int:
    """Bytes of the files of all snapshots, each file counted once."""
    files = [path for path in store.glob("snapshots/*/fs/**/*") if path.is_file()]
    return sum({path.stat().st_ino: path.stat().st_size for path in files}.values())


def listings_of(store: Path) -> set[str]:
    (folder,) = (store / "listings").iterdir()
    return {path.name for path in folder.iterdir() if path.suffix != ".leaf"}


def test_a_store_grows_by_what_changed(pybuild: Run, store: Path, context: Path) -> None:
    """One file of 20,000 is edited, again and again: what is kept about that is no copy of what is known of all others."""
    pybuild("images")
    # Where leaves end depends on the secret of a store: here it is by no chance.
    (store / "secret").write_bytes(bytes(range((store / "secret").stat().st_size)))
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")
    for folder in range(100):
        (context / "src" / str(folder)).mkdir(parents=True)
        for number in range(200):
            (context / "src" / str(folder) / f"file-{number}").write_text(f"{folder} {number}\n")
    output = ("--output", "type=cacheonly")
    pybuild("build", *output, context)
    whole, before = recorded(store), contents(store)
    sizes = [whole]
    for number in range(8):
        (context / "src" / str(number) / "file-7").write_text(f"edit {number}\n")
        pybuild("build", *output, context)
        told = [reason.detail for reason in history(store)[-1][1][0].reasons]
        assert told == [f"src/{number}/file-7 (content 4 → 7 bytes)"]
        sizes.append(recorded(store))
    grown = [after - before for before, after in itertools.pairwise(sizes)]
    # A leaf of some 256 entries and the list of leaves; a whole listing has 600 kB.
    assert whole > 600_000 + 20_000 * 40 and max(grown) < 60_000 and sum(grown) < 8 * 20_000, grown
    assert contents(store) - before < 8 * 10
    # The hashes of all files are kept for the last result only, with which the next one begins.
    (facts,) = store.glob("snapshots/*/facts")
    assert facts.stat().st_size > 20_000 * 40
    # An old build is one to compare with, too: its listing is there.
    (context / "src" / "0" / "file-7").write_text("0 7\n")
    for number in range(1, 8):
        (context / "src" / str(number) / "file-7").write_text(f"{number} 7\n")
    pybuild("build", *output, context)
    assert outcomes(history(store)[-1][1]) == ["hit"]
    assert len(listings_of(store)) == 9


def test_only_the_last_listings_of_a_line_are_kept(pybuild: Run, store: Path, context: Path) -> None:
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")
    (context / "src").mkdir()
    for number in range(3000):  # where leaves end is by chance, for one name in 256
        (context / "src" / f"file-{number}").write_text(f"{number}\n")
    output = ("--output", "type=cacheonly")

    def build(edit: int) -> None:
        (context / "src" / "changing").write_text(f"edit {edit}\n")
        pybuild("build", *output, context)

    for number in range(32):
        build(number)
    assert len(listings_of(store)) == 32
    build(32)
    assert len(listings_of(store)) == 16
    (folder,) = (store / "listings").iterdir()
    # One leaf is another in each of them, and the others are shared; nothing of those that went is left.
    assert 16 < len(list(folder.glob("*.leaf"))) < 16 + 40
    # Branches that take turns are each compared with their own last run; old results are hits still.
    build(0)
    assert outcomes(history(store)[-1][1]) == ["hit"]
    build(33)
    assert [reason.detail for reason in history(store)[-1][1][0].reasons] == ["src/changing (content)"]


def test_a_build_that_changed_nothing_adds_little(pybuild: Run, store: Path, context: Path) -> None:
    lines = "".join(f"WORKDIR /w/{number}\n" for number in range(50))
    (context / "Buildfile").write_text(f"FROM scratch\n{lines}")
    pybuild("build", "--output", "type=cacheonly", context)
    pybuild("build", "--output", "type=cacheonly", context)
    database = sqlite3.connect(store / "pybuild.db")
    rows = database.execute("SELECT * FROM build_steps WHERE build = 2").fetchall()
    texts = database.execute("SELECT count(*) FROM step_texts").fetchone()
    database.close()
    assert len(rows) == 50 and texts == (50,)
    assert (
        sum(len(value) if isinstance(value, str | bytes) else 8 for row in rows for value in row) < 50 * 150
    )


def test_a_build_file_is_known_however_its_folder_is_written(
    pybuild: Run, context: Path, tmp_path: Path
) -> None:
    """And another one that is written alike (`.`) is not taken for it."""
    other = tmp_path / "other"
    for folder in (context, other):
        folder.mkdir(exist_ok=True)
        (folder / "Buildfile").write_text("FROM base\nCOPY a /a\nRUN cat /a\n")
    (context / "a").write_text("1\n")
    (other / "a").write_text("another project\n")
    pybuild("build", context)
    (context / "a").write_text("2\n")
    assert "a (content)" in pybuild("build", "--progress", "plain", ".", cwd=context).stderr
    assert "never built before" in pybuild("build", "--progress", "plain", ".", cwd=other).stderr
