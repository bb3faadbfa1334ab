"""Users and groups of a rootfs: what USER and `--chown` mean there.

The files are hostile input: they are opened inside the rootfs only, must be regular files, and a line that
is not as passwd(5) and group(5) want it is skipped.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from errno import ELOOP, ENOENT, ENOTDIR, ENXIO

from builder.core.files import open_in_root
from builder.errors import CoreError, SandboxError
from builder.graph.owners import owner_id
from builder.value import dataclass

__all__ = ["User", "lookup_owner", "lookup_user"]

_FILE_LIMIT = 10 << 20
_ID_LIMIT = 1 << 32


@dataclass(frozen=True, slots=True)
class User:
    """Who a process is: ids, supplementary groups (with the primary one), and the home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def lookup_user(root_fd: int, user: str) -> User:
    """The user that the text of USER names: `name`, `uid`, `name:group`, `uid:gid`, mixed; "" is root.

    As BuildKit: with two numbers nothing is looked up but the home; with a group given, supplementary
    groups are left out; a number that passwd does not know has group 0; what follows a second colon is nothing. Raises
    `SandboxError` for a name that is not there, and for a number that is none of an id.
    """
    name, colon, group = user.partition(":")
    uid, gid = _number(name), _number(group)
    accounts = _accounts(root_fd)
    if colon and uid is not None and gid is not None:
        return User(uid, gid, (gid,), _home(accounts, uid))
    group = group.partition(":")[0]
    uid, gid = _checked(name), _checked(group)
    account = _find(accounts, str(uid if uid is not None else name or 0))
    if account is None and uid is None and name:
        raise SandboxError(
            f'unable to find user "{name}" in /etc/passwd of the root file system',
            hint="create it in an earlier step (RUN adduser …), or give a number",
        )
    if account is not None:
        uid, primary = account.uid, account.gid
    else:
        uid, primary = uid or 0, 0
    if group:
        primary = _group_id(root_fd, group) if gid is None else gid
        groups: tuple[int, ...] = (primary,)
    else:
        groups = (primary, *_memberships(root_fd, account, primary))
    return User(uid, primary, groups, _home(accounts, uid))


def lookup_owner(
    root_fd: int, owner: str, *, on_unknown: Callable[[str], None] | None = None
) -> tuple[int, int]:
    """The uid and gid that `--chown=OWNER` means: `user`, `user:group`, names or numbers.

    A number alone is user and group; a name alone brings its primary group. As in BuildKit a user that the rootfs does
    not know is 0 and a group that it does not know is the user's, which is told to `on_unknown`; a colon without a group
    is group 0.
    """
    name, colon, group = owner.partition(":")
    uid, gid = owner_id(name), None
    if uid is not None:
        gid = uid
    elif name:
        account = next((entry for entry in _accounts(root_fd) if entry.name == name), None)
        if account is not None:
            uid, gid = account.uid, account.gid
        elif on_unknown is not None:
            on_unknown(f"no user {name!r}, which counts as 0 (root)")
    if colon:
        wanted = owner_id(group or "0")
        if wanted is None:
            wanted = next((entry.gid for entry in _groups(root_fd) if entry.name == group), None)
        if wanted is not None:
            gid = wanted
        elif on_unknown is not None:
            on_unknown(f"no group {group!r}, for which {gid or 0} is taken")
    return uid or 0, gid or 0


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdigit():
        return None
    number = int(text) if len(text) <= 10 else _ID_LIMIT
    return number if number < _ID_LIMIT - 1 else None


def _checked(text: str) -> int | None:
    """The id that a part of USER is, None for a name."""
    if not re.fullmatch("[+-]?[0-9]+", text):
        return None
    number = int(text) if len(text) <= 100 else -1
    if not 0 <= number < 1 << 31:
        raise SandboxError(
            f"USER says {text[:40]}: uids and gids must be in range 0-{(1 << 31) - 1}",
            hint="write a smaller number",
        )
    return number


def _find(accounts: list[_Account], name: str) -> _Account | None:
    uid = _number(name)
    if uid is None:
        return next((account for account in accounts if account.name == name), None)
    return next((account for account in accounts if account.uid == uid), None)


def _home(accounts: list[_Account], uid: int) -> str:
    account = next((account for account in accounts if account.uid == uid), None)
    return account.home if account is not None and account.home else "/"


def _group_id(root_fd: int, group: str) -> int:
    for entry in _groups(root_fd):
        if entry.name == group:
            return entry.gid
    raise SandboxError(
        f'unable to find group "{group}" in /etc/group of the root file system',
        hint="create it in an earlier step (RUN addgroup ...), or give a number in USER",
    )


def _memberships(root_fd: int, account: _Account | None, primary: int) -> list[int]:
    if account is None:
        return []
    found = {entry.gid: None for entry in _groups(root_fd) if account.name in entry.members}
    return [gid for gid in found if gid != primary]


def _accounts(root_fd: int) -> list[_Account]:
    accounts = []
    for fields in _lines(root_fd, b"/etc/passwd"):
        if len(fields) < 4:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if fields[0] and uid is not None and gid is not None:
            accounts.append(_Account(fields[0], uid, gid, fields[5] if len(fields) > 5 else ""))
    return accounts


def _groups(root_fd: int) -> list[_Group]:
    groups = []
    for fields in _lines(root_fd, b"/etc/group"):
        gid = _number(fields[2]) if len(fields) > 2 else None
        if fields[0] and gid is not None:
            members = tuple(fields[3].split(",")) if len(fields) > 3 and fields[3] else ()
            groups.append(_Group(fields[0], gid, members))
    return groups


def _lines(root_fd: int, path: bytes) -> Iterator[list[str]]:
    for line in _read(root_fd, path).decode("utf-8", "surrogateescape").split("\n"):
        text = line.strip()
        if text and not text.startswith("#"):
            yield text.split(":")


def _read(root_fd: int, path: bytes) -> bytes:
    """A regular file of the rootfs; nothing if it is missing, and an error if it is too large or no file."""
    shown = path.decode()
    try:
        fd = open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except CoreError as error:
        if error.errno in (ENOENT, ENOTDIR):
            return b""
        if error.errno in (ELOOP, ENXIO):
            raise SandboxError(f"{shown} of the root file system cannot be read: {error.message}") from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SandboxError(f"{shown} of the root file system is not a regular file")
        content = bytearray()
        while chunk := os.read(fd, 1 << 20):
            content += chunk
            if len(content) > _FILE_LIMIT:
                raise SandboxError(f"{shown} of the root file system is larger than {_FILE_LIMIT >> 20} MiB")
    finally:
        os.close(fd)
    return bytes(content)
