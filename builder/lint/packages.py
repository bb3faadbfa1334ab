"""Habits with package managers: versions that are said, answers that are not asked for, caches that do not stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from builder.lint.finding import Check, Hit
from builder.lint.scripts import Script, scripts_of
from builder.lint.shell import ShellCommand
from builder.lint.walk import Facts
from builder.value import dataclass

_Test = Callable[[ShellCommand], bool]


def calls(command: ShellCommand, names: Iterable[str], *words: str) -> bool:
    """Whether a command is a program, called with one of the words."""
    return command.name.rpartition("/")[2] in names and (not words or command.has(*words))


@dataclass(frozen=True, slots=True)
class _Pin:
    """How a package manager is asked for packages, which of its flags take a value, and what a version looks like."""

    names: tuple[str, ...]
    words: tuple[str, ...]
    valued: tuple[str, ...]
    is_pinned: Callable[[str], bool]
    example: str

    def packages(self, command: ShellCommand) -> tuple[str, ...]:
        """The packages that a command installs."""
        if not calls(command, self.names, *self.words):
            return ()
        plain = command.plain(*self.valued)
        at = next((index for index, word in enumerate(plain) if word in self.words), len(plain))
        return plain[at + 1 :]


def _with(*marks: str) -> Callable[[str], bool]:
    return lambda package: any(mark in package for mark in marks)


def _apt(package: str) -> bool:
    return "=" in package or "/" in package or package.endswith(".deb")


def _rpm(package: str) -> bool:
    """`name-1.2`, `name-1.2-3.el9` and files."""
    if package.endswith(".rpm") or "$" in package:
        return True
    parts = package.split("-")[1:]
    return any(part[:1].isdigit() for part in parts)


def _npm(package: str) -> bool:
    if package.startswith(("git://", "git+ssh://", "git+http://", "git+https://")):
        return "#" in package
    if package.endswith((".tar", ".tar.gz", ".tgz")) or package.startswith(("/", "./", "../", "~/", ".")):
        return True
    return "@" in package[1:]


def _go(package: str) -> bool:
    if package.startswith(("/", ".")):
        return True
    return "@" in package and not package.endswith(("@latest", "@none"))


_APT = _Pin(("apt-get",), ("install",), ("t", "target-release", "o", "option", "c"), _apt, "curl=<version>")
_APK = _Pin(
    ("apk",),
    ("add",),
    ("t", "virtual", "repository", "X"),
    lambda package: _with("=", "~", ">", "<")(package) or package.endswith(".apk"),
    "curl=<version>",
)
_NPM = _Pin(("npm",), ("install",), ("loglevel", "registry", "prefix", "C"), _npm, "name@<version>")
_GEM = _Pin(("gem",), ("install", "i"), (), _with(":"), "name:<version>")
_YUM = _Pin(("yum",), ("install",), (), _rpm, "name-<version>")
_DNF = _Pin(("dnf", "microdnf"), ("install",), (), _rpm, "name-<version>")
_ZYPPER = _Pin(
    ("zypper",),
    ("install", "in"),
    (),
    lambda package: _with("=", "<", ">")(package) or package.endswith(".rpm"),
    "name=<version>",
)
_GO = _Pin(("go",), ("install", "get"), (), _go, "module@<version>")


def _unpinned(pin: _Pin, unless: _Test | None = None) -> Check:
    def check(facts: Facts) -> Iterator[Hit]:
        for script, command in commands(facts):
            loose = [package for package in pin.packages(command) if not pin.is_pinned(package)]
            if loose and not (unless and unless(command)):
                yield script.hit(command, f"No version for {_listed(loose)}: write {pin.example}")

    return check


def _listed(names: list[str]) -> str:
    shown = names[:5] + ([f"{len(names) - 5} more"] if len(names) > 5 else [])
    return ", ".join(shown)


def commands(facts: Facts) -> Iterator[tuple[Script, ShellCommand]]:
    """Every command of every RUN."""
    for script in scripts_of(facts):
        for command in script.commands:
            yield script, command


def _lacks(is_meant: _Test, is_well: _Test | None, message: str) -> Check:
    def check(facts: Facts) -> Iterator[Hit]:
        for script, command in commands(facts):
            if is_meant(command) and not (is_well and is_well(command)):
                yield script.hit(command, message)

    return check


def _gem_version(command: ShellCommand) -> bool:
    return command.has("-v", "--version") or any(arg.startswith("--version=") for arg in command.args)


dl3008 = _unpinned(_APT)
dl3016 = _unpinned(_NPM)
dl3018 = _unpinned(_APK)
dl3028 = _unpinned(_GEM, _gem_version)
dl3033 = _unpinned(_YUM, lambda command: command.has("module"))
dl3037 = _unpinned(_ZYPPER)
dl3041 = _unpinned(_DNF, lambda command: command.has("module", "group"))
dl3062 = _unpinned(_GO)

dl3014 = _lacks(
    lambda command: calls(command, ("apt-get",), "install"),
    lambda command: (
        command.has_flag("y", "yes", "qq", "assume-yes")
        or command.flags().count("q") + command.flags().count("quiet") >= 2
        or command.has("-q=2")
    ),
    "apt-get install asks for consent: add -y",
)
dl3015 = _lacks(
    lambda command: calls(command, ("apt-get",), "install"),
    lambda command: (
        command.has_flag("no-install-recommends")
        or any(
            "APT::Install-Recommends=false" in arg or "APT::Install-Recommends=0" in arg
            for arg in command.args
        )
    ),
    "apt-get install brings recommended packages along: add --no-install-recommends",
)
dl3027 = _lacks(
    lambda command: calls(command, ("apt",)),
    None,
    "apt is made for people at a terminal: use apt-get or apt-cache",
)
dl3030 = _lacks(
    lambda command: calls(command, ("yum",), "install", "groupinstall", "localinstall"),
    lambda command: command.has_flag("y", "assumeyes"),
    "yum install asks for consent: add -y",
)
dl3034 = _lacks(
    lambda command: calls(
        command, ("zypper",), "install", "in", "remove", "rm", "source-install", "si", "patch"
    ),
    lambda command: command.has_flag("non-interactive", "n", "no-confirm", "y"),
    "zypper asks for consent: add -y",
)
dl3035 = _lacks(
    lambda command: calls(command, ("zypper",), "dist-upgrade", "dup"),
    None,
    "zypper dist-upgrade changes the whole base: take a newer base image",
)
dl3038 = _lacks(
    lambda command: calls(command, ("dnf", "microdnf"), "install", "groupinstall", "localinstall"),
    lambda command: command.has_flag("y", "assumeyes"),
    "dnf install asks for consent: add -y",
)


# --- caches ---


def _cleaned(is_meant: _Test, is_clean: _Test, folders: tuple[str, ...], message: str) -> Check:
    """After the last command that is meant, the same RUN has to clean up, or to mount something over the cache."""

    def check(facts: Facts) -> Iterator[Hit]:
        for script in scripts_of(facts):
            used = [index for index, command in enumerate(script.commands) if is_meant(command)]
            if not used or script.mounts_over(*folders):
                continue
            if not any(is_clean(command) for command in script.commands[used[0] + 1 :]):
                yield script.hit(script.commands[used[0]], message)

    return check


def _removes(*paths: str) -> _Test:
    def test(command: ShellCommand) -> bool:
        return calls(command, ("rm",)) and any(
            arg.strip("'\"").startswith(paths) for arg in command.args if not arg.startswith("-")
        )

    return test


def _either(*tests: _Test) -> _Test:
    return lambda command: any(test(command) for test in tests)


dl3032 = _cleaned(
    lambda command: calls(command, ("yum",), "install"),
    _either(
        lambda command: calls(command, ("yum",), "clean") and command.has("all"), _removes("/var/cache/yum")
    ),
    ("/var/cache/yum",),
    "yum's cache stays in the layer: end with yum clean all",
)
dl3036 = _cleaned(
    lambda command: calls(command, ("zypper",), "install", "in"),
    _either(lambda command: calls(command, ("zypper",), "clean", "cc"), _removes("/var/cache/zypp")),
    ("/var/cache/zypp",),
    "zypper's cache stays in the layer: end with zypper clean",
)
dl3040 = _cleaned(
    lambda command: calls(
        command, ("dnf", "microdnf"), "install", "in", "upgrade", "up", "upgrade-minimal", "reinstall"
    ),
    _either(
        lambda command: calls(command, ("dnf", "microdnf"), "clean") and command.has("all"),
        _removes("/var/cache/dnf", "/var/cache/libdnf5"),
    ),
    ("/var/cache/dnf", "cache/libdnf5"),
    "dnf's cache stays in the layer: end with dnf clean all",
)
dl3060 = _cleaned(
    lambda command: calls(command, ("yarn",), "install"),
    lambda command: calls(command, ("yarn",), "cache") and command.has("clean"),
    (".cache/yarn", "/usr/local/share/.cache"),
    "yarn's cache stays in the layer: end with yarn cache clean",
)


def dl3009(facts: Facts) -> Iterator[Hit]:
    """Package lists stay in the layer of the RUN that fetched them; in a stage that nothing stands on they reach no image."""
    standing = {stage.base.index for stage in facts.stages if stage.base is not None} | {
        len(facts.stages) - 1
    }
    for script in scripts_of(facts):
        if script.visit.stage.index not in standing:
            continue
        fetched = [
            command for command in script.commands if calls(command, ("apt", "apt-get", "aptitude"), "update")
        ]
        if not fetched or script.mounts_over("/var/lib/apt"):
            continue
        if not any(_removes("/var/lib/apt/lists", "/var/lib/apt")(command) for command in script.commands):
            yield script.hit(
                fetched[0], "The package lists stay in the layer: end with rm -rf /var/lib/apt/lists/*"
            )


def dl3019(facts: Facts) -> Iterator[Hit]:
    """`apk add` without --no-cache."""
    for script, command in commands(facts):
        if script.mounts_over("/var/cache/apk", "/etc/apk/cache"):
            continue
        if calls(command, ("apk",), "add") and not command.has_flag("no-cache"):
            yield script.hit(command, "apk keeps its index in the layer: add --no-cache")


# --- pip ---

_PIP_VALUES = (
    *(
        "abi",
        "b",
        "build",
        "e",
        "editable",
        "extra-index-url",
        "f",
        "find-links",
        "i",
        "index-url",
        "platform",
    ),
    *(
        "implementation",
        "no-binary",
        "only-binary",
        "prefix",
        "progress-bar",
        "proxy",
        "python",
        "python-version",
    ),
    *(
        "root",
        "root-user-action",
        "src",
        "t",
        "target",
        "trusted-host",
        "upgrade-strategy",
        "cache-dir",
        "timeout",
    ),
)
_VCS = ("git+", "hg+", "svn+", "bzr+", "git:", "svn:")
_TRUE = frozenset(("1", "true", "True", "TRUE", "on", "On", "ON", "yes", "Yes", "YES"))


def _pip_words(command: ShellCommand) -> tuple[str, ...] | None:
    """The words behind `pip install`, None for any other command."""
    name = command.name.rpartition("/")[2]
    plain = command.plain(*_PIP_VALUES)
    if name.startswith("python") and command.args[:2] == ("-m", "pip"):
        plain = ShellCommand("pip", command.args[2:], 0, 0).plain(*_PIP_VALUES)
    elif not (name.startswith("pip") and name not in ("pipx", "pipenv")):
        return None
    return plain[1:] if plain[:1] == ("install",) else None


def _is_pinned_by_pip(package: str) -> bool:
    if package.startswith(_VCS):
        return "@" in package
    return any(mark in package for mark in ("==", ">=", "<=", ">", "<", "!=", "~=", "/")) or package.endswith(
        (".whl", ".tar.gz")
    )


def dl3013(facts: Facts) -> Iterator[Hit]:
    """`pip install` of packages without a version."""
    for script, command in commands(facts):
        words = _pip_words(command)
        if words is None or command.has("-r", "--requirement", ".") or command.has_flag("c", "constraint"):
            continue
        if any(arg.startswith(("--requirement=", "-r")) for arg in command.args):
            continue
        loose = [package for package in words if not _is_pinned_by_pip(package)]
        if loose:
            yield script.hit(
                command, f"No version for {_listed(loose)}: write name==<version>, or use -r FILE"
            )


def dl3042(facts: Facts) -> Iterator[Hit]:
    """`pip install` that keeps its cache."""
    for script, command in commands(facts):
        if _pip_words(command) is None or command.has_flag("no-cache-dir"):
            continue
        if script.visit.stage.scope.lookup("PIP_NO_CACHE_DIR") in _TRUE or script.mounts_over(".cache/pip"):
            continue
        names = [*command.assigned, *(word for other in script.commands for word in other.args)]
        if any(word.startswith("PIP_NO_CACHE_DIR=") and word.partition("=")[2] in _TRUE for word in names):
            continue
        yield script.hit(
            command,
            "pip's cache stays in the layer: add --no-cache-dir, or mount a cache at /root/.cache/pip",
        )
