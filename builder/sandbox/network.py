"""The two files by which a process finds other machines: resolv.conf and hosts."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["hosts_file", "resolver_file"]

_RESOLVER_FILES = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
# What BuildKit falls back to where no name server can be reached from inside.
_PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")


def hosts_file(hostname: str, extra_hosts: Iterable[tuple[str, str]]) -> str:
    """The text of /etc/hosts; `extra_hosts` holds (name, address), one line each, in order."""
    lines = [f"127.0.0.1\tlocalhost {hostname}".rstrip(), "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in extra_hosts]
    return "\n".join(lines) + "\n"


def resolver_file(*, shares_network: bool) -> str:
    """The text of /etc/resolv.conf, made of the host's.

    In the host's network its servers are right as they are, those on localhost too. Elsewhere these cannot
    be reached: systemd's stub is replaced by what it asks itself, others are left out. With no server left,
    public ones are named.
    """
    text = _read(_RESOLVER_FILES[0])
    if not shares_network and _servers(text) == ["127.0.0.53"]:
        text = _read(_RESOLVER_FILES[1]) or text
    lines = text.splitlines()
    if not shares_network:
        lines = [line for line in lines if not _is_local(_server(line))]
    if not any(_server(line) for line in lines):
        lines += [f"nameserver {server}" for server in _PUBLIC_SERVERS]
    return "\n".join(lines) + "\n"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _server(line: str) -> str:
    words = line.split()
    return words[1] if len(words) > 1 and words[0] == "nameserver" else ""


def _servers(text: str) -> list[str]:
    return [server for line in text.splitlines() if (server := _server(line))]


def _is_local(server: str) -> bool:
    return server.startswith("127.") or server == "::1"
