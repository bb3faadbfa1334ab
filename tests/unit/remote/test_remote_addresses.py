"""Addresses of git repositories and URLs, by the rules of `docker build` (BuildKit's dfgitutil, gitutil and sshutil)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.remote.addresses import (
    AddressError,
    GitAddress,
    check_commit,
    check_url,
    file_name,
    is_remote,
    masked,
    parse_git,
    place_of,
    without_password,
)

URL = "https://host/a/b.git"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (URL, GitAddress(URL)),
        (f"{URL}#v1", GitAddress(URL, ref="v1")),
        (f"{URL}#v1:sub/dir", GitAddress(URL, ref="v1", subdir="sub/dir")),
        (f"{URL}#:sub", GitAddress(URL, subdir="sub")),
        (f"{URL}?tag=v1", GitAddress(URL, ref="refs/tags/v1")),
        (f"{URL}?branch=main&subdir=x", GitAddress(URL, ref="refs/heads/main", subdir="x")),
        (f"{URL}?ref=main&keep-git-dir", GitAddress(URL, ref="main", keep_git_dir=True)),
        (f"{URL}?keep-git-dir=0&submodules=false", GitAddress(URL, keep_git_dir=False, submodules=False)),
        (f"{URL}?checksum=abcdef12", GitAddress(URL, ref="abcdef12", checksum="abcdef12")),
        (f"{URL}?mtime=commit", GitAddress(URL, commit_time=True)),
        (f"{URL}?fetch-by-commit=true", GitAddress(URL)),
        ("git://host/x", GitAddress("git://host/x")),
        ("ssh://git@host:22/x", GitAddress("ssh://git@host:22/x")),
        ("git@host:a/b.git#r:s", GitAddress("git@host:a/b.git", ref="r", subdir="s")),
        ("me@host:a", GitAddress("me@host:a")),
        ("HTTPS://host/a.git", GitAddress("https://host/a.git")),
    ],
)
def test_a_repository(text: str, expected: GitAddress) -> None:
    assert parse_git(text) == expected


@pytest.mark.parametrize(
    "text",
    ["https://host/a", "https://host/a.git/file", "a/b", "./git@host:x", "host:path", "ftp://h/a.git", "", "/a.git",
     "https://host/x.tar.gz#a.git", "file:///a.git", "github.com/a/b"],
)  # fmt: skip
def test_no_repository(text: str) -> None:
    assert parse_git(text) is None


def test_a_bare_host_name_is_a_repository_as_context_only() -> None:
    assert parse_git("github.com/a/b") is None
    assert parse_git("github.com/a/b#r:s", context=True) == GitAddress("https://github.com/a/b", "r", "s")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{URL}?what=1", "unknown query 'what'"),
        (f"{URL}?ref=", "the query ref has no value"),
        (f"{URL}?ref=a&ref=b", "given twice"),
        (f"{URL}?ref=a#b", "two refs"),
        (f"{URL}?tag=a&branch=b", "two refs"),
        (f"{URL}?subdir=a#:b", "two folders"),
        (f"{URL}?submodules=maybe", "true or false"),
        (f"{URL}?mtime=now", "mtime is checkout or commit"),
        (f"{URL}?checksum=xyz", "no id of a git commit"),
        (f"{URL}#--upload-pack=x", "no name of a branch"),
        (f"{URL}#a b", "no name of a branch"),
        ("git:///path", "names no host"),
        ("https://[::1/a.git", "not a URL"),
    ],
)
def test_a_wrong_address(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        parse_git(text)
    assert is_remote(text)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.txt", "b.txt"),
        ("http://h/a/b.txt?x=/y#z", "b.txt"),
        ("http://h/a%20b", "a b"),
        ("http://h/dir/", "dir"),
        ("http://h", "__unnamed__"),
        ("http://h/a/..", "__unnamed__"),
        ("http://h/%2e%2e", "__unnamed__"),
        ("http://h/x%2Fy", "y"),
        ("http://h/a%00b", "__unnamed__"),
    ],
)
def test_the_name_of_a_file(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h/x", "https://u:***@h/x"),
        ("https://token@h/x", "https://***@h/x"),
        ("https://h/x?y", "https://h/x?y"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("git@h:x", "git@h:x"),
        ("/a@b", "/a@b"),
        ("https://u:p@q@h/x?a@b", "https://u:***@h/x?a@b"),
        ("https://[u:p@h", "https://[u:***@h"),
        ('ADD ["https://u:p@h/x", "HTTP://t@h/y"] /', 'ADD ["https://u:***@h/x", "HTTP://***@h/y"] /'),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert len(masked(url)) == len(url)
    assert ("***" in shown) == (masked(url) != url)


def test_a_masked_line_keeps_its_columns() -> None:
    assert (
        masked("ADD https://user:pass@h/x https://token@h/y") == "ADD https://user:****@h/x https://*****@h/y"
    )


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_not(text: str) -> None:
    is_remote(text)
    without_password(text)
    for address in (text, f"https://h/{text}.git#{text}", f"git@h:{text}"):
        try:
            found = parse_git(address, context=True)
        except AddressError:
            continue
        assert found is None or (not found.ref.startswith("-") and "\n" not in found.remote)


@pytest.mark.parametrize("url", ["http://", "http://[::1", "https:///x", "http://h:port/", "http://h:99999/"])
def test_a_url_of_nowhere(url: str) -> None:
    with pytest.raises(AddressError):
        check_url(url)
    check_url("http://[::1]:80/x")


def test_ids_of_commits() -> None:
    check_commit("abcd")
    for wrong in ("abc", "ABCD", "g" * 40, "a" * 65, ""):
        with pytest.raises(AddressError):
            check_commit(wrong)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.test/x.tar?X-Amz-Signature=secret", "https://example.test/x.tar"),
        ("https://user:***@example.test/app.git?ref=a#v1:sub", "https://example.test/app.git#v1:sub"),
        ("ssh://git@example.test/app.git", "ssh://example.test/app.git"),
        ("git@example.test:app.git#v1", "git@example.test:app.git#v1"),
        ("standard input", "standard input"),
    ],
)
def test_what_records_keep_of_an_address(url: str, kept: str) -> None:
    assert place_of(url) == kept
