"""Small pure pieces: history texts, signals, paths."""

import pytest

from builder.graph.created import duration_text, health_text, quoted_text
from builder.graph.names import familiar
from builder.graph.paths import clean_path, join_path
from builder.graph.signals import is_signal
from builder.image.config import Health

SECOND = 10**9


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (5, "5ns"),
        (1500, "1.5µs"),
        (500 * 10**6, "500ms"),
        (SECOND, "1s"),
        (1500 * 10**6, "1.5s"),
        (90 * SECOND, "1m30s"),
        (300 * SECOND, "5m0s"),
        (3600 * SECOND, "1h0m0s"),
        (3661 * SECOND + 10**6, "1h1m1.001s"),
    ],
)
def test_durations_are_written_as_go_does(nanoseconds, text):
    assert duration_text(nanoseconds) == text


def test_health_checks_are_written_as_go_does():
    assert health_text(Health(("CMD-SHELL", "a b"), SECOND, 0, 0, 0, 3)) == (
        "{Test:[CMD-SHELL a b] Interval:1s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}"
    )


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb\x00", '"a\\nb\\x00"'),
        ("ü", '"ü"'),
        ("\u200b", '"\\u200b"'),
    ],
)
def test_strings_are_quoted_as_go_does(text, quoted):
    assert quoted_text(text) == quoted


@pytest.mark.parametrize("text", ["SIGTERM", "term", "9", "SIGRTMIN+3", "rtmax-14", "64", "4294967296", "-5"])
def test_signals(text):
    assert is_signal(text)


@pytest.mark.parametrize(
    "text", ["", "0", "-0", "SIGNOPE", "SIG", "TERM ", "9223372036854775808", "1" * 30, "+-1"]
)
def test_no_signals(text):
    assert not is_signal(text)


def test_paths():
    assert clean_path("//a/./b/../c/") == "/a/c"
    assert clean_path("/../..") == "/"
    assert join_path("a", "../b") == "/b"
    assert join_path("", "x") == "/x"


@pytest.mark.parametrize("name", ["base", "base:latest", "docker.io/library/base", "library/base:latest"])
def test_familiar_names(name):
    assert familiar(name) == "base"
    assert familiar("host:5000/a/b:1") == "host:5000/a/b:1"
