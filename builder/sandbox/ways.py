"""The ways to isolate a process here, which of them work, and how to enter one.

`root` uses the privileges of the caller. `rootless` makes the whole program root of a user namespace with
the caller's subordinate ids; after `enter` everything else is the same.
"""

from __future__ import annotations

import os

from builder.errors import CoreError, SandboxError, UsageError
from builder.value import dataclass

__all__ = ["Way", "choose_way", "detect_ways", "enter", "is_rootless"]

_SYS_ADMIN = 21
_WHOLE_RANGE = (0, 0, 4294967295)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to isolate: whether it works here, and if not, the reason and what to do."""

    name: str
    works: bool
    reason: str = ""
    hint: str = ""


def detect_ways() -> tuple[Way, ...]:
    """All ways, best first. Cheap: reads a few files of /proc and /etc."""
    return (_detect_root(), _detect_rootless())


def choose_way(forced: str | None = None) -> Way:
    """The first way that works, or the one called `forced`. Raises `SandboxError` if there is none."""
    ways = detect_ways()
    if forced is not None:
        chosen = [way for way in ways if way.name == forced]
        if not chosen:
            names = ", ".join(way.name for way in ways)
            raise UsageError(f'unknown isolation "{forced}"', hint=f"the ways are {names}")
        if not chosen[0].works:
            raise SandboxError(
                f"isolation {forced} does not work here: {chosen[0].reason}", hint=chosen[0].hint
            )
        return chosen[0]
    for way in ways:
        if way.works:
            return way
    # The last way asks for the least, so its hint helps most, unless the caller is root.
    nearest = ways[0] if os.geteuid() == 0 else ways[-1]
    raise SandboxError(f"no process can be isolated here: {nearest.reason}", hint=nearest.hint)


def enter(way: Way) -> None:
    """Make this process able to work in `way`: call it once, before any thread is started.

    Afterwards `os.geteuid()` is 0, and `is_rootless` tells whether this is a user namespace.
    """
    if way.name != "rootless" or os.geteuid() == 0:
        return
    from builder.core.process import enter_userns

    uid, gid = os.geteuid(), os.getegid()
    try:
        enter_userns(
            _mapping(uid, _subordinate("/etc/subuid", uid)), _mapping(gid, _subordinate("/etc/subgid", uid))
        )
    except CoreError as error:
        raise SandboxError(
            f"cannot become root of a user namespace: {error.message}", hint=_hint(error)
        ) from None


def is_rootless() -> bool:
    """Whether this process lives in a user namespace, so that overlay marks must be in `user.overlay.`."""
    try:
        with open("/proc/self/uid_map") as file:
            ranges = [tuple(int(word) for word in line.split()) for line in file]
    except (OSError, ValueError):
        return False
    return ranges != [_WHOLE_RANGE]


def _detect_root() -> Way:
    if os.geteuid() != 0:
        return Way("root", works=False, reason="this is not root", hint="run as root, or use rootless")
    if not _has_capability(_SYS_ADMIN):
        return Way(
            "root",
            works=False,
            reason="root lacks the capability SYS_ADMIN, as in a container that is not privileged",
            hint="start the container with --privileged, or with --cap-add SYS_ADMIN and without its "
            "seccomp and AppArmor profiles",
        )
    return Way("root", works=True)


def _detect_rootless() -> Way:
    def fails(reason: str, hint: str) -> Way:
        return Way("rootless", works=False, reason=reason, hint=hint)

    if os.geteuid() == 0:
        return fails("this is root already", "use root")
    uid = os.geteuid()
    if _setting("user/max_user_namespaces") == 0:
        return fails("user namespaces are switched off", "sysctl user.max_user_namespaces=10000")
    if _setting("kernel/unprivileged_userns_clone") == 0:
        return fails(
            "user namespaces are forbidden for ordinary users", "sysctl kernel.unprivileged_userns_clone=1"
        )
    for program in ("newuidmap", "newgidmap"):
        if not _in_path(program):
            return fails(f"{program} is missing", "install the package uidmap (Fedora: shadow-utils)")
    for path, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        if not _subordinate(path, uid):
            name = _user_name(uid)
            return fails(
                f"{path} has no subordinate ids for {name}",
                f"usermod {option} 100000-165535 {name} (as root)",
            )
    return Way("rootless", works=True)


def _hint(error: CoreError) -> str:
    if error.operation == "run":
        return "newuidmap and newgidmap must be set-uid root, and /etc/subuid and /etc/subgid name this user"
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == 1:
        return (
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile that allows userns"
        )
    return "this machine, or the container that this runs in, forbids it: docs/ci.md says what a build needs"


def _has_capability(number: int) -> bool:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> number & 1)
    return False


def _setting(name: str) -> int | None:
    try:
        with open(f"/proc/sys/{name}") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _in_path(program: str) -> bool:
    return any(os.access(f"{folder or '.'}/{program}", os.X_OK) for folder in os.get_exec_path())


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _subordinate(path: str, uid: int) -> list[tuple[int, int]]:
    """The (first, count) ranges that subuid(5) gives to a user, by name or number."""
    names = {_user_name(uid), str(uid)}
    ranges = []
    try:
        with open(path) as file:
            for line in file:
                name, _, numbers = line.strip().partition(":")
                first, _, count = numbers.partition(":")
                if name in names and first.isdigit() and count.isdigit() and int(count) > 0:
                    ranges.append((int(first), int(count)))
    except OSError:
        return []
    return ranges


def _mapping(own: int, ranges: list[tuple[int, int]]) -> list[str]:
    """Arguments of newuidmap: the caller is 0 inside, the ranges follow from 1 on."""
    words = ["0", str(own), "1"]
    inside = 1
    for first, count in ranges:
        words += [str(inside), str(first), str(count)]
        inside += count
    return words
