"""Contexts that are no folder of this machine: standard input, archives and build files at URLs, git repositories."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from stat import S_ISREG

from builder.core.files import open_in_root
from builder.digest import parse_digest
from builder.engine.reading import chunks, read_opened
from builder.engine.reporter import Events, StepReporter
from builder.engine.request import BuildRequest
from builder.errors import BuilderError, CoreError, ImageError, UsageError
from builder.events import Outcome
from builder.remote.addresses import AddressError, GitAddress, check_url, is_url, parse_git, without_password
from builder.store.store import Store
from builder.value import dataclass, replace

STDIN = "-"
KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
_FILE = "context"  # what BuildKit calls the file that a URL context is
_CHUNK = 1 << 20
_TEXT_LIMIT = 64 << 20
_FIRST = 4096
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # what writes build files so is told in a message of its own


@dataclass(frozen=True, slots=True)
class Fetched:
    """A context as a folder of this machine, which is gone after the build.

    `build_file` is the text that a source was instead of an archive. `seconds` is when its content was made (a
    commit's time, Last-Modified), 0 where nobody knows.
    """

    path: str
    build_file: bytes | None = None
    seconds: int = 0


def lies_elsewhere(source: str) -> bool:
    """Whether a context's source is something else than a folder of this machine."""
    return source == STDIN or _git(source) is not None or is_url(source)


def _git(source: str) -> GitAddress | None:
    try:
        address = parse_git(source, context=True)
        if address is None and is_url(source):
            check_url(source)
        return address
    except AddressError as error:
        raise UsageError(
            f'the build context "{without_password(source)[:120]}" is wrong: {error}',
            hint="write https://host/repository.git#branch:folder, or the URL of an archive",
        ) from None


class Fetcher:
    """Brings contexts here, into places that `stack` removes at the end of the build."""

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        events: Events,
        cancelled: threading.Event,
        stack: ExitStack,
    ) -> None:
        self._store, self._request, self._events = store, request, events
        self.cancelled, self._stack = cancelled, stack

    def fetch(self, source: str, title: str) -> Fetched:
        """Bring a context here; told as a step of the build."""
        with self._told(title) as reporter:
            return self._fetch(source, reporter)

    def made(self, source: str, checksum: str | None, title: str) -> int:
        """When what ADD would fetch was made, in seconds, told as a step of the build: a commit's time, what a server says,
        or the time of the newest file in an archive; 0 if nothing tells.
        """
        with self._told(title) as reporter:
            address = _git(source)
            if address is None:
                return self._url_made(source, checksum, reporter)
            if checksum:
                address = replace(address, checksum=checksum, ref=address.ref or checksum)
            return self._from_git(address, self._new_folder()).seconds

    @contextmanager
    def _told(self, title: str) -> Iterator[StepReporter]:
        reporter = self._events.start(title, "")
        try:
            yield reporter
        except BuilderError as error:
            reporter.finish(Outcome.FAILED, error=error.message)
            raise
        reporter.finish(Outcome.DONE)

    def _url_made(self, url: str, checksum: str | None, reporter: StepReporter) -> int:
        from builder.engine.remotes import fetch_url
        from builder.execute.archive import starts_archive

        download = fetch_url(
            self._store,
            url,
            secrets=self._request.secrets,
            cancelled=self.cancelled,
            progress=reporter.progress,
            checksum=parse_digest(checksum) if checksum else None,
        )
        if download.modified:
            return download.modified
        with self._store.blobs.open(download.digest) as stream:
            start = stream.read(_CHUNK)
            if not starts_archive(iter((start,))):
                return 0
            rest = iter(lambda: stream.read(_CHUNK), b"")
            return newest(self._take(start, rest, self._new_folder(), without_password(url)).path)

    def _fetch(self, source: str, reporter: StepReporter) -> Fetched:
        folder = self._new_folder()
        if source == STDIN:
            return self._from_stdin(folder)
        address = _git(source)
        if address is not None:
            return self._from_git(address, folder)
        return self._from_url(source, folder, reporter)

    def _new_folder(self) -> str:
        run = self._stack.enter_context(self._store.new_run())
        return run.scratch

    def _from_stdin(self, folder: str) -> Fetched:
        stream = self._request.stdin
        if stream is None:
            raise UsageError("there is no standard input to read the build context from")
        rest = chunks(stream, self.cancelled)
        start = _beginning(rest)
        if not start:
            raise UsageError(
                "standard input is empty", hint="give a build file or a tar archive: tar c . | pybuild -"
            )
        return self._take(start, rest, folder, "standard input")

    def _from_url(self, url: str, folder: str, reporter: StepReporter) -> Fetched:
        from builder.engine.remotes import fetch_url

        download = fetch_url(
            self._store,
            url,
            secrets=self._request.secrets,
            cancelled=self.cancelled,
            progress=reporter.progress,
        )
        with self._store.blobs.open(download.digest) as stream:
            start = stream.read(_CHUNK)
            found = self._take(start, iter(lambda: stream.read(_CHUNK), b""), folder, without_password(url))
        return Fetched(found.path, found.build_file, download.modified)

    def _take(self, start: bytes, rest: Iterator[bytes], folder: str, what: str) -> Fetched:
        """An archive is the context; anything else is a build file without one."""
        from builder.execute.archive import starts_archive, unpack_stream
        from builder.image.compression import compression_of

        if not starts_archive(iter((start,))):
            kind = compression_of(start)
            if kind is not None:
                raise UsageError(f"{what} is compressed with {kind}, but what is in it is no tar archive")
            if b"\0" in start[:_FIRST] and not start.startswith(_UTF_16):
                raise UsageError(
                    f"{what} is neither a tar archive nor a build file",
                    hint="known are tar archives, plain or compressed with gzip, bzip2, xz or zstd",
                )
            text = _bounded(chain((start,), rest), what)
            with open(os.path.join(folder, _FILE), "xb") as stream:
                stream.write(text)
            return Fetched(folder, text)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Whoever packed it: files of a context belong to root, and here to whoever builds.
            unpack_stream(chain((start,), rest), fd, "/", uid=os.geteuid(), gid=os.getegid(), what=what)
        except CoreError as error:
            raise ImageError(f"{what} cannot be unpacked: {error.message}") from None
        finally:
            os.close(fd)
        return Fetched(folder)

    def _from_git(self, address: GitAddress, folder: str) -> Fetched:
        from builder.engine.remotes import git_folder, open_git

        git = open_git(address, self._request.secrets, self.cancelled)
        keep = address.keep_git_dir
        if keep is None:
            keep = self._request.build_args.get(KEEP_GIT_DIR, "").lower() in ("1", "t", "true")
        seconds = git.checkout(git.commit(), folder, keep_git_dir=keep)
        return Fetched(os.path.join(folder, git_folder(address, folder)), seconds=seconds)


def newest(folder: str) -> int:
    """The latest time of the files in a folder, in seconds; 0 without files."""
    times = [0]
    for _, _, names, fd in os.fwalk(folder):
        found = [os.lstat(name, dir_fd=fd) for name in names]
        times += [int(entry.st_mtime) for entry in found if S_ISREG(entry.st_mode)]
    return max(times)


def _beginning(chunks: Iterator[bytes]) -> bytes:
    """Enough of a stream to tell what it is, or all of it: pipes may give a byte at a time."""
    start = bytearray()
    while len(start) < _CHUNK:
        chunk = next(chunks, b"")
        if not chunk:
            break
        start += chunk
    return bytes(start)


def _bounded(chunks: Iterable[bytes], what: str) -> bytes:
    text = bytearray()
    for chunk in chunks:
        text += chunk
        if len(text) > _TEXT_LIMIT:
            raise UsageError(f"{what} is neither an archive nor a build file: it is too long for one")
    return bytes(text)


def read_inside(folder: str, path: str) -> bytes | None:
    """A file of a fetched context, None if it is not there; links cannot lead out of the folder."""
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(root, os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK)
    except CoreError:
        return None
    finally:
        os.close(root)
    try:
        return read_opened(fd, _TEXT_LIMIT)
    except OSError as error:
        raise UsageError(f'the build file "{path}" cannot be read: {error.strerror}') from None


def url_name(url: str) -> str:
    """How messages call a build file at a URL."""
    from urllib.parse import urlsplit

    return without_password(urlsplit(url)._replace(query="", fragment="").geturl())
