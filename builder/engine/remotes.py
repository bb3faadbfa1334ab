"""Files that lie elsewhere: URLs and git repositories, found, fetched and laid into folders."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from builder.cache.key import Part
from builder.core.files import open_in_root
from builder.digest import Digest, parse_digest
from builder.errors import CoreError, StepError
from builder.graph.steps import CopyStep
from builder.remote.addresses import GitAddress, file_name, parse_git, without_password
from builder.remote.git import Git
from builder.store.blobs import BlobWriter
from builder.store.downloads import Download
from builder.store.store import Store
from builder.value import dataclass, replace

Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Laid:
    """What `lay_out` made: the file or folder at `path` below the folder, and what a copy of it is called.

    `time` is what copies' times become, in nanoseconds, -1 as they are.
    """

    path: str
    name: str
    is_file: bool
    time: int = -1


class Remote(Protocol):
    """Something elsewhere whose content is known by now."""

    part: Part

    def lay_out(self, folder: str) -> Laid:
        """Put its files into an empty folder."""
        ...


def find_remote(
    store: Store,
    step: CopyStep,
    source: str,
    *,
    secrets: Mapping[str, bytes],
    cancelled: threading.Event,
    progress: Progress,
) -> Remote:
    """What an ADD source is now: a URL is fetched unless its server says it did not change, of a git repository only
    the commit is asked for. Failures are `StepError`s about the source.
    """
    with _about(source):
        address = parse_git(source)
        if address is None:
            download = fetch_url(
                store,
                source,
                secrets=secrets,
                cancelled=cancelled,
                progress=progress,
                checksum=parse_digest(step.checksum) if step.checksum else None,
            )
            return _UrlFile(store, source, download)
        if step.checksum:
            address = replace(address, checksum=step.checksum, ref=address.ref or step.checksum)
        keep = address.keep_git_dir if address.keep_git_dir is not None else bool(step.keep_git_dir)
        return _Repository(open_git(address, secrets, cancelled), keep, source)


@contextmanager
def _about(source: str) -> Iterator[None]:
    """Failures inside point at a source, unless they know better."""
    try:
        yield
    except StepError as error:
        error.about = error.about or (source,)
        raise


class _UrlFile:
    def __init__(self, store: Store, url: str, download: Download) -> None:
        self._store, self._url, self._download = store, url, download
        self.part = Part("url", without_password(url), str(download.digest))

    def lay_out(self, folder: str) -> Laid:
        path = os.path.join(folder, "file")
        with self._store.blobs.open(self._download.digest) as blob, open(path, "xb") as stream:
            shutil.copyfileobj(blob, stream, 1 << 20)
            os.fchmod(stream.fileno(), 0o600)
        os.utime(path, (self._download.modified, self._download.modified))
        return Laid("file", file_name(self._url), is_file=True)


class _Repository:
    def __init__(self, git: Git, keep_git_dir: bool, source: str) -> None:
        self._git, self._keep, self._source = git, keep_git_dir, source
        self._commit = git.commit()
        options = [f"folder={git.address.subdir}"] if git.address.subdir else []
        options += ["git-dir"] if keep_git_dir else []
        options += [] if git.address.submodules else ["no-submodules"]
        self.part = Part("git", git.address.shown, " ".join([self._commit, *options]))

    def lay_out(self, folder: str) -> Laid:
        with _about(self._source):
            seconds = self._git.checkout(self._commit, folder, keep_git_dir=self._keep)
            place = git_folder(self._git.address, folder)
        return Laid(
            place,
            "",
            is_file=False,
            time=seconds * 10**9 if self._git.address.commit_time else -1,
        )


def open_git(address: GitAddress, secrets: Mapping[str, bytes], cancelled: threading.Event) -> Git:
    """Git for an address, with the header that the secrets GIT_AUTH_TOKEN and GIT_AUTH_HEADER ask for.

    Each may end in `.HOST` and then is for that host only.
    """
    authorization = ""
    if address.remote.startswith("http"):
        host = urlsplit(address.remote).hostname or ""
        for name in (f".{host}", ""):
            header, token = secrets.get(f"GIT_AUTH_HEADER{name}"), secrets.get(f"GIT_AUTH_TOKEN{name}")
            if header is not None:
                authorization = _one_line(header)
            elif token is not None:
                from base64 import b64encode

                pair = b"x-access-token:" + token.strip()
                authorization = f"basic {b64encode(pair).decode()}"
            if authorization:
                break
    return Git(address, cancelled, authorization=authorization)


def git_folder(address: GitAddress, folder: str) -> str:
    """The folder of an address in a checkout, relative to it; a `StepError` if the commit has none such."""
    wanted = os.path.normpath(f"/{address.subdir}").lstrip("/") or "."
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(open_in_root(root, os.fsencode(wanted), os.O_RDONLY | os.O_DIRECTORY))
    except CoreError:
        raise StepError(f"{address.shown}: the repository has no folder {address.subdir!r}") from None
    finally:
        os.close(root)
    return wanted


def fetch_url(
    store: Store,
    url: str,
    *,
    secrets: Mapping[str, bytes],
    cancelled: threading.Event,
    progress: Progress,
    checksum: Digest | None = None,
) -> Download:
    """The bytes of a URL as a blob of the store.

    What the store has is not fetched again if the server says by its ETag that it did not change, nor asked for if
    it has the `checksum`. The secrets HTTP_AUTH_HEADER_host and HTTP_AUTH_TOKEN_host are sent to that host. Bytes
    with another checksum are a `StepError` and are not kept.
    """
    from builder.remote.http import Transfer, download

    known = store.downloads.get(url)
    if known is not None and not store.downloads.use(known):
        known = None
    if checksum is not None and store.blobs.hold(checksum):
        if known is not None and known.digest == checksum:
            return known
        return Download(checksum, "", 0)
    shown = without_password(url)
    with _Receiver(store) as receiver:
        answer = download(
            url,
            Transfer(
                write=receiver.write,
                restart=receiver.restart,
                progress=lambda done, total: progress(shown, done, total),
                cancelled=cancelled.is_set,
                sleep=cancelled.wait,
            ),
            etag=known.etag if known is not None else "",
            authorization=_authorization(url, secrets),
        )
        if not answer.fresh:
            assert known is not None
            found = known
        else:
            digest = receiver.digest
            if checksum is None or digest == checksum:
                receiver.commit()
            found = Download(digest, answer.etag, answer.modified)
    if checksum is not None and found.digest != checksum:
        raise StepError(
            f"{shown} has the digest {found.digest}, not {checksum}",
            hint="what the address gives has changed: check it, then write its new digest",
            about=(f"--checksum={checksum}",),
        )
    if answer.fresh:
        store.downloads.put(url, found)
        if not store.downloads.use(found):
            raise StepError(f"{shown} was removed from the store meanwhile", hint="build once more")
    return found


class _Receiver:
    """A blob that can be begun anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer: BlobWriter | None = None

    def __enter__(self) -> _Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.__exit__(None, None, None)
            self._writer = None

    def restart(self) -> None:
        self.__exit__()
        self._writer = self._store.blobs.writer()

    def write(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    @property
    def digest(self) -> Digest:
        assert self._writer is not None
        return self._writer.digest

    def commit(self) -> None:
        assert self._writer is not None
        self._writer.commit()


def _authorization(url: str, secrets: Mapping[str, bytes]) -> str:
    host = urlsplit(url).hostname or ""
    if (header := secrets.get(f"HTTP_AUTH_HEADER_{host}")) is not None:
        return _one_line(header)
    if (token := secrets.get(f"HTTP_AUTH_TOKEN_{host}")) is not None:
        return f"Bearer {_one_line(token)}"
    return ""


def _one_line(secret: bytes) -> str:
    """A secret as a header's value: what would begin another header is refused."""
    text = secret.decode("latin-1").strip()
    if any(sign in text for sign in "\r\n\0"):
        raise StepError("a secret for an HTTP header has more than one line")
    return text
