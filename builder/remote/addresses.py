"""Addresses of what lies elsewhere, as ADD, contexts and `--build-context` take them: URLs and git repositories."""

from __future__ import annotations

import re

from builder.value import dataclass, replace

# Compiled when they are first needed: most contexts are folders.
_SCHEME = r"([A-Za-z][A-Za-z0-9+.-]*)://"
_SSH = r"([A-Za-z0-9_-]+)@([A-Za-z0-9.-]+):([^?#]*)(?:\?([^#]*))?(?:#(.*))?\Z"
_GIT_SCHEMES = frozenset({"http", "https", "ssh", "git"})
_COMMIT = r"[0-9a-f]{4,64}\Z"
_USER = r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)([^\s/?#]*)@"  # greedy: a password may have an @
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})
_UNNAMED = "__unnamed__"  # what BuildKit calls a file whose URL has no name


class AddressError(ValueError):
    """An address that cannot be meant."""


@dataclass(frozen=True, slots=True)
class GitAddress:
    """A git repository and what of it: `REMOTE#REF:SUBDIR`, or with a query (`?ref=…&subdir=…`).

    `ref` is a branch, a tag, a full ref or a commit; empty is the default branch. `checksum` is (the beginning of) the
    id that the commit must have. `commit_time` gives files the time of their commit.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True
    commit_time: bool = False

    @property
    def shown(self) -> str:
        """The address for people and records, without passwords."""
        tail = f"#{self.ref}" if self.ref else ""
        if self.subdir:
            tail = f"{tail or '#'}:{self.subdir}"
        return without_password(self.remote) + tail


def is_url(text: str) -> bool:
    """Whether a text is an http(s) URL, a git repository's too."""
    return text[:8].lower().startswith(("http://", "https://"))


def parse_git(text: str, *, context: bool = False) -> GitAddress | None:
    """The git repository that a text names, None if it names something else.

    Those are `git://` and `ssh://` URLs, `user@host:path`, and http(s) URLs whose path ends in `.git`; as a `context`
    also `github.com/…`, which ADD takes for a path. Raises `AddressError` for a repository with a query or fragment
    that means nothing.
    """
    if context and text.startswith("github.com/"):
        text = f"https://{text}"
        is_git = True
    else:
        scheme = re.match(_SCHEME, text) if "://" in text else None
        if scheme is None:
            return _parse_ssh(text)
        kind = scheme[1].lower()
        if kind not in _GIT_SCHEMES:
            return None
        is_git = kind in ("git", "ssh")
    from urllib.parse import unquote, urlsplit, urlunsplit  # late: a cached build has no addresses

    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise AddressError(f"not a URL: {_reason(error)}") from None
    if not is_git and not unquote(parts.path).endswith(".git"):
        return None
    if not host:
        raise AddressError("the address names no host")
    remote = urlunsplit((parts.scheme.lower(), parts.netloc, parts.path, "", ""))
    return _described(remote, parts.query, unquote(parts.fragment))


def _parse_ssh(text: str) -> GitAddress | None:
    match = re.match(_SSH, text, re.DOTALL) if "@" in text else None
    if match is None:
        return None
    user, host, path, query, fragment = match.groups()
    return _described(f"{user}@{host}:{path}", query or "", fragment or "")


def _described(remote: str, query: str, fragment: str) -> GitAddress:
    """The address with what its fragment and query say."""
    if any(sign in remote for sign in "\0\n\r"):
        raise AddressError("the address has control characters")
    ref, _, subdir = fragment.partition(":")
    found = GitAddress(remote, ref=ref, subdir=subdir)
    given: dict[str, str] = {}
    from urllib.parse import parse_qsl

    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in given:
            raise AddressError(f"the query {key} is given twice")
        given[key] = value
    for key, value in given.items():
        found = _with(found, key, value)
    if found.ref.startswith("-") or any(sign.isspace() or sign in "\0~^:?*[\\" for sign in found.ref):
        raise AddressError(f"{found.ref!r} is no name of a branch, tag or commit")
    if found.checksum and not found.ref:
        found = replace(found, ref=found.checksum)
    return found


def _with(address: GitAddress, key: str, value: str) -> GitAddress:
    """The address with one key of its query."""
    if key in ("keep-git-dir", "submodules"):
        switch = _switch(key, value)
        return (
            replace(address, keep_git_dir=switch)
            if key == "keep-git-dir"
            else replace(address, submodules=switch)
        )
    if key == "fetch-by-commit":
        _switch(key, value)  # commits are always fetched by their id where the server lets us
        return address
    if not value:
        raise AddressError(f"the query {key} has no value")
    if key in ("ref", "tag", "branch"):
        prefix = {"ref": "", "tag": "refs/tags/", "branch": "refs/heads/"}[key]
        ref = value if value.startswith(prefix) else prefix + value
        if address.ref and address.ref != ref:
            raise AddressError(f"two refs are given: {address.ref} and {ref}")
        return replace(address, ref=ref)
    if key == "subdir":
        if address.subdir and address.subdir != value:
            raise AddressError(f"two folders are given: {address.subdir} and {value}")
        return replace(address, subdir=value)
    if key in ("checksum", "commit"):
        check_commit(value)
        return replace(address, checksum=value)
    if key == "mtime":
        if value not in ("checkout", "commit"):
            raise AddressError(f"mtime is checkout or commit, not {value[:40]!r}")
        return replace(address, commit_time=value == "commit")
    raise AddressError(
        f"unknown query {key[:40]!r}: known are ref, tag, branch, subdir, checksum, commit, keep-git-dir, "
        "submodules, mtime and fetch-by-commit"
    )


def _switch(key: str, value: str) -> bool:
    if not value or value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise AddressError(f"{key} is true or false, not {value[:40]!r}")


def check_commit(text: str) -> None:
    """Raise an `AddressError` unless a text can be (the beginning of) a commit's id."""
    if not re.match(_COMMIT, text):
        raise AddressError(f"{text[:80]!r} is no id of a git commit")


def _reason(error: ValueError) -> str:
    """What the standard library has against a URL, in words for who wrote it."""
    if "Port" in str(error):
        return "its port is no number from 0 to 65535"
    return "a [ or ] stands alone" if "IPv6" in str(error) else str(error)


def check_url(text: str) -> None:
    """Raise an `AddressError` for an http(s) URL that names no place."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise AddressError(f"not a URL: {_reason(error)}") from None
    if not host:
        raise AddressError("the address names no host")


def is_remote(text: str) -> bool:
    """Whether an ADD source is fetched from elsewhere: a URL or a git repository (even a wrong one)."""
    if is_url(text):
        return True
    try:
        return parse_git(text) is not None
    except AddressError:
        return True


def file_name(url: str) -> str:
    """What ADD calls the file of a URL: the last part of its path."""
    from urllib.parse import unquote, urlsplit

    name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return _UNNAMED if name in ("", ".", "..") or "\0" in name else name


def without_password(text: str) -> str:
    """A URL, or a line with URLs, as people and records may see it: without passwords, and without tokens in front of
    a host.
    """
    return (
        re.sub(_USER, lambda found: f"{found[1]}{_harmless_user(*found.groups())}@", text)
        if "@" in text
        else text
    )


def place_of(text: str) -> str:
    """A URL as records that go elsewhere may keep it: without user and query, which may be a key to it, or differ each time."""
    return re.sub(r"\?[^#]*", "", re.sub(_USER, lambda found: found[1], text)) if "://" in text else text


def masked(line: str) -> str:
    """A line without the passwords of its URLs, as long as it was: marks below it stay right."""
    return (
        re.sub(_USER, lambda found: f"{found[1]}{_masked_user(*found.groups())}@", line)
        if "@" in line
        else line
    )


def _harmless_user(scheme: str, user: str) -> str:
    name, mark, _ = user.partition(":")
    if mark:
        return f"{name}:***"
    return user if scheme.lower() == "ssh://" else "***"  # a bare user name is no secret there


def _masked_user(scheme: str, user: str) -> str:
    kept = "" if _harmless_user(scheme, user) == "***" else user.partition(":")[0]
    return user if kept == user else f"{kept}:".lstrip(":").ljust(len(user), "*")
