"""Filters of `du` and `prune`, with the words of `docker buildx prune`: `until=24h`, `type=step`, `description~=make`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from builder.buildfile.durations import parse_duration
from builder.errors import UsageError
from builder.store.survey import Item
from builder.value import dataclass

# Buildx's words for kinds, and what they are here.
_KINDS = {
    "regular": ("step", "layer"),
    "exec.cachemount": ("cache",),
    "source.local": ("index",),
    "source.git.checkout": (),
    "internal": ("index", "syntax"),
    "frontend": (),
    "cache-mount": ("cache",),
    "step": ("step",),
    "layer": ("layer",),
    "image": ("image",),
    "cache": ("cache",),
    "download": ("download",),
    "index": ("index",),
    "syntax": ("syntax",),
}
_FLAGS = ("inuse", "shared", "private", "mutable", "immutable")
_TEXTS = ("id", "parent", "parents", "description", "type")
_DAYS = re.compile(r"([0-9]{1,6})(d|w)\Z")
_DAY = 86400
_HINT = f"the filters are until (or unused-for), {', '.join(_TEXTS)}, {', '.join(_FLAGS)}"


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; `holds` says whether an item meets it at a moment (seconds since 1970)."""

    text: str
    holds: Callable[[Item, float], bool]


def parse_filters(texts: Iterable[str]) -> tuple[Filter, ...]:
    """Filters as they are written; a `UsageError` for one that means nothing."""
    return tuple(_parse(text) for text in texts)


def matches(item: Item, filters: Iterable[Filter], now: float) -> bool:
    """Whether an item meets all conditions."""
    return all(condition.holds(item, now) for condition in filters)


def _parse(text: str) -> Filter:
    found = re.match(r"([a-z-]+)(?:(!=|~=|=)(.*))?\Z", text, re.DOTALL)
    if found is None:
        raise UsageError(f'--filter: "{text}" is no filter', hint=_HINT)
    name, operator, value = found[1], found[2] or "", found[3] or ""
    if name in ("until", "unused-for"):  # docker has both
        return Filter(text, _until(text, operator, value))
    if name in _FLAGS:
        return Filter(text, _flag(name, text, operator, value))
    if name not in _TEXTS:
        raise UsageError(f'--filter: there is no "{name}"', hint=_HINT)
    if not value:
        raise UsageError(f"--filter: {name} needs a value", hint=f"for example {name}=…")
    return Filter(text, _words(name, operator, value))


def _until(text: str, operator: str, value: str) -> Callable[[Item, float], bool]:
    days = _DAYS.match(value)
    try:
        if days:
            age = int(days[1]) * _DAY * (7 if days[2] == "w" else 1)
        else:
            age = int(parse_duration(value) / 1e9)
    except ValueError:
        age = -1
    if age < 0 or operator != "=":
        raise UsageError(
            f'--filter: "{text}" is no age', hint="write until=24h, until=90m or until=7d: not used since"
        )
    return lambda item, now: item.used < now - age


def _flag(name: str, text: str, operator: str, value: str) -> Callable[[Item, float], bool]:
    if value.lower() not in ("", "1", "0", "true", "false") or operator == "~=":
        raise UsageError(f'--filter: "{text}" is true or false')
    wanted = (value.lower() in ("", "1", "true")) is (operator != "!=")

    def holds(item: Item, now: float) -> bool:
        del now
        facts = {
            "inuse": item.in_use,
            "shared": bool(item.images),
            "private": not item.images,
            "mutable": item.kind == "cache",
            "immutable": item.kind != "cache",
        }
        return facts[name] is wanted

    return holds


def _words(name: str, operator: str, value: str) -> Callable[[Item, float], bool]:
    if name == "type" and operator in ("", "=", "!="):
        if value not in _KINDS:
            raise UsageError(
                f'--filter: there is no type "{value}"', hint=f"the types are {', '.join(_KINDS)}"
            )
        kinds = _KINDS[value]
        return lambda item, _: (item.kind in kinds) is (operator != "!=")

    if operator == "~=":
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise UsageError(f'--filter: "{value}" is no regular expression: {error}') from None
        return lambda item, _: pattern.search(_text(item, name)) is not None
    short = name in ("id", "parent", "parents")

    def holds(item: Item, now: float) -> bool:
        del now
        text = _text(item, name)
        plain = value.removeprefix("sha256:")
        same = text == value or (short and len(plain) >= 4 and text.removeprefix("sha256:").startswith(plain))
        return same is (operator != "!=")

    return holds


def _text(item: Item, name: str) -> str:
    if name == "type":
        return item.kind
    if name == "id":
        return item.id
    return item.name if name == "description" else item.parent
