"""USER and --chown against passwd and group files on disk, opened as a rootfs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import SandboxError
from builder.sandbox.users import User, lookup_owner, lookup_user

PASSWD = """\
# a comment
root:x:0:0:root:/root:/bin/sh

broken
:x:7:7::/none:
letters:x:seven:7::/none:
app:x:1000:1000:App:/home/app:/bin/sh
svc:x:1001:50:Service:/srv/svc:/bin/sh
nohome:x:1002:1002
"""
GROUP = "root:x:0:root\nstaff:x:50:app\naudio:x:63:app,svc\nbroken:x\napp:x:1000:\nodd:x:many:app\n"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("app", User(1000, 1000, (1000, 50, 63), "/home/app")),
        ("1000", User(1000, 1000, (1000, 50, 63), "/home/app")),
        ("svc", User(1001, 50, (50, 63), "/srv/svc")),
        ("app:staff", User(1000, 50, (50,), "/home/app")),
        ("app:4", User(1000, 4, (4,), "/home/app")),
        ("1000:1000", User(1000, 1000, (1000,), "/home/app")),
        ("4242:77", User(4242, 77, (77,), "/")),
        ("4242", User(4242, 0, (0,), "/")),
        ("4242:staff", User(4242, 50, (50,), "/")),
        ("nohome", User(1002, 1002, (1002,), "/")),
    ],
)
def test_user(root: int, text: str, expected: User) -> None:
    assert lookup_user(root, text) == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("ghost", "ghost"),
        ("letters", "letters"),
        ("broken", "broken"),
        ("ghost:0", "ghost"),
        ("app:nogroup", "nogroup"),
        ("app:odd", "odd"),
    ],
)
def test_unknown_user(root: int, text: str, word: str) -> None:
    with pytest.raises(SandboxError, match=f'"{word}"') as caught:
        lookup_user(root, text)
    assert caught.value.hint


def test_without_files(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        assert lookup_user(fd, "") == User(0, 0, (0,), "/")
        assert lookup_user(fd, "5:6") == User(5, 6, (6,), "/")
        assert lookup_user(fd, "5") == User(5, 0, (0,), "/")
        assert lookup_owner(fd, "5:6") == (5, 6)
        with pytest.raises(SandboxError):
            lookup_user(fd, "root")
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000", (1000, 1000)),
        ("12:34", (12, 34)),
        ("70000:80000", (70000, 80000)),
        ("app", (1000, 1000)),
        ("svc", (1001, 50)),
        ("app:staff", (1000, 50)),
        ("7:staff", (7, 50)),
        ("root", (0, 0)),
        ("app:", (1000, 0)),
        (":staff", (0, 50)),
        ("+7:-8", (7, 4294967288)),
        ("-1", (0, 0)),
        ("2147483648", (0, 0)),
        ("9" * 200, (0, 0)),
        ("app:phantom", (1000, 1000)),
        ("7:phantom", (7, 7)),
    ],
)
def test_owner(root: int, text: str, expected: tuple[int, int]) -> None:
    assert lookup_owner(root, text) == expected


@pytest.mark.parametrize("text", ["-1", "2147483648", "app:3000000000", "7:-1", "4294967296", "9" * 5000])
def test_a_number_that_is_no_id(root: int, text: str) -> None:
    with pytest.raises(SandboxError, match="must be in range 0-2147483647"):
        lookup_user(root, text)


def test_what_follows_a_second_colon_is_nothing(root: int) -> None:
    assert lookup_user(root, "+7:staff:x") == lookup_user(root, "7:staff")


def test_unknown_owner_is_root_and_told(root: int) -> None:
    told: list[str] = []
    assert lookup_owner(root, "ghost:phantom", on_unknown=told.append) == (0, 0)
    assert told == ["no user 'ghost', which counts as 0 (root)", "no group 'phantom', for which 0 is taken"]


def test_too_large_passwd_is_refused(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with open(tmp_path / "etc/passwd", "wb") as file:
        file.truncate((10 << 20) + 1)
    fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        with pytest.raises(SandboxError, match="10 MiB"):
            lookup_user(fd, "app")
    finally:
        os.close(fd)
