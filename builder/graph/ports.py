"""EXPOSE: from `[[ip:]host:]port[-port][/protocol]` to `port/protocol` names."""

from __future__ import annotations

from builder.errors import BuildFileError
from builder.graph.places import suggest

PROTOCOLS = ("tcp", "udp", "sctp")
_COUNT = 65536


class Ports:
    """Those that the words of one EXPOSE name, each once: at most 65,536 of a protocol, however often they are named."""

    def __init__(self) -> None:
        self._named: dict[str, bytearray] = {}
        self.found: dict[str, None] = {}  # in the order in which they were named

    def add(self, text: str) -> None:
        """Take in what a word means; see `exposed_ports`."""
        first, last, protocol = exposed_ports(text)
        named = self._named.setdefault(protocol, bytearray(_COUNT))
        at = named.find(0, first, last + 1)
        while at >= 0:
            self.found[f"{at}/{protocol}"] = None
            at = named.find(0, at + 1, last + 1)
        named[first : last + 1] = b"\1" * (last + 1 - first)


def exposed_ports(text: str) -> tuple[int, int, str]:
    """The first and the last port and the protocol that a word of EXPOSE means; a `BuildFileError` (without a place) if
    it means none.

    Addresses and host ports are checked and then forgotten, as in Docker: an image cannot choose them.
    """
    address, host, container = _parts(text)
    ports, _, protocol = container.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        reason = f"the protocol must be one of {', '.join(PROTOCOLS)}"
        raise _bad(text, reason, suggest(protocol, list(PROTOCOLS)) or "write PORT or PORT/udp")
    first, last = _range(text, ports)
    if host:
        low, high = _range(text, host)
        if first != last and last - first != high - low:
            raise _bad(text, "the two ranges differ in length")
    if address and not _is_address(address):
        raise _bad(text, f"{address[:80]!r} is no IP address")
    return first, last, protocol


def _parts(text: str) -> tuple[str, str, str]:
    """Address, host port and container port; an IPv6 address has colons of its own."""
    front, _, container = text.rpartition(":")
    address, _, host = front.rpartition(":")
    return address, host, container


def _is_address(text: str) -> bool:
    import ipaddress  # late: few build files name an address

    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True


def _range(text: str, ports: str) -> tuple[int, int]:
    start, dash, end = ports.partition("-")
    first = _number(text, start)
    last = _number(text, end) if dash else first
    if last < first:
        raise _bad(text, f"the range {ports[:80]} runs backwards")
    return first, last


def _number(text: str, digits: str) -> int:
    plain = digits.removeprefix("+")
    if plain.isascii() and plain.isdecimal() and len(plain) < 10 and int(plain) <= 65535:
        return int(plain)
    raise _bad(text, f"{digits[:80]!r} is no port between 0 and 65535")


def _bad(text: str, reason: str, hint: str = "write PORT, PORT/udp or FIRST-LAST") -> BuildFileError:
    return BuildFileError(f"invalid port {text[:80]!r}: {reason}", hint=hint)
