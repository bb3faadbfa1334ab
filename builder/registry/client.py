"""One registry: requests with authentication, retries and bounded answers (OCI distribution spec 1.1)."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, SSLError

from builder import __version__
from builder.errors import RegistryError
from builder.image.reference import Reference
from builder.registry.auth import Credentials
from builder.registry.connections import Connections

Response = urllib3.BaseHTTPResponse
Body = Callable[[], Any]

_CONNECTIONS = 8
_TIMEOUT = urllib3.Timeout(connect=20, read=60)
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_WAITS = (1.0, 2.0, 4.0)
_LONGEST_WAIT = 30.0
_MOST_REDIRECTS = 5
_ERROR_LIMIT = 64 << 10
_TOKEN_LIMIT = 1 << 20
_TOKEN_SECONDS = 60.0
_CHALLENGE = re.compile(r'([a-zA-Z_]+)="?([^",]*)"?(?:,|$)')


def is_local(host: str) -> bool:
    """Whether a registry is on this machine: those may speak plain http."""
    name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
    return name == "localhost" or name.startswith("127.") or name in ("[::1]", "::1")


class Client:
    """Speaks with one registry for one repository. Threads may share it.

    `timeout` are the seconds that the registry may say nothing (None: as long as a large upload takes it to think),
    `waits` those between tries; `sleep` waits, and tests give another. `aborted` tells that `abort` was called.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials | None = None,
        *,
        timeout: float | None = None,
        waits: tuple[float, ...] = _WAITS,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        scheme = "http" if is_local(reference.api_host) else "https"
        self.reference = reference
        self.base = f"{scheme}://{reference.api_host}/v2/{reference.repository}/"
        self._credentials = credentials
        self._sleep = sleep
        self._waits = waits
        limit = _TIMEOUT if timeout is None else urllib3.Timeout(connect=timeout, read=timeout)
        self._pool = Connections(maxsize=_CONNECTIONS, retries=False, timeout=limit)
        self._tokens: dict[str, tuple[str, float]] = {}
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._lock = threading.Lock()
        self.aborted = False

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def abort(self) -> None:
        """Break off the requests that go on, in other threads, with an error; none is tried again."""
        self.aborted = True
        self._pool.abort()

    @contextmanager
    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        actions: str = "pull",
        expected: tuple[int, ...] = (200,),
        mount_from: str | None = None,
    ) -> Iterator[Response]:
        """A response whose body is not read yet, after authentication, redirects and retries.

        `path` is relative to the repository, or a whole URL. `body` makes the request's body anew for each try.
        `expected` are the statuses to give back; any other is a `RegistryError`. `mount_from` is a repository that
        the request reads too.
        """
        url = urljoin(self.base, path)
        scopes = [f"repository:{self.reference.repository}:{actions}"]
        if mount_from is not None:
            scopes.append(f"repository:{mount_from}:pull")
        response = self._send(method, url, dict(headers or {}), body, scopes, expected)
        try:
            if response.status not in expected:
                raise self._refused(method, url, response)
            yield response
        finally:
            _give_back(response)

    def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: Body | None,
        scopes: list[str],
        expected: tuple[int, ...],
    ) -> Response:
        authenticated = False
        tries = 0
        while True:
            if self.aborted:
                raise RegistryError(f"the work with {self.reference.registry} was broken off")
            try:
                response, used = self._once(method, url, headers, body, scopes)
            except (HTTPError, OSError) as error:
                if tries >= len(self._waits) or not _is_passing(error) or self.aborted:
                    raise self._unreachable(url, error) from None
                self._sleep(self._waits[tries])
                tries += 1
                continue
            if response.status == 401 and not authenticated and 401 not in expected:
                response.drain_conn()
                self._take_challenge(response.headers.get("WWW-Authenticate", ""), scopes, used)
                authenticated = True
                continue
            if response.status in _RETRIED and response.status not in expected and tries < len(self._waits):
                wait = _retry_after(response.headers.get("Retry-After", "")) or self._waits[tries]
                response.drain_conn()
                self._sleep(min(wait, _LONGEST_WAIT))
                tries += 1
                continue
            return response

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, scopes: list[str]
    ) -> tuple[Response, str | None]:
        """One try, redirects followed, and the authorization that was sent.

        Credentials go to the registry's own host and nowhere else.
        """
        authorization = None
        host = urlsplit(self.base).netloc
        for _ in range(_MOST_REDIRECTS):
            sent = {"User-Agent": f"pybuild/{__version__}", **headers}
            if urlsplit(url).netloc == host:
                authorization = self._authorization(scopes)
                if authorization:
                    sent["Authorization"] = authorization
            response = self._pool.request(
                method,
                url,
                headers=sent,
                body=body() if body else None,
                preload_content=False,
                redirect=False,
                decode_content=False,
            )
            where = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not where or method not in ("GET", "HEAD"):
                return response, authorization
            response.drain_conn()
            following = urljoin(url, where)
            if urlsplit(following).scheme == "http" and urlsplit(url).scheme == "https":
                raise RegistryError(f"{host} redirects from https to http, which is not followed")
            url = following
        raise RegistryError(f"{host} redirects more than {_MOST_REDIRECTS} times")

    # --- authentication ---

    def _authorization(self, scopes: list[str]) -> str | None:
        with self._lock:
            if self._challenge is None:
                token = self._credentials.registry_token if self._credentials else ""
                return f"Bearer {token}" if token else None
            scheme, parameters = self._challenge
            if scheme == "basic":
                return self._basic()
            key = " ".join(scopes)
            token, until = self._tokens.get(key, ("", 0.0))
            if time.monotonic() >= until:
                token, until = self._fetch_token(parameters, scopes)
                self._tokens[key] = (token, until)
            return f"Bearer {token}"

    def _basic(self) -> str | None:
        if self._credentials is None or not self._credentials.username:
            return None
        pair = f"{self._credentials.username}:{self._credentials.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()

    def _take_challenge(self, header: str, scopes: list[str], used: str | None) -> None:
        """Learn from a 401 what the registry wants; `used` is the authorization that it did not take."""
        scheme, _, rest = header.partition(" ")
        with self._lock:
            self._challenge = (
                scheme.lower(),
                {name.lower(): value for name, value in _CHALLENGE.findall(rest)},
            )
            key = " ".join(scopes)
            if (
                used == f"Bearer {self._tokens.get(key, ('',))[0]}"
            ):  # else another thread has a new one by now
                del self._tokens[key]

    def _fetch_token(self, parameters: Mapping[str, str], scopes: list[str]) -> tuple[str, float]:
        """A token for some scopes, and until when (monotonic) it may be used."""
        realm = parameters.get("realm", "")
        if urlsplit(realm).scheme not in ("http", "https"):
            raise RegistryError(
                f"{self.reference.registry} asks for a token, but does not say where to get it"
            )
        if urlsplit(realm).scheme == "http" and not self.base.startswith("http://"):
            raise RegistryError(
                f"{self.reference.registry} wants credentials sent over plain http to {realm}"
            )
        service = parameters.get("service", "")
        begin = time.monotonic()
        answer = self._oauth(realm, service, scopes) if self._uses_oauth() else None
        if answer is None:
            answer = self._token_by_get(realm, service, scopes)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise RegistryError(f"the token server of {self.reference.registry} gave no token")
        seconds = answer.get("expires_in")
        lasting = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _TOKEN_SECONDS
        return token, begin + 0.9 * lasting

    def _uses_oauth(self) -> bool:
        return self._credentials is not None and bool(
            self._credentials.identity_token or self._credentials.password
        )

    def _oauth(self, realm: str, service: str, scopes: list[str]) -> dict[str, Any] | None:
        """A token by POST; None if the server knows only the other way."""
        assert self._credentials is not None
        form = {"service": service, "client_id": "pybuild", "scope": " ".join(scopes)}
        if self._credentials.identity_token:
            form |= {"grant_type": "refresh_token", "refresh_token": self._credentials.identity_token}
        else:
            form |= {"grant_type": "password", "username": self._credentials.username}
            form |= {"password": self._credentials.password}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        response = self._ask(realm, "POST", urlencode(form).encode(), kind)
        try:
            if response.status in (400, 401, 404, 405) and not self._credentials.identity_token:
                return None
            return self._token_answer(response)
        finally:
            response.close()

    def _token_by_get(self, realm: str, service: str, scopes: list[str]) -> dict[str, Any]:
        query = urlencode([("service", service), *(("scope", scope) for scope in scopes)])
        basic = self._basic()
        headers = {"Authorization": basic} if basic else {}
        response = self._ask(f"{realm}{'&' if '?' in realm else '?'}{query}", "GET", None, headers)
        try:
            return self._token_answer(response)
        finally:
            response.close()

    def _ask(self, url: str, method: str, body: bytes | None, headers: dict[str, str]) -> Response:
        try:
            return self._pool.request(
                method, url, body=body, headers=headers, preload_content=False, redirect=False
            )
        except (HTTPError, OSError) as error:
            raise self._unreachable(url, error) from None

    def _token_answer(self, response: Response) -> dict[str, Any]:
        if response.status != 200:
            raise RegistryError(
                f"{self.reference.registry} refused the credentials"
                if self._credentials
                else f"{self.reference.registry} gives no access without credentials",
                hint=self._login_hint(),
            )
        try:
            answer = json.loads(response.read(_TOKEN_LIMIT))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RegistryError(f"the token server of {self.reference.registry} gave no JSON")
        return answer

    # --- errors ---

    def _login_hint(self) -> str:
        return f"log in with: pybuild login {self.reference.registry}"

    def _refused(self, method: str, url: str, response: Response) -> RegistryError:
        """What a status that was not expected means."""
        reason = _error_text(response)
        where = f"{self.reference.registry}/{self.reference.repository}"
        if response.status == 401:
            what = "refused the credentials" if self._credentials else "gives no access without credentials"
            return RegistryError(f"{self.reference.registry} {what} for {where}", hint=self._login_hint())
        if response.status == 403:
            return RegistryError(f"access to {where} is denied{reason}", hint=self._login_hint())
        if response.status == 404:
            return RegistryError(
                f"{self.reference} is not there{reason}",
                hint="check the name and the tag; a private one needs a login",
            )
        path = urlsplit(url).path
        return RegistryError(
            f"{self.reference.registry} answered {method} {path} with status {response.status}{reason}"
        )

    def _unreachable(self, url: str, error: Exception) -> RegistryError:
        cause: BaseException = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        host = urlsplit(url).netloc
        if isinstance(cause, SSLError):
            return RegistryError(
                f"no secure connection to {host}: {cause}",
                hint="a registry without https must be on localhost",
            )
        if isinstance(cause, NewConnectionError):
            return RegistryError(
                f"cannot connect to {host} for {self.reference}: {_plainly(cause)}",
                hint="check the name, the network, and whether the registry runs",
            )
        return RegistryError(
            f"the connection to {host} for {self.reference} broke: {type(cause).__name__}: {cause}"
        )


def _give_back(response: Response) -> None:
    """Let the connection serve the next request; one with much left to read is closed instead."""
    left = response.headers.get("Content-Length", "0")
    if response.closed or (left.isdecimal() and int(left) <= _ERROR_LIMIT):
        response.drain_conn()
    else:
        response.close()
    response.release_conn()


def _is_passing(error: Exception) -> bool:
    """Whether another try may help."""
    return not isinstance(error, SSLError | NewConnectionError | MaxRetryError)


def _retry_after(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0


def _error_text(response: Response) -> str:
    """The message in a registry's answer, bounded and made harmless."""
    try:
        document = json.loads(response.read(_ERROR_LIMIT))
        first = document["errors"][0]
        text = str(first.get("message") or first.get("code") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, HTTPError, OSError):
        return ""
    text = "".join(character for character in text if character.isprintable())[:200]
    return f": {text}" if text else ""


def _plainly(error: BaseException) -> str:
    """What a connection failed of, without the names of Python's things."""
    text = re.sub(r"^<?[\w.]+\(.*?\)>?: ", "", str(error))
    text = re.sub(r"\[Errno -?\d+\] ", "", text)
    return text[:1].lower() + text[1:]
