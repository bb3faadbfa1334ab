"""Git repositories, through the `git` of the machine: which commit a ref is, and the files of a commit.

The user's own configuration holds (credentials, proxies, `insteadOf`), but nothing of a repository is ever run: no
hooks, no file systems as remotes, no prompts.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

from builder.core.files import open_in_root, remove_tree
from builder.errors import BuilderError, Cancelled, StepError
from builder.remote.addresses import GitAddress, without_password

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_STALLED = 60  # seconds without a kilobyte, after which git gives up
_LONGEST = 3600
_POLL = 0.2
_GRACE = 5
_MOST_OUTPUT = 64 << 20  # bytes of a list of refs, or of what a server says: it is kept in memory
_ENVIRONMENT = (
    "GIT_TERMINAL_PROMPT=0",
    "GIT_ASKPASS=/bin/false",
    "SSH_ASKPASS=/bin/false",
    "GIT_ALLOW_PROTOCOL=http:https:ssh:git",
    "GIT_LFS_SKIP_SMUDGE=0",
    "LC_ALL=C",
)
# Variables of whoever started us that would make git work elsewhere than in the folder that it is given: a hook or an
# alias of git sets them. Those of the user's settings (GIT_SSH_COMMAND, GIT_CONFIG_COUNT, …) hold.
_FORGOTTEN = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_GRAFT_FILE"),
    *("GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS", "GIT_SHALLOW_FILE", "GIT_NAMESPACE", "GIT_CONFIG"),
    *("GIT_TEMPLATE_DIR", "GIT_DEFAULT_HASH", "GIT_DEFAULT_REF_FORMAT", "GIT_ATTR_SOURCE"),
    *("GIT_INTERNAL_SUPER_PREFIX", "GIT_LITERAL_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_EXTERNAL_DIFF"),
)
_UNSET = tuple(word for name in _FORGOTTEN for word in ("-u", name))
_SETTINGS = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "core.symlinks=true"),
    *("advice.detachedHead=false", "gc.auto=0", "maintenance.auto=false", "init.defaultBranch=main"),
    *("http.lowSpeedLimit=1000", f"http.lowSpeedTime={_STALLED}", "submodule.recurse=false"),
)


class Git:
    """Runs git for one address. `cancelled` stops it; `authorization` is a header for an http(s) remote's host."""

    def __init__(self, address: GitAddress, cancelled: threading.Event, *, authorization: str = "") -> None:
        self.address = address
        self._cancelled = cancelled
        # A password in an address would be seen in arguments, and stay in the settings of a kept .git.
        self._remote, own = _without_credentials(address.remote)
        self._authorization = authorization or own

    def commit(self) -> str:
        """The id of the commit that the address names, without fetching it."""
        address = self.address
        if _COMMIT.match(address.ref):
            return self._checked(address.ref)
        wanted = (address.ref, f"{address.ref}^{{}}") if address.ref else ("HEAD",)
        listed = self._run(["ls-remote", "--", self._remote, *wanted], what="listed")
        rows = (line.partition("\t") for line in listed.splitlines())
        refs = {name: commit for commit, _, name in rows}
        found = _choose(refs, address.ref)
        if found is not None:
            return self._checked(found)
        if re.fullmatch(r"[0-9a-f]{7,64}", address.ref):
            raise StepError(
                f"{address.shown}: a commit can only be named by its whole id",
                hint="give all of its 40 digits",
            )
        raise StepError(
            f"{address.shown}: the repository has no branch or tag {address.ref or 'HEAD'!r}",
            hint="check the spelling after the #",
        )

    def checkout(self, commit: str, folder: str, *, keep_git_dir: bool) -> int:
        """Put the files of a commit into an empty folder; gives back the time of the commit in seconds.

        Submodules come along unless the address says otherwise; `.git` goes unless it is kept.
        """
        address = self.address
        kind = "sha1" if len(commit) == 40 else "sha256"
        self._run(["init", "-q", "--template=", f"--object-format={kind}", folder])
        self._run(["-C", folder, "remote", "add", "origin", "--", self._remote])
        self._fetch(commit, folder)
        self._run(["-C", folder, "checkout", "-q", "--detach", commit], what="checked out")
        if address.submodules and os.path.lexists(os.path.join(folder, ".gitmodules")):
            self._run(
                ["-C", folder, "submodule", "update", "-q", "--init", "--recursive", "--depth=1"],
                what="fetched with its submodules",
            )
        seconds = int(self._run(["-C", folder, "show", "-s", "--format=%ct", commit]).strip() or 0)
        if not keep_git_dir:
            self._forget(folder)
        return seconds

    def _fetch(self, commit: str, folder: str) -> None:
        """One commit if the server gives it by its id, else what the ref has, else everything."""
        ref = self.address.ref
        begin = ["-C", folder, "fetch", "-q", "--no-tags", "--force"]
        tries = [[*begin, "--depth=1", "origin", commit]]
        if ref and not _COMMIT.match(ref):
            tries.append([*begin, "--depth=1", "origin", ref])
        tries.append([*begin, "--tags", "origin", "+refs/*:refs/remotes/origin/*"])
        for arguments in tries[:-1]:
            try:
                self._run(arguments, what="fetched")
                self._run(["-C", folder, "cat-file", "-e", f"{commit}^{{commit}}"])
                return
            except Cancelled:
                raise
            except StepError:
                continue
        self._run(tries[-1], what="fetched")

    def _forget(self, folder: str) -> None:
        """Remove git's own files, those of submodules too."""
        names = [b".git"]
        modules = self._submodules(folder)
        names += [os.path.join(os.fsencode(path), b".git") for path in modules]
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                # A submodule's path is the repository's word: a link in it must not lead elsewhere.
                parent = open_in_root(root, os.path.dirname(name) or b".", os.O_RDONLY | os.O_DIRECTORY)
                try:
                    remove_tree(parent, b".git")
                finally:
                    os.close(parent)
        finally:
            os.close(root)

    def _submodules(self, folder: str) -> list[str]:
        if not os.path.isdir(os.path.join(folder, ".git", "modules")):
            return []
        listed = self._run(
            ["-C", folder, "submodule", "--quiet", "foreach", "--recursive", 'printf "%s\\0" "$displaypath"']
        )
        return [path for path in listed.split("\0") if path]

    def _checked(self, commit: str) -> str:
        checksum = self.address.checksum
        if checksum and not commit.startswith(checksum):
            raise StepError(
                f"{self.address.shown} is at commit {commit}, not at {checksum}",
                hint="the branch or tag moved: check what changed, then give the new commit",
            )
        return commit

    def _run(self, arguments: Sequence[str], *, what: str = "read") -> str:
        """Run git; its standard output. A failure is a `StepError` with git's own reason."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        files: tuple[int, ...] = ()
        secret = -1
        try:
            if self._authorization:
                # In a file that only these processes see: arguments and variables can be read by others.
                secret = os.memfd_create("git")
                host = re.match(r"https?://[^/]*", self._remote)
                header = f"Authorization: {self._authorization}".replace("\\", "\\\\").replace('"', '\\"')
                text = f'[http "{host[0] if host else ""}/"]\n\textraHeader = "{header}"\n'
                os.write(secret, text.encode())
                settings += ["-c", f"include.path=/proc/self/fd/{secret}"]
                files = (secret,)
            return self._wait(["env", *_UNSET, *_ENVIRONMENT, "git", *settings, *arguments], files, what)
        finally:
            if secret >= 0:
                os.close(secret)

    def _wait(self, line: list[str], files: tuple[int, ...], what: str) -> str:
        with _Capture() as out, _Capture() as err:
            try:
                process = subprocess.Popen(
                    line,
                    stdin=subprocess.DEVNULL,
                    stdout=out.fd,
                    stderr=err.fd,
                    pass_fds=files,
                    start_new_session=True,
                    umask=0o022,
                )
            except OSError as error:
                raise BuilderError(
                    f"git cannot be started: {error.strerror}", hint="a repository is read by git: install it"
                ) from None
            try:
                self._watch(process, (out, err), what)
            except BaseException:
                _end(process)
                raise
            process.wait()
            if process.returncode == 0:
                return out.text().decode("utf-8", "surrogateescape")
            if process.returncode == 127:
                raise StepError(
                    "git is not installed", hint="install git to use addresses of git repositories"
                )
            said = err.text()
            reason = _reason(said, self.address)
            raise StepError(f"{self.address.shown} cannot be {what}: {reason}", hint=_hint(said))

    def _watch(self, process: subprocess.Popen[bytes], captures: Sequence[_Capture], what: str) -> None:
        """Wait for git, not for what it may have left running behind it."""
        shown, begin = self.address.shown, time.monotonic()
        pidfd = os.pidfd_open(process.pid)
        try:
            while not select.select([pidfd], [], [], _POLL)[0]:
                if self._cancelled.is_set():
                    raise Cancelled("the build was stopped")
                if time.monotonic() - begin >= _LONGEST:
                    raise StepError(f"{shown} could not be {what} within an hour")
                if any(capture.size > _MOST_OUTPUT for capture in captures):
                    raise StepError(f"{shown} cannot be {what}: its server says more than git should keep")
        finally:
            os.close(pidfd)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it started, at first in its own way: it removes its locks and files."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.wait(_GRACE)
            return
        except subprocess.TimeoutExpired:
            continue


class _Capture:
    """Takes what a process writes. No pipe: a process that git leaves behind (a cache of credentials, a shared ssh
    connection) may keep that open for hours.
    """

    def __init__(self) -> None:
        self.fd = os.memfd_create("git")

    def __enter__(self) -> _Capture:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def text(self) -> bytes:
        return os.pread(self.fd, _MOST_OUTPUT, 0)


def _without_credentials(remote: str) -> tuple[str, str]:
    """The address of an http(s) remote without user and password, and the header that they make."""
    found = re.match(r"(https?://)([^/?#]*:[^/?#]*)@", remote)
    if found is None:
        return remote, ""
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    return found[1] + remote[found.end() :], f"basic {b64encode(unquote_to_bytes(found[2])).decode()}"


def _choose(refs: dict[str, str], ref: str) -> str | None:
    """The commit of a ref among those listed: a full name first, then a branch, then a tag (its commit)."""
    if not ref:
        return refs.get("HEAD")
    for name in (f"refs/{ref.removeprefix('refs/')}", f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if name in refs:
            return refs.get(f"{name}^{{}}", refs[name])
    return None


def _reason(err: bytes, address: GitAddress) -> str:
    """The line of git's complaint that says why."""
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines
    text = telling[-1] if telling else "git says nothing"
    for prefix in ("fatal: ", "error: ", "remote: "):
        text = text.removeprefix(prefix)
    return text.replace(address.remote, without_password(address.remote))[:300]


def _hint(err: bytes) -> str | None:
    text = err.decode(errors="replace")
    if "could not read Username" in text or "Authentication failed" in text or "Permission denied" in text:
        return (
            "give a token with --secret id=GIT_AUTH_TOKEN, or set git up so that it can read the repository"
        )
    if "not allowed" in text:
        return "only http, https, ssh and git are used"
    if "Could not resolve" in text or "Failed to connect" in text or "Connection refused" in text:
        return "check the address and the network"
    return None
