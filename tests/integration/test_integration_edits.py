"""Builds after random edits of a tree give the same bytes as builds without a cache: in every layer, and in the config.

`EDIT_ROUNDS` and `EDIT_SEED` in the environment ask for a longer campaign, or one that failed.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from image_bytes import difference, same_but_for_times
from tree_edits import Tree

import builder
from builder.engine.request import Output

ROUNDS = int(os.environ.get("EDIT_ROUNDS", "200"))
SEED = int(os.environ.get("EDIT_SEED", "7"))

BUILDFILE = """\
FROM scratch
COPY base /
COPY src /app/src
COPY --chown=7:8 src /other/
COPY --chmod=u+w,go-w src /mode/
COPY --link src /link
COPY --exclude=**/a --exclude=**/*.py . /all/
COPY src/* /flat/
COPY --parents src /parents/
ADD --chown=7 src /added/
"""
IGNORED = (
    "**/b",
    "src/deep",
    "!src/deep/x.py",
    "**/.dot",
    "src/*/inside",
    "# nothing",
    "*.md",
    "!**/b",
    "src/c d/",
)


def fill(context: Path) -> None:
    """A tree to begin with, some of it in the base already."""
    for name in ("base", "src"):
        shutil.rmtree(context / name, ignore_errors=True)
    (context / "base/app/src/deep").mkdir(parents=True)
    (context / "base/app/src/a").write_text("of the base\n")
    (context / "base/app/src/deep/b").write_text("ab")
    (context / "src/deep").mkdir(parents=True)
    for name in ("a", "b", "x.py", "deep/b", "deep/x", "deep/x.py"):
        (context / "src" / name).write_text("ab")


def digest(context: Path, store: Path, *, reproducible: bool, platform: str | None, no_cache: bool) -> str:
    """The manifest's digest; times are no matter, as none is in a key."""
    out = Output("image", attributes={"rewrite-timestamp": "true"})
    args = {"SOURCE_DATE_EPOCH": "0"}
    result = builder.build(
        str(context), store=str(store), outputs=[out], build_args=args, reproducible=reproducible,
        platform=platform, no_cache=no_cache,
    )  # fmt: skip
    return result.digest


@pytest.mark.timeout(36000)
def test_random_edits_give_the_bytes_of_a_build_without_cache(memory: Path, used: list[bool]) -> None:
    dice = random.Random(SEED)
    context, cached = memory / "context", memory / "store"
    context.mkdir()
    (context / "Buildfile").write_text(BUILDFILE)
    trees = {name: Tree(context / name, dice, owners=True) for name in ("src", "base")}
    failed: list[str] = []
    for number in range(ROUNDS):
        if number % 25 == 0:
            fill(context)
            (context / ".dockerignore").unlink(missing_ok=True)
        if number % 200 == 0:
            shutil.rmtree(cached, ignore_errors=True)
        edits = [trees["src"].edit() for _ in range(dice.randrange(1, 4))]
        if dice.randrange(8) == 0:  # the steps below stand on something else
            edits.append(trees["base"].edit())
        if dice.randrange(10) == 0:
            (context / ".dockerignore").write_text("\n".join(dice.sample(IGNORED, 3)))
            edits.append("ignore")
        reproducible = dice.randrange(4) == 0
        fresh = memory / f"fresh{number}"
        platform = "linux/arm64" if dice.randrange(8) == 0 else None
        options: dict[str, Any] = {"reproducible": reproducible, "platform": platform}
        try:
            whole = digest(context, fresh, no_cache=True, **options)
        except builder.BuilderError as error:
            with pytest.raises(builder.BuilderError) as caught:
                digest(context, cached, no_cache=False, **options)
            assert caught.value.message == error.message
        else:
            part = digest(context, cached, no_cache=False, **options)
            told = difference(fresh, whole, cached, part)
            if told and not same_but_for_times(fresh, whole, cached, part):
                failed.append(f"round {number} ({', '.join(edits)}), seed {SEED}:\n{told}")
                shutil.rmtree(cached)  # so that it is told once
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        if len(failed) > 5:
            break
    assert not failed, "\n".join(failed)
    assert used.count(True) > len(used) / 16
    assert used.count(False) > 0


def test_a_name_that_is_no_utf8_is_told_and_kept_in_the_history(tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "src").mkdir(parents=True)
    (context / "Buildfile").write_text("FROM scratch\nCOPY src /src\n")
    store = tmp_path / "store"
    builder.build(str(context), store=str(store))
    (context / "src" / "\udcff.txt").write_text("odd")
    result = builder.build(str(context), store=str(store))
    assert [reason.detail for reason in result.steps[0].reasons] == ["+src/\udcff.txt"]
    from builder.store.store import open_store

    with open_store(str(store)) as opened:
        assert opened.history.steps(result.build)[0].reasons == result.steps[0].reasons
