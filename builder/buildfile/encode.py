"""Syntax trees as JSON, to keep them in a store: reading one back needs no parser.

What comes back may have been damaged meanwhile: anything that is not a tree is a `ValueError`.
"""

from __future__ import annotations

import json

from builder.buildfile import syntax
from builder.buildfile.syntax import BuildFile
from builder.value import fields, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Raised when trees change their form, so that none of an older form is taken for one.
VERSION = 8

_CLASSES = {
    cls.__name__: (cls, tuple(field.name for field in fields(cls)))
    for cls in (
        *(syntax.Span, syntax.Literal, syntax.Variable, syntax.Mark, syntax.Word),
        *(syntax.Heredoc, syntax.ShellForm, syntax.ExecForm, syntax.Pair, syntax.ArgItem, syntax.Mount),
        *(
            syntax.From,
            syntax.Arg,
            syntax.Env,
            syntax.Label,
            syntax.Run,
            syntax.Copy,
            syntax.Workdir,
            syntax.User,
            syntax.Expose,
            syntax.Volume,
        ),
        *(syntax.Cmd, syntax.Entrypoint, syntax.Shell, syntax.StopSignal, syntax.Healthcheck, syntax.Onbuild),
        *(syntax.Maintainer, syntax.Directive, syntax.StepControl, syntax.Mistake, syntax.BuildFile),
    )
}


def encode(file: BuildFile) -> str:
    """A tree as text."""
    return json.dumps([VERSION, _plain(file)], separators=(",", ":"))


def decode(text: str, name: str) -> BuildFile:
    """The tree that a text says, under the name that messages shall use."""
    try:
        version, plain = json.loads(text)
        if version != VERSION:
            raise ValueError("another version")
        file = _tree(plain)
    except (TypeError, KeyError, RecursionError, AttributeError) as error:
        raise ValueError(f"no syntax tree: {error}") from None
    if not isinstance(file, BuildFile):
        raise ValueError("no syntax tree")
    return replace(file, name=name)


def _plain(value: Any) -> Any:
    kind = type(value).__name__
    if kind in _CLASSES:
        if kind == "Span":
            return ["S", value.line, value.column, value.end_line, value.end_column]
        return [kind, *(_plain(getattr(value, name)) for name in _CLASSES[kind][1])]
    if isinstance(value, tuple):
        return ["", *map(_plain, value)]
    return value


def _tree(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind = value[0]
    if kind == "S":
        return syntax.Span(*value[1:])
    if kind == "":
        return tuple([_tree(item) for item in value[1:]])
    return _CLASSES[kind][0](*[_tree(item) for item in value[1:]])
