"""Platform names; the expected values are containerd's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UsageError
from builder.image.platform import Platform, compatible, host_platform, parse_platform

HOST = Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("arm64", "linux/arm64"),
        ("arm", "linux/arm/v7"),
        ("linux", "linux/amd64"),
    ],
)
def test_platforms_are_normalised(text, expected):
    assert str(parse_platform(text, host=HOST)) == expected


@pytest.mark.parametrize(
    "text", ["", "/", "nonsense", "linux/", "linux//v7", "a/b/c/d", "linux/a b", "linux/amd64\n"]
)
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(UsageError, match="not a platform"):
        parse_platform(text, host=HOST)


def test_the_host():
    assert host_platform("aarch64") == Platform("linux", "arm64")
    assert host_platform("armv7l") == Platform("linux", "arm", "v7")
    assert host_platform().os == "linux"


def test_what_runs_where():
    assert [str(item) for item in compatible(Platform("linux", "arm", "v7"))] == [
        "linux/arm/v7",
        "linux/arm/v6",
        "linux/arm/v5",
    ]
    assert [str(item) for item in compatible(Platform("linux", "amd64", "v3"))] == [
        "linux/amd64/v3",
        "linux/amd64/v2",
        "linux/amd64",
        "linux/386",
    ]


@given(st.text("abl/inuxrm6478v.()", max_size=16))
def test_a_platform_prints_as_what_parses_to_it(text):
    try:
        platform = parse_platform(text, host=HOST)
    except UsageError:
        return
    assert parse_platform(str(platform), host=HOST) == platform
