"""The resolver and hosts files, against host files of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.sandbox import network
from builder.sandbox.network import hosts_file, resolver_file


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    files = (tmp_path / "resolv.conf", tmp_path / "systemd.conf")
    monkeypatch.setattr(network, "_RESOLVER_FILES", tuple(map(str, files)))
    return files


def servers(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines() if line.startswith("nameserver")]


def test_shared_network_keeps_all(host: tuple[Path, Path]) -> None:
    host[0].write_text("search example\nnameserver 127.0.0.53\noptions edns0\n")
    assert resolver_file(shares_network=True) == "search example\nnameserver 127.0.0.53\noptions edns0\n"


def test_own_network_asks_what_the_stub_asks(host: tuple[Path, Path]) -> None:
    host[0].write_text("nameserver 127.0.0.53\n")
    host[1].write_text("nameserver 192.0.2.1\nsearch lan\n")
    assert resolver_file(shares_network=False) == "nameserver 192.0.2.1\nsearch lan\n"


def test_own_network_drops_localhost(host: tuple[Path, Path]) -> None:
    host[0].write_text("nameserver 127.0.0.1\nnameserver ::1\nnameserver 192.0.2.1\n")
    assert servers(resolver_file(shares_network=False)) == ["192.0.2.1"]


@pytest.mark.parametrize("text", [None, "", "search x\n"])
def test_public_servers_where_there_are_none(host: tuple[Path, Path], text: str | None) -> None:
    if text is not None:
        host[0].write_text(text)
    for shares_network in (True, False):
        assert servers(resolver_file(shares_network=shares_network))[0] == "8.8.8.8"


def test_hosts() -> None:
    text = hosts_file("box", [("test.example", "192.0.2.7")])
    assert text == (
        "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n192.0.2.7\ttest.example\n"
    )
