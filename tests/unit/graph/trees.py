"""Syntax trees by hand, so that tests of the graph say what they feed it and need no parser."""

from __future__ import annotations

import re

from builder.buildfile.syntax import (
    Arg,
    ArgItem,
    BuildFile,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    From,
    Heredoc,
    Instruction,
    Label,
    Literal,
    Mount,
    Onbuild,
    Pair,
    Run,
    Shell,
    ShellForm,
    Span,
    StopSignal,
    User,
    Variable,
    Volume,
    Word,
    Workdir,
)
from builder.graph.plan import plan_stage
from builder.graph.resolve import resolve_stages
from builder.graph.stages import Graph
from builder.graph.steps import StagePlan
from builder.image.config import ImageConfig, empty_config
from builder.image.platform import Platform

AMD64 = Platform("linux", "amd64")
SPAN = Span(1, 1, 1, 2)
BASE = ImageConfig(env=(("PATH", "/bin"),), cmd=("sh",))


def word(text: str) -> Word:
    """A word in which `$name` is a variable and all else stands for itself."""
    parts = [
        Variable(part[1:]) if part.startswith("$") else Literal(part)
        for part in re.split(r"(\$\w+)", text)
        if part
    ]
    return Word(tuple(parts), text, SPAN)


def line(keyword: str, *words: str) -> Instruction:
    """One instruction with plain words; `key=value` words for ARG, ENV and LABEL."""
    text = " ".join(words)
    source = f"{keyword} {text}"
    match keyword:
        case "ARG":
            items = [item.partition("=") for item in words]
            return Arg(
                tuple(ArgItem(name, word(value) if mark else None, SPAN) for name, mark, value in items),
                source,
                SPAN,
            )
        case "ENV" | "LABEL":
            pairs = [item.partition("=") for item in words]
            kind = Env if keyword == "ENV" else Label
            return kind(tuple(Pair(word(name), word(value)) for name, _, value in pairs), False, source, SPAN)
        case "WORKDIR":
            return Workdir(word(text), source, SPAN)
        case "USER":
            return User(word(text), source, SPAN)
        case "EXPOSE":
            return Expose(tuple(map(word, words)), source, SPAN)
        case "VOLUME":
            return Volume(tuple(map(word, words)), source, SPAN)
        case "STOPSIGNAL":
            return StopSignal(word(text), source, SPAN)
        case "CMD":
            return Cmd(ShellForm(text), source, SPAN)
        case "ENTRYPOINT":
            return Entrypoint(ExecForm(words), source, SPAN)
        case "SHELL":
            return Shell(words, source, SPAN)
        case _:
            raise AssertionError(keyword)


def from_(image: str, name: str | None = None, platform: str | None = None, number: int = 1) -> From:
    """A FROM line."""
    span = Span(number, 1, number, 5)
    return From(word(image), name, word(platform) if platform else None, f"FROM {image}", span)


def mount(**fields: str) -> Mount:
    """A `--mount` flag; a trailing underscore keeps `from_` from being a keyword."""
    return Mount(tuple((name.rstrip("_"), word(value)) for name, value in fields.items()), SPAN)


def run(text: str, *mounts: Mount, heredocs: tuple[Heredoc, ...] = (), network: str | None = None) -> Run:
    """A RUN line in shell form."""
    return Run(ShellForm(text, heredocs), mounts, network, None, (), f"RUN {text}", SPAN)


def heredoc(name: str, body: str) -> Heredoc:
    """A heredoc of a RUN line."""
    return Heredoc(name, body, True, False, None, SPAN)


def copy(*words: str, keyword: str = "COPY", from_: str | None = None, **flags: object) -> Copy:
    """A COPY or ADD line."""
    sources = tuple(map(word, words[:-1]))
    rest: dict[str, object] = {
        "heredocs": (),
        "chown": None,
        "chmod": None,
        "link": False,
        "parents": False,
        "exclude": (),
        "checksum": None,
        "keep_git_dir": None,
        "unpack": None,
    }
    rest.update({name: word(value) if isinstance(value, str) else value for name, value in flags.items()})
    source = f"{keyword} {' '.join(words)}"
    return Copy(
        keyword=keyword,
        sources=sources,
        destination=word(words[-1]),
        from_=from_,
        source=source,
        span=SPAN,
        **rest,
    )


def onbuild(instruction: Instruction) -> Onbuild:
    """A trigger."""
    return Onbuild(instruction.source, instruction, f"ONBUILD {instruction.source}", SPAN)


def file(*lines: Instruction) -> BuildFile:
    """A build file of some lines."""
    return BuildFile("Buildfile", (), lines, (), tuple(item.source for item in lines))


def graph(*lines: Instruction, **options: object) -> Graph:
    """The graph of some lines, on amd64 unless told otherwise."""
    return resolve_stages(file(*lines), **{"platform": AMD64, "build_platform": AMD64, **options})


def plan(*lines: Instruction, base: ImageConfig = BASE, **options: object) -> StagePlan:
    """The plan of the target, its base stages planned first."""
    return plan_graph(graph(*lines, **options), base=base)


def plan_graph(
    found: Graph, *, base: ImageConfig = BASE, triggers: dict[str, Instruction] | None = None
) -> StagePlan:
    """The plan of a graph's target."""
    plans: dict[int, StagePlan] = {}
    for index in found.needed:
        stage = found.stages[index]
        parent = plans.get(getattr(stage.base, "index", -1))
        config = empty_config(stage.platform) if stage.base_text == "scratch" else base
        plans[index] = plan_stage(
            found,
            stage,
            base=parent.config if parent else config,
            base_args=parent.args if parent else (),
            parse_trigger=(triggers or {}).__getitem__,
        )
    return plans[found.target]
