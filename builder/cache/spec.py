"""Remote caches as a caller names them: their types and attributes, in docker's words, checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping

from builder.errors import ImageError, UsageError
from builder.value import dataclass, field

MODES = ("min", "max")
COMPRESSIONS = ("gzip", "zstd", "uncompressed")
_TYPES = ("registry", "local", "inline", "s3")
_ELSEWHERE = {"gha": "the cache service of GitHub's runners", "azblob": "Azure's blob storage"}
_S3 = frozenset(
    {"bucket", "region", "endpoint_url", "prefix", "blobs_prefix", "manifests_prefix", "name"}
    | {"access_key_id", "secret_access_key", "session_token", "use_path_style"}
)
_PLACES = {
    "registry": frozenset({"ref"}),
    "local": frozenset({"tag"}),
    "inline": frozenset[str](),
    "s3": _S3,
}
_FROM = frozenset({"scope", "timeout", "trust", "wait"})
_TO = frozenset({"mode", "scope", "timeout", "wait", "compression", "ignore-error", "sign", "mounts"})
_TO |= {"oci-mediatypes", "image-manifest"}
# What buildx has and nothing here does, with what to do instead.
_UNKNOWN = {
    "compression-level": "layers are compressed at one level",
    "force-compression": "layers that have a blob are sent as it is",
    "registry.insecure": "registries on localhost and 127.0.0.0/8 may speak plain http",
    "upload_parallelism": "several blobs are sent at once",
    "touch_refresh": "objects are not touched: let the bucket keep them long enough",
}
_NEEDED = {"registry": "ref", "s3": "bucket"}
_LONGEST_SCOPE = 64
_TIMEOUT = 20.0
_WAIT, _LAST_WAIT = 5.0, 60.0


@dataclass(frozen=True, slots=True)
class CacheSpec:
    """One `--cache-from` or `--cache-to`: its type and the attributes as written.

    The properties are those that `check_cache_from` and `check_cache_to` found to be well-formed.
    """

    type: str
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)

    def get(self, name: str) -> str:
        """An attribute, empty if it was not given."""
        return self.attributes.get(name, "")

    @property
    def mode(self) -> str:
        """`min` (the layers of the result) or `max` (those of all steps)."""
        return self.get("mode") or "min"

    @property
    def scope(self) -> str:
        """Which of the caches at one place; empty for the one without a name."""
        return self.get("scope")

    @property
    def compression(self) -> str:
        """How layers are compressed that have no blob yet."""
        return self.get("compression") or "gzip"

    @property
    def timeout(self) -> float:
        """Seconds that the other side may say nothing."""
        text = self.get("timeout")
        return spec_seconds(text) if text else _TIMEOUT

    @property
    def wait(self) -> float:
        """Seconds that a build stands still for a cache that it reads, beyond those that its steps spare."""
        text = self.get("wait")
        return spec_seconds(text) if text else _WAIT

    @property
    def last_wait(self) -> float:
        """Seconds that a build whose outputs are done waits for layers to reach a cache that it writes."""
        text = self.get("wait")
        return spec_seconds(text) if text else _LAST_WAIT

    @property
    def may_go_on(self) -> bool:
        """Whether it may be written when the command has ended: not a folder, which is what people take along next, nor cache
        mounts, which the next build changes, nor with a key, which may be taken away; nor where the caller
        wants to wait, or to know.
        """
        at_once = self.type in ("local", "inline") or self.mounts or self.fails
        return not at_once and not self.get("wait") and not self.get("sign")

    @property
    def trusted(self) -> tuple[str, ...]:
        """The files of the keys of which one must have signed what is read; none if it is taken unsigned."""
        return tuple(path for path in self.get("trust").split(";") if path)

    @property
    def fails(self) -> bool:
        """Whether an export that fails ends the build: only if that was asked for."""
        return self.get("ignore-error") == "false"

    @property
    def mounts(self) -> bool:
        """Whether the folders of cache mounts travel too."""
        return self.get("mounts") == "true"

    @property
    def tag(self) -> str:
        """The name of the cache in a folder: the tag and the scope."""
        tag = self.get("tag") or "latest"
        return f"{tag}-{self.scope}" if self.scope else tag

    def __str__(self) -> str:
        where = {"registry": "ref", "local": "src", "s3": "bucket"}.get(self.type, "")
        place = self.get(where) or self.get("dest")
        scope = f" (scope {self.scope})" if self.scope else ""
        return f"{self.type} {place}".rstrip() + scope


def check_cache_from(spec: CacheSpec) -> None:
    """A `UsageError` if a cache cannot be read from as it is written."""
    if spec.type == "inline":
        raise UsageError(
            "--cache-from: an inline cache is read from its image",
            hint="write type=registry,ref=IMAGE",
        )
    _check(spec, "--cache-from", _PLACES.get(spec.type, frozenset()) | _FROM | {"src", "digest"}, _FROM)
    if "trust" in spec.attributes and not spec.trusted:  # a variable that is not set must not open the door
        raise UsageError(
            "--cache-from: trust= names no key", hint="give the .pub file of a key, or leave it out"
        )
    if spec.type == "local" and not spec.get("src"):
        raise UsageError("--cache-from: type=local needs src=FOLDER")
    if spec.get("digest"):
        from builder.digest import parse_digest

        try:
            parse_digest(spec.get("digest"))
        except ImageError as error:
            raise UsageError(f"--cache-from: {error.message}") from None


def check_cache_to(spec: CacheSpec) -> None:
    """A `UsageError` if a cache cannot be written to as it is written."""
    _check(spec, "--cache-to", _PLACES.get(spec.type, frozenset()) | _TO | {"dest"}, _TO)
    if "sign" in spec.attributes and not spec.get("sign"):
        raise UsageError("--cache-to: sign= names no key", hint="give the file of a key, or leave it out")
    if spec.type == "local" and not spec.get("dest"):
        raise UsageError("--cache-to: type=local needs dest=FOLDER")
    _choice(spec, "--cache-to", "mode", MODES)
    _choice(spec, "--cache-to", "compression", COMPRESSIONS)
    for name in ("ignore-error", "mounts"):
        _choice(spec, "--cache-to", name, ("true", "false"))
    for name in ("oci-mediatypes", "image-manifest"):
        if spec.get(name) not in ("", "true"):
            raise UsageError(f"--cache-to: {name} cannot be switched off", hint="leave it out")
    if spec.type == "inline" and (spec.mode != "min" or spec.mounts or spec.get("compression")):
        raise UsageError(
            "--cache-to: type=inline keeps the records of the result in its image, and nothing else",
            hint="for all steps (mode=max) or cache mounts use type=registry, local or s3",
        )


def _check(spec: CacheSpec, flag: str, known: frozenset[str], common: frozenset[str]) -> None:
    if spec.type in _ELSEWHERE:
        raise UsageError(
            f"{flag}: type={spec.type} ({_ELSEWHERE[spec.type]}) is not supported",
            hint="use type=registry, local or s3",
        )
    if spec.type not in _TYPES:
        raise UsageError(f'{flag}: there is no type "{spec.type}"', hint=f"use one of {', '.join(_TYPES)}")
    own = known - common if spec.type == "local" else known - common - {"src", "dest", "digest"}
    for name in spec.attributes:
        if name in _UNKNOWN:
            raise UsageError(f"{flag}: {name} is not supported", hint=f"leave it out: {_UNKNOWN[name]}")
        if name not in own and name not in common:
            raise UsageError(
                f'{flag}: type={spec.type} knows no "{name}"',
                hint=f"it knows {', '.join(sorted(own | common))}",
            )
    needed = _NEEDED.get(spec.type)
    if needed and not spec.get(needed):
        raise UsageError(f"{flag}: type={spec.type} needs {needed}=")
    scope = spec.scope
    if len(scope) > _LONGEST_SCOPE or not all(
        sign.isascii() and (sign.isalnum() or sign in "._-") for sign in scope
    ):
        raise UsageError(f'{flag}: a scope is made of letters, digits, ".", "_" and "-", not "{scope[:80]}"')
    _check_seconds(spec, flag, "timeout", zero=False)
    _check_seconds(spec, flag, "wait", zero=True)
    _choice(spec, flag, "use_path_style", ("true", "false"))
    if spec.type == "registry":
        from builder.image.reference import parse_reference

        if parse_reference(spec.get("ref")).digest and flag == "--cache-to":
            raise UsageError(f"{flag}: a cache is written by a tag, not by a digest")


def _check_seconds(spec: CacheSpec, flag: str, name: str, *, zero: bool) -> None:
    text = spec.get(name)
    if not text:
        return
    whole, _, part = text.removesuffix("s").partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit() and len(digits) < 8 and (zero or spec_seconds(text) > 0)):
        raise UsageError(f'{flag}: {name} is a number of seconds, not "{text}"')


def spec_seconds(text: str) -> float:
    """Seconds as written."""
    return float(text.removesuffix("s"))


def _choice(spec: CacheSpec, flag: str, name: str, known: tuple[str, ...]) -> None:
    value = spec.get(name)
    if value and value not in known:
        raise UsageError(f"{flag}: {name}={value} means nothing", hint=f"{name} is one of {', '.join(known)}")
