"""Habits that make images large, builds hard to repeat, or containers less safe; hadolint's codes name them."""

from __future__ import annotations

from collections.abc import Iterator

from builder.buildfile import syntax
from builder.buildfile.syntax import Run, ShellForm
from builder.errors import BuildFileError
from builder.lint.finding import Hit
from builder.lint.packages import calls, commands
from builder.lint.places import keyword_span
from builder.lint.scripts import Script, scripts_of
from builder.lint.walk import Facts

_POINTLESS = ("free", "ifconfig", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim")
_ARCHIVES = (
    *(".tar", ".Z", ".bz2", ".gz", ".lz", ".lzma", ".tZ", ".tb2", ".tbz", ".tbz2", ".tgz", ".tlz", ".tpz"),
    *(".txz", ".xz", ".tzst", ".zst"),
)
_UNPACKERS = ("bunzip2", "gunzip", "gzcat", "uncompress", "unlzma", "unxz", "unzip", "zcat")


def dl3001(facts: Facts) -> Iterator[Hit]:
    """Commands that do nothing useful while an image is built."""
    for script, command in commands(facts):
        if calls(command, _POINTLESS):
            yield script.hit(command, f"{command.name} makes no sense while an image is built")


def dl3002(facts: Facts) -> Iterator[Hit]:
    """The last USER of the stages that nothing is based on."""
    last = {}
    for visit in facts.visits:
        if isinstance(visit.line, syntax.User):
            last[visit.stage.index] = visit
    bases = {stage.base.index for stage in facts.stages if stage.base is not None}
    for index, visit in last.items():
        if index in bases or not isinstance(visit.line, syntax.User):
            continue
        user = (visit.values[0] or "").partition(":")[0]
        if user in ("root", "0"):
            yield Hit(
                visit.line, visit.line.user.span, "The last USER is root: end with a user of fewer rights"
            )


def dl3003(facts: Facts) -> Iterator[Hit]:
    """`cd` in RUN."""
    for script, command in commands(facts):
        if calls(command, ("cd",)):
            yield script.hit(command, "cd holds for this RUN only: WORKDIR says it for all that follows")


def dl3004(facts: Facts) -> Iterator[Hit]:
    """`sudo`."""
    for script, command in commands(facts):
        if calls(command, ("sudo",)):
            yield script.hit(
                command, "sudo is not needed: say USER root above, or use setpriv or gosu at run time"
            )


def _image_stages(facts: Facts) -> Iterator[tuple[syntax.From, str]]:
    """FROM lines that name images of a registry, with the name without its registry and digest."""
    for stage in facts.stages:
        word = stage.line.image
        text = stage.base_text
        tagged = word.text.endswith(":latest")  # whatever the variables before it are
        if stage.base is not None or text in ("", "scratch") or "@" in text:
            continue
        if word.text.startswith("$") and not tagged:
            continue
        if stage.line.name in facts.options.named_contexts or text in facts.options.named_contexts:
            continue
        yield stage.line, text.rpartition("/")[2]


def dl3006(facts: Facts) -> Iterator[Hit]:
    """FROM without a tag."""
    for line, name in _image_stages(facts):
        if ":" not in name:
            yield Hit(line, line.image.span, f"{line.image.text} has no tag: say which version is meant")


def dl3007(facts: Facts) -> Iterator[Hit]:
    """FROM with the tag latest."""
    for line, name in _image_stages(facts):
        if name.endswith(":latest"):
            yield Hit(
                line,
                line.image.span,
                "latest means another image from time to time: say which version is meant",
            )


def dl3010(facts: Facts) -> Iterator[Hit]:
    """An archive that COPY brings and a later RUN unpacks."""
    archives: dict[str, tuple[syntax.Copy, syntax.Word]] = {}
    by_line = {id(script.visit): script for script in scripts_of(facts)}
    stage = None
    for visit in facts.visits:
        if visit.stage is not stage:
            stage, archives = visit.stage, {}
        line = visit.line
        if isinstance(line, syntax.Copy) and line.keyword == "COPY" and not line.from_:
            for word, text in zip(line.sources, visit.values, strict=False):
                name = (text or "").rpartition("/")[2]
                if name.endswith(_ARCHIVES):
                    archives[name] = (line, word)
        script = by_line.get(id(visit))
        for command in script.commands if script else ():
            letters = command.args[0] if command.args else ""  # `tar xzf` needs no dash
            is_tar = calls(command, ("tar",)) and (
                command.has_flag("x", "extract", "get") or (letters.isalpha() and "x" in letters)
            )
            if is_tar or calls(command, _UNPACKERS):
                for arg in command.args:
                    found = archives.pop(arg.rpartition("/")[2], None)
                    if found:
                        yield Hit(
                            found[0],
                            found[1].span,
                            "ADD unpacks an archive by itself, and the archive takes no room in a layer",
                        )


def dl3011(facts: Facts) -> Iterator[Hit]:
    """Ports that do not exist."""
    from builder.graph.ports import exposed_ports

    for visit in facts.visits:
        if isinstance(visit.line, syntax.Expose):
            for word, text in zip(visit.line.ports, visit.values, strict=True):
                for port in (text or "").split():
                    try:
                        exposed_ports(port)
                    except BuildFileError as error:
                        yield Hit(visit.line, word.span, f"{error.message}: {error.hint}")


def dl3020(facts: Facts) -> Iterator[Hit]:
    """ADD of what is neither an archive nor remote."""
    for visit in facts.visits:
        line = visit.line
        if isinstance(line, syntax.Copy) and line.keyword == "ADD" and line.unpack is None:
            for word, text in zip(line.sources, visit.values, strict=False):
                name = text or ""
                if (
                    not name.endswith(_ARCHIVES)
                    and "://" not in name
                    and not name.startswith("git@")
                    and "*" not in name
                ):
                    yield Hit(
                        line, keyword_span(line), f"COPY does for {word.text} what ADD does, and nothing else"
                    )
                    break


def dl3022(facts: Facts) -> Iterator[Hit]:
    """`COPY --from` that is no stage above."""
    first = {stage.line.name: stage.index for stage in reversed(facts.stages) if stage.line.name}
    for visit in facts.visits:
        line = visit.line
        if isinstance(line, syntax.Copy) and line.from_:
            name = line.from_
            is_above = first.get(name.lower(), visit.stage.index) < visit.stage.index
            numbered = name.isdecimal() and int(name[:9]) < visit.stage.index
            if not is_above and not numbered and ":" not in name and name not in facts.options.named_contexts:
                yield Hit(
                    line,
                    line.span,
                    f"--from={name} is no stage above: name the stage, or an image with its tag",
                )


def dl3045(facts: Facts) -> Iterator[Hit]:
    """COPY to a relative place, when nobody knows what it is relative to."""
    for visit in facts.visits:
        line = visit.line
        if isinstance(line, syntax.Copy) and not visit.workdir_set:
            target = line.destination.text.strip("'\"")
            if (
                not target.startswith(("/", "$"))
                and target[1:2] != ":"
                and not (visit.stage.image and visit.stage.image.working_dir)
            ):
                yield Hit(
                    line, line.destination.span, "The destination is relative, and no WORKDIR says to what"
                )


def dl3046(facts: Facts) -> Iterator[Hit]:
    """`useradd` with a high id and without -l."""
    for script, command in commands(facts):
        if calls(command, ("useradd",)) and not command.has_flag("l", "no-log-init"):
            number = command.value("u", "uid") or ""
            if len(number) > 5 and number.isdecimal():
                yield script.hit(
                    command, "useradd with a high id writes a huge, sparse /var/log/lastlog: add -l"
                )


def dl3047(facts: Facts) -> Iterator[Hit]:
    """`wget` with its progress bar."""
    quiet = ("progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose")
    for script, command in commands(facts):
        if calls(command, ("wget",)) and not command.has_flag(*quiet) and not command.has("-nv"):
            yield script.hit(
                command, "wget's progress bar floods the log: add -q, -nv or --progress=dot:giga"
            )


def dl3057(facts: Facts) -> Iterator[Hit]:
    """No HEALTHCHECK in the last stage or in what it is based on."""
    if facts.stages:
        stage = target = facts.stages[-1]
        chain = [stage]
        while stage.base is not None:
            stage = stage.base
            chain.append(stage)
        if not any(isinstance(line, syntax.Healthcheck) for stage in chain for line in stage.instructions):
            yield Hit(target.line, target.line.span, "The image has no HEALTHCHECK")


def dl3059(facts: Facts) -> Iterator[Hit]:
    """RUN directly after RUN, each with no more than two commands and the same flags."""
    before: Script | None = None
    by_line = {id(script.visit): script for script in scripts_of(facts)}
    for visit in facts.visits:
        script = by_line.get(id(visit)) if isinstance(visit.line, Run) else None
        if script is not None and before is not None and before.visit.stage is visit.stage:
            one, other = before.run, script.run
            same = _flags(one) == _flags(other)
            if same and max(len(before.commands), len(script.commands)) <= 2:
                yield Hit(
                    script.line,
                    keyword_span(script.line),
                    "RUN follows RUN: one RUN with && makes one layer of both",
                )
                continue
        before = script


def _flags(run: Run) -> tuple[object, ...]:
    mounts = [[(key, word.text if word else "") for key, word in mount.fields] for mount in run.mounts]
    return (mounts, run.network, run.security)


def dl3066(facts: Facts) -> Iterator[Hit]:
    """USER by name, which some platforms cannot resolve."""
    for visit in facts.visits:
        if isinstance(visit.line, syntax.User):
            text = visit.line.user.text
            user = (visit.values[0] or "").partition(":")[0]
            if "$" not in text and not user.isdecimal():
                yield Hit(
                    visit.line,
                    visit.line.user.span,
                    f"USER {user} is a name: a number can be checked without the image's files",
                )


def dl3067(facts: Facts) -> Iterator[Hit]:
    """COPY of a whole root file system."""
    for visit in facts.visits:
        line = visit.line
        if not isinstance(line, syntax.Copy) or not line.from_ or visit.stage.base_text == "scratch":
            continue
        count = len(line.sources)
        if visit.values[count] == "/" and "/" in visit.values[:count]:
            yield Hit(line, line.span, "This copies all files of another stage: name what is needed")


def dl4001(facts: Facts) -> Iterator[Hit]:
    """Both wget and curl in one stage."""
    stage = None
    used: set[str] = set()
    for script, command in commands(facts):
        if script.visit.stage is not stage:
            stage, used = script.visit.stage, set()
        name = command.name.rpartition("/")[2]
        if name in ("curl", "wget"):
            if used and name not in used:
                yield script.hit(command, "This stage uses both wget and curl: one of them is enough")
            used.add(name)


def dl4005(facts: Facts) -> Iterator[Hit]:
    """Another shell by replacing /bin/sh."""
    for script, command in commands(facts):
        if calls(command, ("ln",), "/bin/sh"):
            yield script.hit(command, "SHELL says which shell runs commands; /bin/sh can stay as it is")


def dl4006(facts: Facts) -> Iterator[Hit]:
    """A pipe whose first commands may fail unnoticed."""
    for script in scripts_of(facts):
        if script.is_exec or not isinstance(script.run.command, ShellForm) or _pipefail(script):
            continue
        for command in script.commands:
            if command.piped:
                message = 'If this command fails nobody notices: say SHELL ["/bin/bash", "-o", "pipefail", "-c"] above, or set -o pipefail'
                yield script.hit(command, message)
                break


def _pipefail(script: Script) -> bool:
    shell = script.shell
    if any(word in ("pipefail", "-opipefail", "-eopipefail") or word.endswith("pipefail") for word in shell):
        return True
    return any(command.name == "set" and "pipefail" in command.args for command in script.commands)
