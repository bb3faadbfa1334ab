"""BuildKit's rules on what words come to: variables, bases, platforms, paths, ports, secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from builder.buildfile import syntax
from builder.buildfile.syntax import Arg, From, Instruction, Literal, Word
from builder.errors import CoreError, UsageError
from builder.lint.finding import Hit
from builder.lint.places import variable_span
from builder.lint.structure import quoted
from builder.lint.walk import Facts, value_of, variables

_SECRET = frozenset(
    ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token")
)
_NO_SECRET = frozenset(("public", "file", "version"))
_NOT_IN_ENVIRONMENT = frozenset(("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"))
# Looking for what a name may be meant to be takes time; a file with more such names has another trouble.
_SUGGESTIONS = 100
_WHOLE_CONTEXT = frozenset(("*", "**", "**/*"))


def undefined_arg_in_from(facts: Facts) -> Iterator[Hit]:
    """UndefinedArgInFrom."""
    declared = {item.name: None for line in facts.global_lines for item in line.items}
    declared.update(dict.fromkeys(facts.global_args.values))
    for stage in facts.stages:
        for word in (stage.line.image, stage.line.platform):
            for name in dict.fromkeys(variables(word) if word else ()):
                if name not in declared:
                    message = f"FROM argument '{name}' is not declared{suggestion(name, declared)}"
                    yield Hit(
                        stage.line,
                        variable_span(facts.file, stage.line, word or stage.line.image, name),
                        message,
                    )


def suggestion(name: str, known: Iterable[str], mark: str = "") -> str:
    """` (did you mean …?)` for the first of the known names that fewer than three edits make of a name."""
    best, found = 3, ""
    for other in known:
        if abs(len(other) - len(name)) < best:
            distance = _edits(name, other)
            if 0 < distance < best:
                best, found = distance, other
    return f" (did you mean {mark}{found}?)" if found else ""


def _edits(one: str, other: str) -> int:
    """How many letters must be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for index, sign in enumerate(other, 1):
            before, row[index] = (
                row[index],
                min(row[index] + 1, row[index - 1] + 1, before + (letter != sign)),
            )
    return row[-1]


def workdir_relative_path(facts: Facts) -> Iterator[Hit]:
    """WorkdirRelativePath: the first WORKDIR of a stage and those that it is based on."""
    for visit in facts.carried_out:
        line = visit.line
        if isinstance(line, syntax.Workdir) and not visit.workdir_set:
            path = visit.values[0]
            if path is None or _unknown(visit.stage.known, visit.unset):
                continue
            system = visit.stage.platform.os if visit.stage.platform else ""
            if not _is_absolute(path, system):
                message = (
                    f"Relative workdir {quoted(path)} can have unexpected results if the base image changes"
                )
                yield Hit(line, line.path.span, message)


def _unknown(known: bool, unset: tuple[tuple[str, Word], ...]) -> bool:
    """Whether a value depends on variables that the base image may set."""
    return bool(unset) and not known


def _is_absolute(path: str, system: str) -> bool:
    if system == "windows":
        rest = path[2:] if path[1:2] == ":" else path
        return rest.startswith(("/", "\\"))
    return path.startswith("/")


def undefined_var(facts: Facts) -> Iterator[Hit]:
    """UndefinedVar: once for each word that uses a variable, as BuildKit tells it.

    Where the base's own variables are not known, names that an image may well set (capitals) are reported only if they
    look like a slip: another line of the file sets them, or they are spelled nearly like one that is set.
    """
    declared = None
    suggested = 0
    for visit in facts.carried_out:
        if isinstance(visit.line, syntax.Expose):
            continue  # BuildKit does not look at its words
        seen: set[tuple[str, int]] = set()
        for name, word in visit.unset:
            if (name, id(word)) in seen or name in _NOT_IN_ENVIRONMENT:
                continue
            seen.add((name, id(word)))
            suggested += 1
            near = suggestion(name, visit.names, "$") if suggested <= _SUGGESTIONS else ""
            if not visit.stage.known and not near and re.fullmatch("[A-Z_][A-Z0-9_]*", name):
                declared = facts.declared() if declared is None else declared
                if name not in declared:
                    continue
            span = variable_span(facts.file, visit.line, word, name)
            yield Hit(visit.line, span, f"Usage of undefined variable '${name}'{near}")


def invalid_base_image_platform(facts: Facts) -> Iterator[Hit]:
    """InvalidBaseImagePlatform, of the bases whose configs the caller has."""
    for stage in facts.stages:
        image, wanted = stage.image, stage.platform
        if image is None or wanted is None or stage.base is not None or not stage.needed:
            continue
        if (image.os, image.architecture) != (wanted.os, wanted.architecture):
            actual = image.platform.normalised()
            message = (
                f"Base image {stage.base_text} was pulled with platform {quoted(str(actual))},"
                f" expected {quoted(str(wanted.normalised()))} for current build"
            )
            yield Hit(stage.line, stage.line.image.span, message)


def redundant_target_platform(facts: Facts) -> Iterator[Hit]:
    """RedundantTargetPlatform."""
    for line in _with_platform(facts):
        word = line.platform
        if word and set(variables(word)) == {"TARGETPLATFORM"}:
            value = value_of(word, facts.global_args)
            if value is not None and value == facts.global_args.lookup("TARGETPLATFORM"):
                message = f"Setting platform to predefined {word.text} in FROM is redundant as this is the default behavior"
                yield Hit(line, word.span, message)


def _with_platform(facts: Facts) -> Iterator[From]:
    for stage in facts.stages:
        if stage.line.platform is not None:
            yield stage.line


def from_platform_flag_const_disallowed(facts: Facts) -> Iterator[Hit]:
    """FromPlatformFlagConstDisallowed: not where the stage's name has the system or architecture in it."""
    from builder.image.platform import parse_platform

    for line in _with_platform(facts):
        word = line.platform
        if word is None or any(not isinstance(part, Literal) for part in word.parts):
            continue
        text = value_of(word, facts.global_args) or ""
        try:
            platform = parse_platform(text)
        except UsageError:
            continue
        name = line.name or ""
        if platform.os not in name and platform.architecture not in name:
            message = f"FROM --platform flag should not use constant value {quoted(text)}"
            yield Hit(line, word.span, message)


def secrets_used_in_arg_or_env(facts: Facts) -> Iterator[Hit]:
    """SecretsUsedInArgOrEnv: words of the name, between underscores, say what it holds."""
    for visit in facts.carried_out:
        line = visit.line
        keys: list[tuple[str, syntax.Span]] = []
        if isinstance(line, Arg):
            keys = [(item.name, item.span) for item in line.items]
        elif isinstance(line, syntax.Env):
            texts = visit.values[::2]
            keys = [(text or "", pair.key.span) for text, pair in zip(texts, line.pairs, strict=True)]
        for key, span in keys:
            words = set(key.lower().split("_"))
            if words & _SECRET and not words & _NO_SECRET:
                kind = "ARG" if isinstance(line, Arg) else "ENV"
                message = f"Do not use ARG or ENV instructions for sensitive data ({kind} {quoted(key)})"
                yield Hit(line, span, message)


def invalid_default_arg_in_from(facts: Facts) -> Iterator[Hit]:
    """InvalidDefaultArgInFrom: the name after FROM, with nothing given by the caller, is the name of an image."""
    scope = facts.default_args()
    if scope is None:
        return
    from builder.image.reference import parse_reference

    for stage in facts.stages:
        word = stage.line.image
        value = value_of(word, scope)
        if value is None:
            return
        if value.isalpha() and value.islower():  # by far the most are
            continue
        try:
            parse_reference(value)
        except UsageError:
            message = f"Default value for ARG {word.text} results in empty or invalid base image name"
            yield Hit(stage.line, word.span, message)


def copy_ignored_file(facts: Facts) -> Iterator[Hit]:
    """CopyIgnoredFile: with exceptions among the rules nobody can tell without looking at the files."""
    rules = facts.options.ignore
    if not rules or any(rule.pattern.startswith("!") for rule in rules):
        return
    from posixpath import normpath

    from builder.core.tree import Ignore

    whole = any(rule.pattern in _WHOLE_CONTEXT for rule in rules)
    try:
        compiled = Ignore([rule.pattern for rule in rules])
    except CoreError:  # building says what is wrong with the pattern
        return
    with compiled as ignore:
        for visit in facts.carried_out:
            line = visit.line
            if not isinstance(line, syntax.Copy) or line.from_:
                continue
            verb = "Add" if line.keyword == "ADD" else "Copy"
            for word, text in zip(line.sources, visit.values, strict=False):
                if text is None or _is_remote(text, verb) or _unknown(visit.stage.known, visit.unset):
                    continue
                path = normpath(text)
                is_root = path in (".", "/", "//")
                if whole if is_root else ignore.match(path.lstrip("/"))[0]:
                    message = f"Attempting to {verb} file {quoted(path)} that is excluded by .dockerignore"
                    yield Hit(line, word.span, message)


def _is_remote(text: str, verb: str) -> bool:
    return verb == "Add" and ("://" in text or text.startswith("git@"))


def _ports(facts: Facts) -> Iterator[tuple[Instruction, Word, str]]:
    """Every port of EXPOSE, after expansion split at blanks."""
    for visit in facts.carried_out:
        line = visit.line
        if isinstance(line, syntax.Expose):
            for word, text in zip(line.ports, visit.values, strict=True):
                for port in (text or "").split():
                    yield line, word, port


def expose_proto_casing(facts: Facts) -> Iterator[Hit]:
    """ExposeProtoCasing."""
    for line, word, port in _ports(facts):
        protocol = port.rpartition(":")[2].partition("/")[2]
        if protocol != protocol.lower():
            message = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
            yield Hit(line, word.span, message)


def expose_invalid_format(facts: Facts) -> Iterator[Hit]:
    """ExposeInvalidFormat."""
    for line, word, port in _ports(facts):
        front = port.rpartition(":")[0]
        if front.strip(":"):
            message = (
                f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
            )
            yield Hit(line, word.span, message)
