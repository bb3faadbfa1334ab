"""COPY and ADD: what brings files into an image."""

from __future__ import annotations

from builder.buildfile import syntax
from builder.buildfile.arguments import words_or_array
from builder.buildfile.heredocs import opening
from builder.buildfile.line import Line
from builder.buildfile.syntax import (
    Instruction,
)

_COPY_FLAGS = ("from", "chown", "chmod", "link", "parents", "exclude")
_ADD_FLAGS = ("chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack")


def copy_line(line: Line) -> Instruction:
    """COPY and ADD: sources, among them here-documents, and a destination."""
    flags = line.take_flags(_COPY_FLAGS if line.keyword == "COPY" else _ADD_FLAGS)
    pieces = words_or_array(line)
    if len(pieces) < 2:
        given = "none" if not pieces else "only one"
        raise line.rest_error(
            f"{line.keyword} requires at least two arguments, but {given} was given: the destination is missing",
            f"write {line.keyword} SOURCE… DESTINATION",
        )
    is_here = [bool(line.logical.heredocs) and opening(piece.text) is not None for piece in pieces]
    if is_here[-1]:
        raise line.error(
            "a heredoc cannot be the destination",
            pieces[-1].at,
            len(pieces[-1].text),
            f"write the destination behind it: {line.keyword} {pieces[-1].text[:40]} /path",
        )
    heredocs = line.heredocs(bodies=True)
    *sources, destination = [
        line.word(piece.text, piece.at, piece.length)
        for piece, here in zip(pieces, is_here, strict=True)
        if not here
    ]
    exclude = tuple([flag.value or "" for flag in line.values(flags, "exclude")])
    return syntax.Copy(
        line.keyword,
        tuple(sources),
        heredocs,
        destination,
        line.value(flags, "from"),
        line.word_of(flags, "chown"),
        line.word_of(flags, "chmod"),
        bool(line.boolean(flags, "link")),
        bool(line.boolean(flags, "parents")),
        exclude,
        line.word_of(flags, "checksum"),
        line.boolean(flags, "keep-git-dir"),
        line.boolean(flags, "unpack"),
        line.text,
        line.span,
    )
