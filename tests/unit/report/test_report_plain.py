"""Plain progress: exact logs of recorded events."""

from __future__ import annotations

import io
import threading
import time

from conftest import DEADLINE
from hypothesis import given
from hypothesis import strategies as st

from builder.events import (
    BuildFinished,
    Event,
    Outcome,
    Reason,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)
from builder.report.plain import Plain


def log(*events: Event) -> str:
    stream = io.StringIO()
    plain = Plain(stream, clock=False)
    for event in events:
        plain.show(event)
    plain.close()
    return stream.getvalue()


def out(step: int, at: float, data: bytes, stream: str = "stdout") -> StepOutput:
    return StepOutput(at, step, stream, data)


def test_a_whole_build() -> None:
    text = log(
        StepStarted(10.0, 1, "[1/3] FROM base", "", 1),
        StepFinished(10.0, 1, Outcome.HIT, 0.0, saved=2.0),
        StepStarted(10.0, 2, "[2/3] COPY a /a", "", 2),
        StepFinished(10.1, 2, Outcome.MISS, 0.1, 1234, reasons=(Reason("changed", "file a", "a (content)"),)),
        Warned(10.2, "be careful", "Buildfile:3"),
        Warned(10.2, "be careful", "Buildfile:3"),
        StepStarted(10.2, 3, "[3/3] RUN make", "", 3),
        out(3, 10.3, b"one\ntwo"),
        out(3, 10.4, b"err\n", "stderr"),
        out(3, 10.5, b" and a half\n"),
        StepFinished(
            11.2, 3, Outcome.MISS, 1.0, 0, reasons=(Reason("changed", "parent", "[2/3] COPY a /a changed"),)
        ),
        StepStarted(11.2, 4, "exporting to image", ""),
        StepFinished(11.3, 4, Outcome.DONE, 0.1),
        BuildFinished(11.3, 1.3, True, "sha256:abc", ("app:1", "app:2")),
    )
    assert text == (
        "#1 [1/3] FROM base\n"
        "#1 CACHED\n"
        "\n"
        "#2 [2/3] COPY a /a\n"
        "#2 DONE 0.1s\n"
        "WARNING: Buildfile:3: be careful\n"
        "\n"
        "#3 [3/3] RUN make\n"
        "#3 0.100 one\n"
        "#3 0.200 err\n"
        "#3 0.300 two and a half\n"
        "#3 DONE 1.0s\n"
        "\n"
        "#4 exporting to image\n"
        "#4 DONE 0.1s\n"
        "\n"
        " step                result  time    size  why\n"
        " [1/3] FROM base     hit     0.0s\n"
        " [2/3] COPY a /a     miss    0.1s  1.2 kB  a (content)\n"
        " [3/3] RUN make      miss    1.0s          [2/3] COPY a /a changed\n"
        " exporting to image  done    0.1s\n"
        "\n"
        "done: 3 steps: 1 hit, 2 misses, 1.3s (saved 2.0s)\n"
        "image: sha256:abc  app:1, app:2\n"
    )


def test_a_failure_and_what_it_stopped() -> None:
    text = log(
        StepStarted(0.0, 1, "RUN a", ""),
        StepStarted(0.0, 2, "RUN b", ""),
        out(1, 0.5, b"last words"),
        StepFinished(1.0, 1, Outcome.FAILED, 1.0, error="exit code: 2"),
        StepFinished(1.1, 2, Outcome.CANCELLED, 1.1),
        BuildFinished(1.1, 1.1, False),
    )
    assert "#1 1.000 last words\n#1 ERROR: exit code: 2\n" in text
    assert "#2 CANCELED\n" in text
    assert text.endswith("failed: 2 steps: 0 hits, 0 misses, 1 failed, 1 cancelled, 1.1s\n")


def test_a_file_that_does_not_parse_has_no_table() -> None:
    assert log(BuildFinished(0.0, 0.0, False)) == ""


def test_steps_side_by_side_take_turns() -> None:
    text = log(
        StepStarted(0.0, 1, "A", "a"),
        StepStarted(0.0, 2, "B", "b"),
        out(1, 0.1, b"a1\n"),
        out(2, 0.2, b"b1\n"),
        out(1, 0.3, b"a2\n"),
        out(2, 0.4, b"b2\n"),
        StepFinished(0.5, 1, Outcome.MISS, 0.5),
        out(2, 0.6, b"b3\n"),
        StepFinished(0.7, 2, Outcome.MISS, 0.7),
    )
    assert text == (
        "#1 A\n#1 0.100 a1\n#1 0.300 a2\n#1 DONE 0.5s\n\n"
        "#2 B\n#2 0.200 b1\n#2 0.400 b2\n#2 0.600 b3\n#2 DONE 0.7s\n"
    )


def test_after_a_while_the_other_may_speak() -> None:
    text = log(
        StepStarted(0.0, 1, "A", "a"),
        StepStarted(0.0, 2, "B", "b"),
        out(1, 1.0, b"a1\n"),
        out(2, 6.0, b"b1\n"),
        out(1, 7.0, b"a2\n"),
        StepFinished(8.0, 2, Outcome.MISS, 8.0),
        StepFinished(9.0, 1, Outcome.MISS, 9.0),
    )
    assert text == (
        "#1 A\n#1 1.000 a1\n#1 …\n\n#2 B\n#2 6.000 b1\n#2 DONE 8.0s\n\n#1 A\n#1 7.000 a2\n#1 DONE 9.0s\n"
    )


def test_a_flood_from_a_waiting_step_is_not_kept_in_memory() -> None:
    events: list[Event] = [StepStarted(0.0, 1, "A", "a"), StepStarted(0.0, 2, "B", "b"), out(1, 0.0, b"a\n")]
    events += [out(2, 0.1, b"x\n" * 1000) for _ in range(10)]
    assert log(*events).count("#2 0.100 x\n") == 10_000


def test_bytes_are_told_in_steps() -> None:
    events: list[Event] = [StepStarted(0.0, 1, "A", "a")]
    events += [StepProgress(0.0, 1, "layer 1", done, 1000_000) for done in range(0, 1000_001, 1000)]
    lines = log(*events).splitlines()[1:]
    assert len(lines) <= 22
    assert lines[0] == "#1 layer 1 0 B / 1.0 MB"
    assert lines[-1] == "#1 layer 1 1.0 MB / 1.0 MB"
    assert len(set(lines)) == len(lines)
    # Where nobody knows the end, time decides.
    events = [StepStarted(0.0, 1, "A", "a"), *(StepProgress(at, 1, "x", int(at), 0) for at in range(1, 21))]
    assert 3 <= len(log(*events).splitlines()[1:]) <= 5


def test_control_sequences_do_nothing() -> None:
    text = log(
        StepStarted(0.0, 1, "RUN \x1b[2Jx", "a"),
        out(
            1, 0.1, b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x07\x00\n"
        ),
        out(1, 0.2, b"10%\r20%\r100%\r\n"),
        out(1, 0.3, b"\xff\xfe \xe2\x80\xae evil\ttab\n"),
        out(1, 0.4, b"\x0b\x0c\x1b\n"),
    )
    assert text == (
        "#1 RUN x\n#1 0.100 red link \n#1 0.200 100%\n"
        "#1 0.300 \ufffd\ufffd \\u202e evil\ttab\n#1 0.400 \\x0b\\x0c\n"
    )


def test_long_lines_are_cut_and_say_so() -> None:
    pieces = [out(1, 0.1, b"x" * 10_000) for _ in range(10)]
    text = log(StepStarted(0.0, 1, "A", "a"), *pieces, out(1, 0.1, b"\nnext\n"))
    first, second = text.splitlines()[1:]
    assert first == f"#1 0.100 {'x' * 16384} … {100_000 - 16384} more bytes"
    assert second == "#1 0.100 next"


def test_a_progress_bar_without_end_needs_no_room() -> None:
    pieces = [out(1, 0.1, b"%d%% of it\r" % number) for number in range(10_000)]
    text = log(StepStarted(0.0, 1, "A", "a"), *pieces, StepFinished(1.0, 1, Outcome.MISS, 1.0))
    assert text == "#1 A\n#1 1.000 9999% of it\n#1 DONE 1.0s\n"


def test_a_line_that_does_not_end_is_shown_after_a_while() -> None:
    assert log(StepStarted(0.0, 1, "A", ""), out(1, 0.0, b"Continue? ")) == "#1 A\n"
    stream = io.StringIO()
    plain = Plain(stream)
    now = time.time()
    plain.show(StepStarted(now, 1, "A", ""))
    plain.show(out(1, now, b"Continue? "))
    deadline = time.monotonic() + DEADLINE
    while "Continue" not in stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "Continue? \n" in stream.getvalue()
    plain.close()
    plain.show(StepFinished(time.time(), 1, Outcome.MISS, 1.0))
    for thread in threading.enumerate():
        if thread.name == "plain-clock":
            thread.join(DEADLINE)
    assert stream.getvalue().count("Continue") == 1


def test_a_log_in_an_old_encoding() -> None:
    raw = io.BytesIO()
    plain = Plain(io.TextIOWrapper(raw, encoding="ascii"), clock=False)
    plain.show(StepStarted(0.0, 1, "RUN é", ""))
    assert raw.getvalue() == b"#1 RUN \\xe9\n"


class Broken(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_nobody_reads_the_log() -> None:
    plain = Plain(Broken(), clock=False)
    plain.show(StepStarted(0.0, 1, "A", ""))
    plain.show(BuildFinished(0.0, 0.0, True))
    plain.close()


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.binary(max_size=20), st.floats(0, 3)), max_size=40))
def test_every_line_is_shown_once_and_in_its_order(pieces: list[tuple[int, bytes, float]]) -> None:
    events: list[Event] = [StepStarted(0.0, step, f"S{step}", "") for step in (1, 2, 3)]
    now, expected = 0.0, {1: b"", 2: b"", 3: b""}
    for step, data, passed in pieces:
        now += passed
        letters = bytes(byte % 26 + 97 if byte > 20 else 10 for byte in data)
        expected[step] += letters
        events.append(out(step, now, letters))
    events += [StepFinished(now, step, Outcome.MISS, now) for step in (2, 1, 3)]
    seen: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for line in log(*events).splitlines():
        if line.startswith("#") and " S" not in line and "DONE" not in line and not line.endswith("…"):
            number, _, text = line[1:].split(" ", 2)
            seen[int(number)].append(text)
    for step, data in expected.items():
        lines = data.decode().split("\n")
        assert seen[step] == (lines if lines[-1] else lines[:-1])
