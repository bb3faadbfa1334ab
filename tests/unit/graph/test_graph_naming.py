"""Names of steps as people give them."""

from __future__ import annotations

import pytest

from builder.graph.naming import StepName, is_called, read_title


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("[build 2/5] RUN make", StepName("build", 2, 5, "RUN make")),
        ("[stage-1  2/12] COPY a] b /", StepName("stage-1", 2, 12, "COPY a] b /")),
        ("[2/5] ONBUILD RUN x", StepName("", 2, 5, "RUN x")),
        ("[ 2/15] RUN x", StepName("", 2, 15, "RUN x")),
        ("exporting to image", None),
        ("[context x] load from elsewhere", None),
        ("[build] FROM x", None),
        ("[build x/5] RUN", None),
    ],
)
def test_titles(title: str, parts: StepName | None) -> None:
    assert read_title(title) == parts


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("build/2", True),
        ("BUILD/2", True),
        ("build/2/5", True),
        ("[build 2/5]", True),
        ("[build 2/5] RUN make  all", True),
        ("RUN make all", True),
        ("alias/2", True),
        ("2", False),
        ("build", False),
        ("build/3", False),
        ("build/2/6", False),
        ("other/2", False),
        ("RUN make", False),
        ("", False),
        ("/2", False),
    ],
)
def test_names(name: str, called: bool) -> None:
    assert is_called("[build 2/5] RUN make  all", name, stage="alias") is called


def test_a_lone_stage_needs_no_name() -> None:
    assert (
        is_called("[2/5] RUN x", "2")
        and is_called("[2/5] RUN x", "2/5")
        and not is_called("[2/5] RUN x", "3/5")
    )
