"""Values of flags that are more than a word: pairs, sizes, limits, hosts, comma-separated fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from builder.cli.flags import Arguments
from builder.errors import UsageError

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
# More digits than any size has.
_DIGITS = 15
_LIMITS = frozenset(
    [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)


def wants_json(args: Arguments) -> bool:
    """Whether a command with the flags `JSON` shall print JSON."""
    chosen = choice("--format", args.text("--format") or "text", ("text", "table", "json"))
    return chosen == "json" or args.switch("--json")


def pairs(flag: str, texts: Iterable[str]) -> dict[str, str]:
    """`KEY=VALUE` each; a key without a value has an empty one."""
    found = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise UsageError(f'{flag} needs KEY=VALUE, not "{text}"')
        found[key] = value
    return found


def from_environment(flag: str, texts: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """`KEY=VALUE` each; a bare `KEY` takes the environment's value, and is left out if there is none."""
    found = {}
    for text in texts:
        key, mark, value = text.partition("=")
        if not key:
            raise UsageError(f'{flag} needs KEY or KEY=VALUE, not "{text}"')
        if mark:
            found[key] = value
        elif key in env:
            found[key] = env[key]
    return found


def contexts(texts: Iterable[str]) -> dict[str, str]:
    """`NAME=SOURCE` each, of `--build-context`."""
    found = {}
    for text in texts:
        name, _, source = text.partition("=")
        if not name or not source:
            raise UsageError(
                f'--build-context needs NAME=SOURCE, not "{text}"',
                hint="for example --build-context base=oci-layout://folder",
            )
        if name != name.lower():
            raise UsageError(
                f"--build-context: not a name: {name!r}", hint=f"names are in lower case: {name.lower()}"
            )
        found[name] = source
    return found


def hosts(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`NAME:ADDRESS` or `NAME=ADDRESS` each, or several with commas between; an IPv6 address may stand in brackets."""
    found = []
    for text in ",".join(texts).split(",") if texts else ():
        # The first of the two marks parts them, so that an IPv6 address keeps its colons.
        cut = min((at for at in (text.find("="), text.find(":")) if at >= 0), default=-1)
        name, address = (text[:cut], text[cut + 1 :]) if cut > 0 else ("", "")
        if address.startswith("[") and address.endswith("]"):
            address = address[1:-1]
        if not name or any(sign.isspace() for sign in name):
            raise UsageError(f'--add-host needs NAME:ADDRESS, not "{text}"')
        if address == "host-gateway":
            # A step shares the network of this machine, which it reaches as itself.
            address = "127.0.0.1"
        if not _is_address(address):
            raise UsageError(f'--add-host {name}: "{address}" is no IP address')
        found.append((name, address))
    return tuple(found)


def _is_address(text: str) -> bool:
    # Late, and lighter than `ipaddress`.
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def size(flag: str, text: str | None) -> int | None:
    """Bytes: `64m`, `1.5g`, `65536`; units are powers of 1024."""
    if text is None:
        return None
    low = text.strip().lower().removesuffix("ib")
    low = low.removesuffix("b") if low[-2:-1] in ("k", "m", "g", "t") else low
    unit = low[-1:] if low[-1:] in ("b", "k", "m", "g", "t") else ""
    number = low.removesuffix(unit).strip() if unit else low
    whole, point, part = number.partition(".")
    digits = whole + (part if part else "x" if point else "")
    if not (digits.isascii() and digits.isdigit() and whole and len(digits) <= _DIGITS):
        raise UsageError(f'{flag} needs a size such as 64m or 1g, not "{text}"')
    return int(float(number) * _SIZES[unit]) if part else int(whole) * _SIZES[unit]


def limits(texts: Iterable[str]) -> tuple[tuple[str, int, int], ...]:
    """`NAME=SOFT[:HARD]` each, -1 for no limit."""
    found = []
    for text in texts:
        name, _, bounds = text.partition("=")
        soft, _, hard = bounds.partition(":")
        if name not in _LIMITS:
            raise UsageError(
                f'--ulimit: there is no limit "{name}"', hint=f"the limits are {', '.join(sorted(_LIMITS))}"
            )
        numbers = [_number(text, word) for word in (soft, hard or soft)]
        if numbers[1] != -1 and (numbers[0] == -1 or numbers[0] > numbers[1]):
            raise UsageError(f"--ulimit {text}: the soft limit is above the hard one")
        found.append((name, numbers[0], numbers[1]))
    return tuple(found)


def _number(text: str, word: str) -> int:
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or word not in (digits, "-1"):
        raise UsageError(f'--ulimit needs NAME=SOFT[:HARD], not "{text}"')
    return int(word)


def count(flag: str, text: str | None) -> int | None:
    """A whole number from 1 on."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise UsageError(f'{flag} needs a number from 1 on, not "{text}"')
    return int(text)


def comma_list(texts: Iterable[str]) -> tuple[str, ...]:
    """Words of flags that take several, separated by commas or by giving the flag again."""
    return tuple(word.strip() for text in texts for word in text.split(",") if word.strip())


def choice(flag: str, text: str, known: tuple[str, ...]) -> str:
    """One of a few words."""
    if text not in known:
        raise UsageError(f'{flag}: there is no "{text}"', hint=f"use one of {', '.join(known)}")
    return text


def fields(flag: str, text: str) -> tuple[str, ...]:
    """The fields of one line of CSV (RFC 4180): `"a,b",c` has two. Quotes count at the start of a field only."""
    return tuple(_fields(flag, text))


def _fields(flag: str, text: str) -> Iterator[str]:
    at = 0
    while True:
        if text[at : at + 1] == '"':
            value, at = _quoted(flag, text, at + 1)
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            value, at = text[at:end], end
            if '"' in value:
                raise UsageError(
                    f"{flag}: a quote stands inside a field: {_name_of(value)}",
                    hint='put the whole field into quotes and double those inside: "dest=a,b"',
                )
        yield value
        if at >= len(text):
            return
        at += 1


def _name_of(field: str) -> str:
    """A field as an error may show it: its value may be a secret."""
    name, mark, _ = field.partition("=")
    return f"{name}=…" if mark else field


def _quoted(flag: str, text: str, at: int) -> tuple[str, int]:
    """The rest of a quoted field from behind its opening quote, and where the comma or the end after it is."""
    value, start = "", at - 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise UsageError(f"{flag}: a quote is not closed: {_name_of(text[start:])}")
        value += text[at:end]
        if text[end + 1 : end + 2] == '"':
            value, at = f'{value}"', end + 2
            continue
        if text[end + 1 : end + 2] not in ("", ","):
            raise UsageError(f"{flag}: text follows a closing quote: {_name_of(text[start:])}")
        return value, end + 1
