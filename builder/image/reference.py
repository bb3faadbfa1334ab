"""Names of images: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]` (distribution/reference), completed as Docker does."""

from __future__ import annotations

import re

from builder.digest import Digest, parse_digest
from builder.errors import ImageError, UsageError
from builder.value import dataclass

DEFAULT_REGISTRY = "docker.io"
# Compiled when they are first needed: most names are plain words.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z"
_HOST = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z"
)
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """A complete name. A tag is there unless a digest is; `str()` is the canonical form."""

    registry: str
    repository: str
    tag: str | None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def familiar(self) -> str:
        """The short form that people write; the tag stays."""
        text = str(self)
        return text.removeprefix(f"{DEFAULT_REGISTRY}/").removeprefix("library/") if self._on_hub else text

    @property
    def _on_hub(self) -> bool:
        return self.registry == DEFAULT_REGISTRY

    @property
    def api_host(self) -> str:
        """The host that speaks the protocol for this registry."""
        return "registry-1.docker.io" if self._on_hub else self.registry

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag or "latest"


def parse_name(text: str) -> Reference:
    """A name that an image may be given, completed as by `parse_reference`; a `UsageError` for one with a digest, which an
    image has or has not, and for what means something else: `scratch`, and ids.
    """
    reference = parse_reference(text)
    if reference.digest is not None:
        raise UsageError(
            f'"{text}" names an image by its digest, which nobody can give it', hint="leave @sha256:… out"
        )
    if reference.familiar.rpartition(":")[0] == "scratch":
        raise _bad(text, "scratch is what FROM calls an empty image", "give it another name")
    if re.match(r"[0-9a-f]{64}\Z", text):
        raise _bad(text, "64 hexadecimal digits are the id of an image", "give it another name, or a tag")
    return reference


def parse_reference(text: str) -> Reference:
    """Read a name and complete it: `app` is `docker.io/library/app:latest`.

    The first part is a registry if it has a dot or a colon or is `localhost`. A `UsageError` says what is wrong.
    """
    rest, mark, digest_text = text.partition("@")
    digest = None
    if mark:
        try:
            digest = parse_digest(digest_text)
        except ImageError as error:
            raise _bad(text, error.message) from None
    first, slash, others = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, path = first, others
        if not re.match(_HOST, registry):
            raise _bad(text, f"{registry!r} is no host name")
    else:
        registry, path = DEFAULT_REGISTRY, rest
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DEFAULT_REGISTRY
    repository, colon, tag = path.partition(":")
    if colon and not _is_plain(tag) and not re.match(_TAG, tag):
        raise _bad(text, f"{tag!r} is no tag")
    if not repository:
        raise _bad(text, "it is empty")
    for part in repository.split("/"):
        if not _is_plain(part) and not re.match(_PART, part):
            hint = "repository names are in lower case" if part != part.lower() else None
            raise _bad(text, f"{part!r} cannot be part of a repository's name", hint)
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    if len(registry) + len(repository) + 1 > _LONGEST:
        raise _bad(text, f"it is longer than {_LONGEST} characters")
    return Reference(registry, repository, tag or (None if digest else "latest"), digest)


def _is_plain(text: str) -> bool:
    """Whether a text is a short word of small letters and digits."""
    return len(text) <= 100 and text.isalnum() and text.isascii() and text == text.lower()


def _bad(text: str, why: str, hint: str | None = None) -> UsageError:
    return UsageError(
        f"not an image name: {text[:80]!r}: {why}", hint=hint or "write it as [REGISTRY/]NAME[:TAG]"
    )
