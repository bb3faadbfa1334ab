"""`RUN --mount`: from its fields to a checked `MountSpec`."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.buildfile.syntax import BuildFile, Mount, Span, Word
from builder.errors import BuildFileError
from builder.graph.paths import clean_path, join_path
from builder.graph.places import mistake, narrow, suggest, together
from builder.graph.steps import FromContext, FromScratch, MountSpec, Origin
from builder.value import dataclass, field, replace

KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS = ("shared", "private", "locked")
_DEFAULT_MODES = {"cache": 0o755, "secret": 0o400, "ssh": 0o600}
_SAME_KEY = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_TAKEN_BY = {  # the kinds that know a key; keys that are not here are for all
    "required": ("secret", "ssh"),
    "size": ("tmpfs",),
    "sharing": ("cache",),
    "mode": ("cache", "secret", "ssh"),
    "uid": ("cache", "secret", "ssh"),
    "gid": ("cache", "secret", "ssh"),
}
_IN_ORDER = (
    "required",
    "size",
)  # stand behind the type that takes them, as BuildKit reads from left to right
_KEYS = (
    *("type", "from", "source", "src", "target", "dst", "destination", "readonly", "ro", "readwrite", "rw"),
    *("id", "sharing", "required", "size", "mode", "uid", "gid", "env"),
)
_BARE = ("readonly", "readwrite", "required")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE = r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([kmgtp]?)i?b?"
_MAX_ID = 1 << 32


@dataclass(frozen=True, slots=True)
class MountPlace:
    """What a mount's meaning depends on beside its own text.

    `expand` gives a word's value, `origin` finds what a `from=` names; `namespace` goes before cache ids.
    """

    file: BuildFile
    working_dir: str
    namespace: str
    expand: Callable[[Word], str]
    origin: Callable[[str], Origin]


def mount_origin_name(file: BuildFile, mount: Mount) -> str | None:
    """The `from=` of a mount, which is never expanded; None without one, or for a number, which means nothing."""
    found = None
    for key, word in mount.fields:
        if key.lower() == "from" and word is not None:
            if "$" in word.text[:-1]:
                raise mistake(
                    file,
                    narrow(file, mount.span, f"from={word.text}"),
                    f"variables are not expanded in from={word.text}",
                    "name a stage with FROM $VARIABLE AS name, and mount from that",
                )
            found = word.text
    return None if found is None or _is_number(found) else found or None


def _is_number(text: str) -> bool:
    """Whether a name looks like a stage's number, which mounts do not know."""
    return text.isascii() and text.isdigit()


def plan_mounts(mounts: tuple[Mount, ...], place: MountPlace) -> tuple[MountSpec, ...]:
    """Check and complete the mounts of one RUN. Raises `BuildFileError` with the places of all bad ones."""
    found = []
    errors = []
    agents = 0
    for mount in mounts:
        try:
            spec = _Draft(mount, place).finish(agents)
        except BuildFileError as error:
            errors.append(error)
            continue
        agents += spec.kind == "ssh"
        found.append(spec)
    if errors:
        raise together(errors)
    return tuple(found)


@dataclass(slots=True)
class _Draft:
    """One mount while its fields are gathered."""

    mount: Mount
    place: MountPlace
    given: dict[str, str] = field(default_factory=dict)
    kind: str = "bind"
    read_only: bool | None = None

    def bad(self, message: str, hint: str | None = None, *keys: str) -> BuildFileError:
        """An error at the field of one of the keys; without any that is written, at the whole flag."""
        return mistake(self.place.file, self._place(*keys), message, hint)

    def _place(self, *keys: str) -> Span:
        for key in keys:
            for raw, word in self.mount.fields:
                if _SAME_KEY.get(raw, raw) == key:
                    text = raw if word is None else f"{raw}={word.text}"
                    # Behind a comma or the flag's own =, so that it is not found within another field.
                    for mark in (",", "="):
                        found = narrow(self.place.file, self.mount.span, mark + text)
                        if found != self.mount.span:
                            return Span(found.line, found.column + 1, found.end_line, found.end_column)
        return self.mount.span

    def finish(self, agents: int) -> MountSpec:
        self._gather()
        kind = self.kind
        for key in self.given:
            if kind not in _TAKEN_BY.get(key, KINDS):
                raise self.bad(
                    f"mount type {kind} takes no {key}",
                    f"{key} is for {' and '.join(_TAKEN_BY[key])} mounts",
                    key,
                )
        sharing = self.given.get("sharing", "shared").lower()
        if sharing not in SHARINGS:
            hint = suggest(sharing, list(SHARINGS), f"use one of {', '.join(SHARINGS)}")
            raise self.bad(f"unsupported sharing {sharing!r}", hint, "sharing")
        spec = MountSpec(
            kind=kind,
            target=self._target(kind, agents),
            origin=self._origin(kind),
            source=clean_path("/" + self.given.get("source", "")) if kind in ("bind", "cache") else "/",
            read_only=self._read_only(kind),
            id=self._id(kind),
            sharing=sharing,
            mode=self._number("mode", 8, _DEFAULT_MODES.get(kind, 0)) if kind in _DEFAULT_MODES else None,
            uid=self._number("uid", 10, 0),
            gid=self._number("gid", 10, 0),
            size=self._size(),
            env=self._variable() if kind == "secret" else "",
            required=self._flag("required"),
        )
        if kind == "cache" and isinstance(spec.origin, FromScratch) and spec.source != "/":
            # As in BuildKit: a folder inside a cache is as it is.
            spec = replace(spec, mode=_DEFAULT_MODES["cache"], uid=0, gid=0)
        if kind == "ssh" and "source" in self.given:
            raise self.bad("an ssh mount takes no source", "name the agent with id=", "source")
        return spec

    def _gather(self) -> None:
        for raw, word in self.mount.fields:
            key = _SAME_KEY.get(raw.lower(), raw.lower())
            if raw.lower() not in _KEYS:
                raise self.bad(
                    f"unknown mount option {raw[:80]!r}",
                    suggest(raw, list(_KEYS), f"the options are {', '.join(_KEYS)}"),
                    key,
                )
            if word is not None:
                self.given[key] = word.text if key == "from" else self.place.expand(word)
            elif key in _BARE:
                self.given[key] = "true"
            else:
                raise self.bad(f"mount option {raw} needs a value", f"write {raw}=…", key)
            self._take(key)

    def _take(self, key: str) -> None:
        """What an option means for those behind it; of readonly and readwrite the last one counts."""
        if key == "type":
            self.kind = self.given[key].lower()
            if self.kind not in KINDS:
                raise self.bad(
                    f"unsupported mount type {self.kind!r}",
                    suggest(self.kind, list(KINDS), f"use one of {', '.join(KINDS)}"),
                    key,
                )
        elif key in _IN_ORDER and self.kind not in _TAKEN_BY[key]:
            takers = _TAKEN_BY[key]
            meant = any(
                word.text.lower() in takers
                for raw, word in self.mount.fields
                if raw.lower() == "type" and word
            )
            raise self.bad(
                f"mount type {self.kind} takes no {key}",
                f"write type= in front of {key}" if meant else f"{key} is for {' and '.join(takers)} mounts",
                key,
            )
        elif key in ("readonly", "readwrite"):
            self.read_only = self._flag(key) is (key == "readonly")

    def _origin(self, kind: str) -> Origin | None:
        name = self.given.get("from", "")
        if kind == "secret" and name:
            raise self.bad(
                "a secret mount takes no from", "a secret comes from the caller: --secret id=…", "from"
            )
        if kind not in ("bind", "cache"):
            return None
        if not name and kind == "cache":
            return FromScratch()
        if _is_number(name):
            raise self.bad(
                f"from={name}: mounts know stages by their names only",
                "name the stage with FROM … AS name, and mount from that",
                "from",
            )
        return self.place.origin(name) if name else FromContext()

    def _read_only(self, kind: str) -> bool:
        return kind not in ("cache", "tmpfs") if self.read_only is None else self.read_only

    def _target(self, kind: str, agents: int) -> str:
        target = self.given.get("target", "")
        if kind == "secret" and not target:
            if "env" in self.given:
                return ""
            return "/run/secrets/" + clean_path(self._id(kind)).rpartition("/")[2]
        if kind == "ssh" and not target:
            return f"/run/buildkit/ssh_agent.{agents}"
        path = join_path(self.place.working_dir, target)
        if path == "/":
            raise self.bad(
                "a mount cannot cover the root directory" if target else "the mount has no target",
                "say where with target=/path",
                "target",
            )
        return path

    def _id(self, kind: str) -> str:
        given = self.given.get("id", "")
        if kind == "cache":
            target = self.given.get("target", "")
            return f"{self.place.namespace}/{given or (clean_path(target) if target else '.')}"
        if kind == "ssh":
            return given or "default"
        if kind != "secret":
            return given
        source, target = self.given.get("source", ""), self.given.get("target", "")
        if given and source:
            raise self.bad(
                "a secret mount takes id or source, not both", "they mean the same: keep id", "source"
            )
        name = given or source or clean_path(target).rpartition("/")[2]
        if not target and not given and not source:
            raise self.bad("a secret mount needs an id", "write --mount=type=secret,id=NAME")
        return name

    def _variable(self) -> str:
        name = self.given.get("env", "")
        if "env" in self.given and (not name or "=" in name or "\0" in name):
            raise self.bad(f"{name[:80]!r} is no name of a variable", "write env=NAME", "env")
        return name

    def _flag(self, key: str) -> bool:
        value = self.given.get(key, "false")
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise self.bad(f"invalid value for {key}: {value[:80]!r}", f"write {key}=true or {key}=false", key)

    def _number(self, key: str, base: int, default: int) -> int:
        text = self.given.get(key)
        if text is None:
            return default
        if text.isascii() and text.isalnum() and len(text) < 16:
            try:
                number = int(text, base)
            except ValueError:
                number = -1
            if 0 <= number < _MAX_ID:
                return number
        raise self.bad(f"invalid value for {key}: {text[:80]!r}", _NUMBER_HINTS[key], key)

    def _size(self) -> int:
        text = self.given.get("size")
        if text is None:
            return 0
        found = re.fullmatch(_SIZE, text.lower())
        if found is None:
            raise self.bad(f"invalid value for size: {text[:80]!r}", "write bytes, or 64m, or 1g", "size")
        power = "kmgtp".find(found[2]) + 1 if found[2] else 0
        size = int(float(found[1]) * 1024**power) if "." in found[1] else int(found[1]) * 1024**power
        if size >= 1 << 63:
            raise self.bad(f"invalid value for size: {text[:80]!r}", "write bytes, or 64m, or 1g", "size")
        return size


_NUMBER_HINTS = {
    "mode": "write the mode in octal digits, such as 0750",
    "uid": "write a number; names are not looked up here",
    "gid": "write a number; names are not looked up here",
}
