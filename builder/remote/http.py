"""Downloads over http(s), for ADD and for contexts: bounded, cancellable, and not again what has not changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, IncompleteRead, LocationValueError, ProtocolError, SSLError

from builder import __version__
from builder.errors import Cancelled, StepError
from builder.remote.addresses import check_url, is_url, without_password
from builder.value import dataclass

LARGEST = 64 << 30
"""Bytes that a download may have: a server that never stops must not fill any disk."""

_CHUNK = 1 << 18
_POLL = 0.1
_TIMEOUT = urllib3.Timeout(connect=20, read=60)
_MOST_REDIRECTS = 10
_LONGEST_ETAG = 1024  # it is sent back: a server could make its own questions too long for it
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_WAITS = (1.0, 2.0, 4.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said of a file.

    `fresh` tells that its bytes came along; without it they are those whose `etag` the caller named. `modified` is
    the file's time in seconds, 0 where the server gives none.
    """

    fresh: bool
    etag: str
    modified: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """Where a download's bytes and progress go.

    `write` takes the bytes; `restart` is called before a new try begins them anew; `progress` is told bytes done and
    all bytes (0: unknown); `cancelled` says whether to stop; `sleep` waits between tries.
    """

    write: Callable[[bytes], object]
    restart: Callable[[], object]
    progress: Callable[[int, int], object]
    cancelled: Callable[[], bool]
    sleep: Callable[[float], object]


def download(url: str, transfer: Transfer, *, etag: str = "", authorization: str = "") -> Answer:
    """Fetch a URL, redirects followed.

    With `etag` (of the bytes that the caller has) the server may say that nothing changed. `authorization` is a
    header for the URL's own host; without it a user and password in the URL are used. Failures are `StepError`s.
    """
    shown = without_password(url)
    with urllib3.PoolManager(retries=False, timeout=_TIMEOUT) as pool:
        for wait in (*_WAITS, None):
            try:
                transfer.restart()
                answer = _watched(transfer.cancelled, lambda: _once(pool, url, transfer, etag, authorization))
            except (HTTPError, OSError) as error:
                if wait is None or _is_hopeless(error):
                    raise _failed(shown, error) from None
                transfer.sleep(wait)
                continue
            if isinstance(answer, Answer):
                return answer
            if wait is None or answer not in _RETRIED:
                raise StepError(
                    f"{shown} cannot be fetched: the server answers {_status(answer)}", hint=_hint(answer)
                )
            transfer.sleep(wait)
    raise AssertionError("the last try ends in an answer or an error")


def _watched(cancelled: Callable[[], bool], work: Callable[[], Answer | int]) -> Answer | int:
    """Work that blocks on a server, in a thread that is left to itself when the build is stopped meanwhile."""
    results: list[Answer | int] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="download", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL)
        if cancelled():
            raise Cancelled("the build was stopped")
    if errors:
        raise errors[0]
    return results[0]


def _once(
    pool: urllib3.PoolManager, url: str, transfer: Transfer, etag: str, authorization: str
) -> Answer | int:
    """One try: an answer, or the status that stands in the way."""
    own, credentials = _place(url), _authorization(url, authorization)
    for _ in range(_MOST_REDIRECTS):
        parts = urlsplit(url)
        headers = {"User-Agent": f"pybuild/{__version__}", "Accept-Encoding": "identity"}
        if etag:
            headers["If-None-Match"] = etag
        if _place(url) == own:
            headers.update(credentials)
        response = pool.request(
            "GET",
            _without_user(url),
            headers=headers,
            preload_content=False,
            redirect=False,
            decode_content=False,
        )
        where = response.headers.get("Location", "")
        if response.status not in _REDIRECTS or not where:
            return _take(response, transfer, etag, url)
        response.drain_conn()
        following = _following(url, where)
        if urlsplit(following).scheme == "http" and parts.scheme == "https":
            raise StepError(f"{without_password(url)} redirects from https to http, which is not followed")
        url = following
    raise StepError(f"{without_password(url)} redirects more than {_MOST_REDIRECTS} times")


def _take(response: urllib3.BaseHTTPResponse, transfer: Transfer, etag: str, url: str) -> Answer | int:
    """Read an answer to its end, or let go of it early where its bytes are not needed."""
    found = _etag(response.headers.get("ETag", ""))
    modified = _seconds(response.headers.get("Last-Modified", ""))
    try:
        if etag and (response.status == 304 or (response.status == 200 and found == etag)):
            return Answer(fresh=False, etag=etag, modified=modified)
        if response.status != 200:
            return response.status
        total = _length(response.headers.get("Content-Length", ""))
        done = 0
        for chunk in response.stream(_CHUNK, decode_content=False):
            done += len(chunk)
            if max(done, total) > LARGEST:
                raise StepError(f"{without_password(url)} is larger than {LARGEST >> 30} GiB")
            transfer.write(chunk)
            transfer.progress(done, total)
        return Answer(fresh=True, etag=found, modified=modified)
    finally:
        response.close()


def _following(url: str, where: str) -> str:
    """Where a redirect leads."""
    try:
        following = urljoin(url, where)
        check_url(following)
        leads = is_url(following)
    except ValueError:
        leads = False
    if not leads:
        raise StepError(
            f"{without_password(url)} redirects to what is no http(s) URL: {without_password(where)[:80]!r}"
        )
    return following


def _place(url: str) -> tuple[str, str | None, int | None]:
    """What credentials hold for: scheme, host and port, as they are after defaults."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _etag(text: str) -> str:
    """What a server calls its bytes, as it can be sent back; empty if it cannot."""
    tag = text.strip().removeprefix("W/")
    return tag if len(tag) <= _LONGEST_ETAG and tag.isprintable() else ""


def _length(text: str) -> int:
    """Content-Length (RFC 9110, 8.6: the same number several times counts as one), 0 if it says nothing."""
    first = text.partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() and len(first) < 20 else 0


def _authorization(url: str, given: str) -> dict[str, str]:
    if given:
        return {"Authorization": given}
    user, mark, _ = urlsplit(url).netloc.rpartition("@")
    if not mark:
        return {}
    from urllib.parse import unquote

    return dict(urllib3.make_headers(basic_auth=unquote(user if ":" in user else f"{user}:")))


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()


def _seconds(text: str) -> int:
    """The time of a Last-Modified header (RFC 9110, 5.6.7), 0 if it is none."""
    try:
        return max(int(parsedate_to_datetime(text).timestamp()), 0) if text else 0
    except (ValueError, OverflowError):
        return 0


def _is_hopeless(error: Exception) -> bool:
    """Whether another try would fail alike: no name, one that does not exist, a port that nobody listens on."""
    if isinstance(error, SSLError | LocationValueError):
        return True
    text = str(error)
    return "Name or service not known" in text or "Connection refused" in text or "No address" in text


def _failed(shown: str, error: Exception) -> StepError:
    if isinstance(error, IncompleteRead | ProtocolError):
        return StepError(
            f"{shown} cannot be fetched: the answer is cut short",
            hint="the server closes the connection early",
        )
    text = str(error)
    if isinstance(error, LocationValueError):
        return StepError(f"{shown} cannot be fetched: there is no such host", hint="check the address")
    for sign, said in _SAID.items():
        if sign in text:
            return StepError(f"{shown} cannot be fetched: {said}", hint="check the address and the network")
    return StepError(f"{shown} cannot be fetched: {text.rpartition(': ')[2][:200]}")


_SAID = {
    "Name or service not known": "there is no such host",
    "No address associated": "there is no such host",
    "Temporary failure in name resolution": "the host's name cannot be looked up",
    "Connection refused": "the host refuses the connection",
    "timed out": "the server does not answer in time",
    "CERTIFICATE_VERIFY_FAILED": "its certificate cannot be verified",
}


def _status(status: int) -> str:
    from http import HTTPStatus

    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _hint(status: int) -> str | None:
    if status in (401, 403):
        return "give a token with --secret id=HTTP_AUTH_TOKEN_host"
    return "check the address" if status in (404, 410) else None
