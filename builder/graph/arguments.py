"""Global arguments: those that exist before the first FROM, and those that the caller gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from builder.buildfile.syntax import Arg, BuildFile, Instruction, Onbuild
from builder.errors import UsageError
from builder.graph.scope import PROXY_NAMES, Expander, Scope
from builder.image.platform import Platform

EPOCH = "SOURCE_DATE_EPOCH"
EARLIEST = 315532800
"""1980-01-01, the earliest time that zip archives can hold: what times are when nobody says which and they must not differ."""

_PREDEFINED = frozenset(
    {
        *("BUILDKIT_SYNTAX", "BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_SANDBOX_HOSTNAME"),
        *("BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_CONTEXT_KEEP_GIT_DIR", "BUILDKIT_BUILD_NAME"),
        *("BUILDKIT_DOCKERFILE_CHECK", "BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE", EPOCH),
        *PROXY_NAMES,
    }
)


def platform_arguments(target_stage: str, platform: Platform, build_platform: Platform) -> dict[str, str]:
    """The arguments that every build has: what it builds for, on what, and up to which stage."""
    return {
        "BUILDPLATFORM": build_platform.plain,
        "BUILDOS": build_platform.os,
        "BUILDOSVERSION": build_platform.os_version,
        "BUILDARCH": build_platform.architecture,
        "BUILDVARIANT": build_platform.variant,
        "TARGETPLATFORM": str(platform),
        "TARGETOS": platform.os,
        "TARGETOSVERSION": platform.os_version,
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": platform.variant,
        "TARGETSTAGE": target_stage or "default",
    }


def global_arguments(
    file: BuildFile, lines: Iterable[Arg], predefined: Mapping[str, str], build_args: Mapping[str, str]
) -> dict[str, str]:
    """The values of the ARG lines before the first FROM, on top of the predefined ones.

    A value of the caller is taken as it is; a default of the file is expanded with what stands before it.
    """
    expander = Expander(file)
    scope = Scope(((name, build_args.get(name, value)) for name, value in predefined.items()), ())
    for line in lines:
        for item in line.items:
            value = build_args.get(item.name)
            if value is None and item.default is not None:
                value = expander.expand(item.default, scope)
            scope.set_arg(item.name, value)
    return dict(scope.values)


def read_epoch(
    build_args: Mapping[str, str], global_args: Mapping[str, str], names: Iterable[str]
) -> int | None:
    """The seconds of SOURCE_DATE_EPOCH, None if unset.

    `context` and the `names` of stages and named contexts ask for the time of a remote source, which takes their place
    where it is known; a local one has none, and then it counts as unset, too.
    """
    text = build_args.get(EPOCH, global_args.get(EPOCH, ""))
    if not text:
        return None
    digits = text[text[:1] in ("+", "-") :]
    if digits.isascii() and digits.isdecimal() and len(digits) < 19:
        return int(text)
    if text == "context" or text.lower() in {name.lower() for name in names}:
        return None
    raise UsageError(
        f"invalid {EPOCH}: {text[:80]!r} is no number of seconds",
        hint="give the seconds since 1970, for example $(git log -1 --pretty=%ct)",
    )


def unused_arguments(
    build_args: Mapping[str, str], predefined: Mapping[str, str], instructions: Iterable[Instruction]
) -> tuple[str, ...]:
    """The names that the caller gave and that no ARG line takes."""
    declared = {*predefined, *_PREDEFINED, *_declared(instructions)}
    return tuple(
        sorted(name for name in build_args if name not in declared and name.lower() not in PROXY_NAMES)
    )


def unused_text(unused: Iterable[str], instructions: Iterable[Instruction]) -> str:
    """The warning about arguments that nothing takes, with the ARG that each may have meant."""
    from builder.graph.places import nearest  # late: only a mistake needs it

    declared = sorted(_declared(instructions))
    guesses = ((name, nearest(name, declared)) for name in unused)
    listed = ", ".join(f"{name} (did you mean {near}?)" if near else name for name, near in guesses)
    return f"one or more build arguments were not consumed: {listed}"


def _declared(instructions: Iterable[Instruction]) -> Iterator[str]:
    """The names that ARG lines take, those of triggers among them."""
    for instruction in instructions:
        inner = instruction.instruction if isinstance(instruction, Onbuild) else instruction
        if isinstance(inner, Arg):
            yield from (item.name for item in inner.items)
