"""Platforms: `os/architecture/variant`, normalised as containerd/platforms does it."""

from __future__ import annotations

import os
import re

from builder.errors import UsageError
from builder.value import dataclass

_PART = r"[A-Za-z0-9_.-]+"
_OS_PART = r"(?P<os>[A-Za-z0-9_-]+)(?:\((?P<version>[A-Za-z0-9_.-]*)\))?"

_SYSTEMS = frozenset(
    {"linux", "windows", "darwin", "macos", "freebsd", "netbsd", "openbsd", "solaris", "wasi"}
)
_ARCHITECTURES = frozenset(
    {"amd64", "386", "arm", "arm64", "loong64", "ppc64", "ppc64le", "riscv64", "s390x", "wasm"}
    | {"mips", "mipsle", "mips64", "mips64le"}
)
_SAME_ARCHITECTURE = {
    **dict.fromkeys(("x86_64", "x86-64"), "amd64"),
    **dict.fromkeys(("i386", "i686", "i586", "x86"), "386"),
    **dict.fromkeys(("aarch64", "arm64"), "arm64"),
    **dict.fromkeys(("armhf", "armel", "armv7l", "armv6l", "arm"), "arm"),
    **dict.fromkeys(("ppc64el",), "ppc64le"),
    **dict.fromkeys(("loongarch64",), "loong64"),
}
_DEFAULT_VARIANTS = {("amd64", "v1"), ("arm64", "8"), ("arm64", "v8"), ("arm64", "v8.0")}
_IMPLIED_VARIANT = {"armel": "v6", "armv6l": "v6", "armhf": "v7", "armv7l": "v7"}


@dataclass(frozen=True, slots=True)
class Platform:
    """What a binary runs on. Made by `parse_platform` it is normalised, so that equal platforms are equal."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        system = f"{self.os}({self.os_version})" if self.os_version else self.os
        return "/".join(part for part in (system, self.architecture, self.variant) if part)

    @property
    def plain(self) -> str:
        """The name without the version of the operating system."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def normalised(self) -> Platform:
        """The same platform in its usual spelling: `aarch64/v8` is `arm64`, `arm` is `arm/v7`."""
        system, machine, variant = self.os.lower(), self.architecture.lower(), self.variant.lower()
        if system == "macos":
            system = "darwin"
        variant = variant or _IMPLIED_VARIANT.get(machine, "")
        machine = _SAME_ARCHITECTURE.get(machine, machine)
        if machine == "386" or (machine, variant) in _DEFAULT_VARIANTS:
            variant = ""
        elif machine == "arm":
            variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
        return Platform(system, machine, variant, self.os_version)


def parse_platform(text: str, *, host: Platform | None = None) -> Platform:
    """Read `os[(version)][/architecture[/variant]]`, or a lone architecture; else a `UsageError`.

    What is not said comes from `host` (default: this machine).
    """
    parts = text.split("/")
    found = re.fullmatch(_OS_PART, parts[0])
    if len(parts) > 3 or found is None or not all(re.fullmatch(_PART, part) for part in parts[1:]):
        raise _not_a_platform(text)
    system, version = found["os"].lower(), found["version"] or ""
    if len(parts) == 1:
        here = host or host_platform()
        if system in _SYSTEMS:
            variant = here.variant if here.architecture == "arm" else ""
            return Platform(system, here.architecture, variant, version).normalised()
        lone = Platform(here.os, system).normalised()
        if lone.architecture in _ARCHITECTURES:
            return lone
        raise _not_a_platform(text)
    return Platform(system, parts[1], parts[2] if len(parts) == 3 else "", version).normalised()


def host_platform(machine: str | None = None) -> Platform:
    """The platform of a machine that `uname -m` calls `machine` (default: this one), with Linux on it."""
    return Platform("linux", machine or os.uname().machine).normalised()


def compatible(wanted: Platform) -> tuple[Platform, ...]:
    """The platforms whose programs run on `wanted`, the best first: `arm/v7` also runs v6 and v5."""
    wanted = wanted.normalised()
    system, machine, variant, version = wanted.os, wanted.architecture, wanted.variant, wanted.os_version
    names = [(machine, variant)]
    if machine == "amd64":
        names += [("amd64", f"v{number}" if number > 1 else "") for number in _below(variant)]
        names.append(("386", ""))
    elif machine == "arm64":
        names += [("arm64", "")] if variant else []
        names += [("arm", f"v{number}") for number in (8, 7, 6, 5)]
    elif machine == "arm":
        names += [("arm", f"v{number}") for number in _below(variant) if number >= 5]
    return tuple(Platform(system, name, kind, version) for name, kind in names)


def _below(variant: str) -> range:
    """The numbers of the variants before `v3`, in falling order."""
    number = variant[1:]
    return range(int(number) - 1, 0, -1) if number.isdecimal() and len(number) < 3 else range(0)


def _not_a_platform(text: str) -> UsageError:
    return UsageError(f"not a platform: {text[:80]!r}", hint="write it as linux/amd64 or linux/arm/v7")
