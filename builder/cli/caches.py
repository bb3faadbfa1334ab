"""`--cache-from` and `--cache-to`: remote caches, in the syntax of `docker buildx build`."""

from __future__ import annotations

from builder.cache.spec import CacheSpec, check_cache_from, check_cache_to
from builder.cli.values import fields
from builder.errors import UsageError

_SWITCHES = frozenset({"ignore-error", "mounts", "use_path_style", "oci-mediatypes", "image-manifest"})
_TRUE, _FALSE = frozenset({"1", "t", "true"}), frozenset({"0", "f", "false"})


def parse_cache_from(text: str) -> CacheSpec:
    """Read one `--cache-from`: `type=registry,ref=app/cache`, or only the reference."""
    spec = _parse("--cache-from", text)
    check_cache_from(spec)
    return spec


def parse_cache_to(text: str) -> CacheSpec:
    """Read one `--cache-to`: `type=local,dest=folder,mode=max`, or only a reference."""
    spec = _parse("--cache-to", text)
    check_cache_to(spec)
    return spec


def _parse(flag: str, text: str) -> CacheSpec:
    parts = fields(flag, text)
    if len(parts) == 1 and "=" not in parts[0]:
        if not parts[0]:
            raise UsageError(f"{flag} is empty", hint=f"for example {flag} type=registry,ref=NAME")
        return CacheSpec(parts[0]) if parts[0] == "inline" else CacheSpec("registry", {"ref": parts[0]})
    values: dict[str, str] = {}
    for part in parts:
        key, mark, value = part.partition("=")
        if not mark:
            raise UsageError(
                f'{flag}: "{part}" is not KEY=VALUE', hint=f"for example {flag} type=registry,ref=NAME"
            )
        key = key.strip().lower()
        if key in _SWITCHES and value.lower() in _TRUE | _FALSE:
            value = "true" if value.lower() in _TRUE else "false"
        values[key] = value
    kind = values.pop("type", "")
    if not kind:
        raise UsageError(f"{flag} needs a type", hint=f"for example {flag} type=registry,ref=NAME")
    return CacheSpec(kind, values)
