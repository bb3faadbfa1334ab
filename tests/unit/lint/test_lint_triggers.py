"""Rules on triggers of ONBUILD: applied where a stage carries them out, as BuildKit does, and marked where they are written."""

from __future__ import annotations

import pytest
from linting import findings, marked

from builder.image.config import ImageConfig

PARENT = "FROM scratch AS parent\n"
CASES = {
    f"{PARENT}ONBUILD WORKDIR x\nFROM parent\n": [("WorkdirRelativePath", 3, "x")],
    f"{PARENT}ONBUILD WORKDIR x\n": [],
    f"{PARENT}ONBUILD CMD run\nFROM parent\n": [("JSONArgsRecommended", 3, "CMD run")],
    f'{PARENT}ONBUILD CMD ["a"]\nFROM parent\nCMD ["b"]\n': [
        ("MultipleInstructionsDisallowed", 3, 'CMD ["a"]')
    ],
    f"{PARENT}ONBUILD EXPOSE 80/TCP 1:2\nFROM parent\n": [
        ("ExposeProtoCasing", 3, "80/TCP"),
        ("ExposeInvalidFormat", 3, "1:2"),
    ],
    f"{PARENT}ONBUILD ENV A $B\nFROM parent\n": [
        ("UndefinedVar", 3, "$B"),
        ("LegacyKeyValueFormat", 3, "ENV A $B"),
    ],
    f"{PARENT}ONBUILD ARG TOKEN\nFROM parent\n": [("SecretsUsedInArgOrEnv", 3, "TOKEN")],
    f"{PARENT}ONBUILD RUN --mount=source=$U,target=/a x\nFROM parent\n": [("UndefinedVar", 3, "$U")],
    f"{PARENT}ONBUILD COPY a \\\n  $b /\nFROM parent\n": [("UndefinedVar", 4, "$b")],
    # what a trigger sets holds for the lines of the stage, and what SHELL says for those behind it
    f'{PARENT}ONBUILD ENV A=1\nONBUILD WORKDIR /a\nONBUILD SHELL ["/s"]\nFROM parent\nWORKDIR b$A\nCMD c\n': [],
    # each stage that carries a trigger out is a place of its own; one on top of such a stage carries nothing out
    f"{PARENT}ONBUILD WORKDIR x\nFROM parent AS a\nFROM parent AS b\nFROM a AS c\n": [
        ("WorkdirRelativePath", 3, "x"),
        ("WorkdirRelativePath", 4, "x"),
    ],
    f"{PARENT}# check=skip=WorkdirRelativePath\nONBUILD WORKDIR x\nFROM parent\n": [],
    f"{PARENT}ONBUILD WORKDIR x\n# check=skip=WorkdirRelativePath\nFROM parent AS a\nFROM parent AS b\n": [
        ("WorkdirRelativePath", 5, "x")
    ],
    # habits are looked for where they are written, once
    f"{PARENT}ONBUILD RUN sudo x\nFROM parent AS a\nFROM parent AS b\n": [("DL3004", 2, "sudo x")],
}


@pytest.mark.parametrize("text", CASES)
def test_triggers_of_a_stage(text: str) -> None:
    assert [(item.rule, item.lines[0], marked(text, item)) for item in findings(text)] == CASES[text]


def test_triggers_of_an_image_are_reported_at_its_name() -> None:
    base = ImageConfig(onbuild=("WORKDIR x", "ENV A=1 \\\n B=$C", "NOSUCH y", "CMD z"))
    text = "ARG V=1\nFROM example/app:$V\nENV B=$A\n"
    found = findings(text, bases={"example/app:1": base})
    assert [(item.message, item.lines, marked(text, item)) for item in found] == [
        (f"in a trigger of the base: {message}", (2, 2), "example/app:$V")
        for message in (
            "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
            'Relative workdir "x" can have unexpected results if the base image changes',
            "Usage of undefined variable '$C'",
        )
    ]


def test_triggers_of_stages_that_are_not_needed_are_not_looked_at() -> None:
    text = f"{PARENT}ONBUILD WORKDIR x\nFROM parent AS a\nFROM scratch\n"
    assert findings(text, stages=frozenset({2})) == ()
