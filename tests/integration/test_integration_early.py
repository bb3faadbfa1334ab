"""Layers that are made while later steps run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import DEADLINE

import builder
from builder.engine import assemble, early
from builder.errors import StepError, StoreError
from builder.events import StepStarted
from builder.store.store import open_store

BUILDFILE = """\
FROM scratch AS other
COPY big /unseen

FROM scratch AS below
COPY big /big

FROM below
COPY small /small
COPY --from=other /unseen/0 /seen
"""


@pytest.fixture
def made(context: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """A context; what asks for layers, ahead or for an output, and the states."""
    del memory  # nothing waits for the disk
    (context / "big").mkdir()
    for number in range(40):
        (context / "big" / str(number)).write_bytes(os.urandom(30_000))
    (context / "small").write_text("small")
    (context / "Buildfile").write_text(BUILDFILE)
    monkeypatch.setattr(early, "_WORTH_IT", 1 << 20)
    found: list[tuple[str, bytes]] = []

    def watch(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if (name, args[1]) not in found:
                found.append((name, args[1]))
            return function(*args, **options)

        return call

    for module, name in ((early, "ahead"), (assemble, "output")):
        monkeypatch.setattr(module, "ensure_layer", watch(name, module.ensure_layer))
    return found


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_only_large_layers_of_the_result_are_made_ahead(
    made: list[tuple[str, bytes]], context: Path, store: Path
) -> None:
    result = builder.build(str(context), store=str(store))
    assert [name for name, _ in made] == ["ahead", "output", "output"]
    assert "early-layers" not in threads()
    made.clear()
    builder.build(str(context), store=str(store))
    assert made == []
    for blob in (
        store / "blobs/sha256"
    ).iterdir():  # a layer that was there before is made last, and compared
        if blob.stat().st_size > 1 << 20:
            blob.unlink()
    with open_store(str(store)) as opened:
        opened.database.run("DELETE FROM records")
    builder.build(str(context), store=str(store))
    assert [name for name, _ in made] == ["output"]
    made.clear()
    builder.build(str(context), store=str(store), no_cache=True, jobs=1)
    assert [name for name, _ in made] == ["output"] * 3
    assert result.digest


def test_the_image_is_the_same(made: list[tuple[str, bytes]], context: Path, tmp_path: Path) -> None:
    del made
    for folder, _, names in os.walk(context):
        for name in [*names, "."]:
            os.utime(Path(folder) / name, (1, 1))
    one, other = (
        builder.build(str(context), store=str(tmp_path / f"store{jobs}"), jobs=jobs, reproducible=True)
        for jobs in (1, 2)
    )
    assert one.digest == other.digest


@pytest.mark.parametrize("outputs", [(), (builder.Output("cacheonly"),)])
def test_without_layers_in_the_output_none_is_made(
    made: list[tuple[str, bytes]], context: Path, store: Path, outputs: tuple[builder.Output, ...]
) -> None:
    builder.build(str(context), store=str(store), outputs=outputs)
    assert bool(made) is not bool(outputs)


def test_a_build_that_fails_leaves_nothing_of_them(
    made: list[tuple[str, bytes]], context: Path, store: Path, bases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del made
    begun, stopped = threading.Event(), threading.Event()
    make = early.ensure_layer

    def wait(*args: Any, stop: threading.Event, **options: Any) -> Any:
        begun.set()
        assert stop.wait(DEADLINE)
        stopped.set()
        return make(*args, stop=stop, **options)

    monkeypatch.setattr(early, "ensure_layer", wait)
    contexts = {"base": f"oci-layout://{bases / 'base'}"}
    (context / "Buildfile").write_text("FROM base\nCOPY big /big\nRUN false\n")

    def show(event: object) -> None:
        if isinstance(event, StepStarted) and "RUN" in event.title:
            assert begun.wait(DEADLINE)

    with pytest.raises(StepError):
        builder.build(str(context), store=str(store), build_contexts=contexts, on_event=show)
    assert begun.is_set() and stopped.is_set()
    assert "early-layers" not in threads()
    assert os.listdir(store / "runs") == []
    monkeypatch.setattr(early, "ensure_layer", make)
    (context / "Buildfile").write_text("FROM base\nCOPY big /big\nRUN true\n")
    result = builder.build(str(context), store=str(store), build_contexts=contexts)
    assert len(result.layers) >= 2


def test_what_goes_wrong_ahead_ends_the_build(
    made: list[tuple[str, bytes]], context: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del made

    def fail(*args: Any, **options: Any) -> Any:
        raise StoreError("no room")

    monkeypatch.setattr(early, "ensure_layer", fail)
    with pytest.raises(StoreError, match="no room"):
        builder.build(str(context), store=str(store))
    assert "early-layers" not in threads()
