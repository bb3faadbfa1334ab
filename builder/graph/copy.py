"""COPY, ADD and WORKDIR: the steps that make files without running anything."""

from __future__ import annotations

import re

from builder.buildfile.syntax import Copy, Workdir
from builder.digest import parse_digest
from builder.errors import ImageError
from builder.graph import created
from builder.graph.draft import Draft
from builder.graph.paths import clean_path, join_path, names_folder
from builder.graph.steps import CopyStep, FromContext, InlineFile, WorkdirStep
from builder.graph.titles import heredoc_summary

_SYMBOLIC_MODE = r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+"
_COMMIT = r"[0-9a-f]{4,64}"
_GIT_SCHEMES = ("git://", "ssh://")


def plan_copy(draft: Draft, line: Copy) -> None:
    """Add the step of a COPY or ADD line. Raises `BuildFileError` for what the flags cannot mean."""
    sources = tuple(draft.expand(word) for word in line.sources)
    for source, word in zip(sources, line.sources, strict=True):
        if line.keyword == "COPY" and is_remote(source):
            raise draft.bad(word.span, f"COPY cannot fetch {source[:120]}", "use ADD for URLs and git")
    written = draft.expand(line.destination)
    chown = draft.expand(line.chown) if line.chown else ""
    chmod = _mode(draft, line)
    inline = tuple(
        InlineFile(
            heredoc.name,
            (draft.expand(heredoc.word) if heredoc.word else heredoc.body).encode("utf-8", "surrogateescape"),
        )
        for heredoc in line.heredocs
    )
    destination = join_path(draft.working_dir, written)
    if names_folder(written) and destination != "/":
        destination += "/"
    step = CopyStep(
        title=draft.title(line, extra=heredoc_summary(line.heredocs[0]) if line.heredocs else ""),
        span=draft.place(line.span),
        keyword=line.keyword,
        origin=draft.origin(line.from_, line.span) if line.from_ else FromContext(),
        sources=sources,
        inline=inline,
        destination=destination,
        chown=chown or None,
        chmod=chmod or None,
        link=line.link and not chmod,  # with --chmod BuildKit makes an ordinary copy
        parents=line.parents,
        exclude=line.exclude,
        unpack=line.unpack,
        checksum=_checksum(draft, line, sources),
        keep_git_dir=line.keep_git_dir,
    )
    words = [line.keyword]
    words += ["--parents"] if line.parents else []
    words += [f"--chown={chown}"] if chown else []
    words += [f"--chmod={chmod}"] if chmod else []
    words += [*sources, *(f"<<{heredoc.name}" for heredoc in line.heredocs), written]
    draft.add(step, " ".join(words) + created.SUFFIX)


def is_remote(source: str) -> bool:
    """Whether a source is a URL or a git address."""
    return source.startswith(("http://", "https://", *_GIT_SCHEMES)) or is_git(source)


def is_git(source: str) -> bool:
    """Whether a source is a git repository: by scheme, as `git@host:path`, or a URL that ends in `.git`."""
    if source.startswith((*_GIT_SCHEMES, "git@")):
        return not source.startswith("git@") or ":" in source
    if not source.startswith(("http://", "https://")):
        return False
    return source.partition("#")[0].partition("?")[0].endswith(".git")


def _mode(draft: Draft, line: Copy) -> str:
    if line.chmod is None:
        return ""
    mode = draft.expand(line.chmod)
    if mode.isascii() and mode.isdecimal():
        octal = all(digit < "8" for digit in mode) and len(mode) < 12
        if octal and int(mode, 8) <= 0o7777:
            return mode
    elif not mode or all(re.fullmatch(_SYMBOLIC_MODE, change) for change in mode.split(",")):
        return mode
    raise draft.bad(
        line.chmod.span,
        f"invalid --chmod={mode[:80]}",
        "write octal digits between 0 and 07777, or changes such as u=rwX,go=rX",
    )


def _checksum(draft: Draft, line: Copy, sources: tuple[str, ...]) -> str | None:
    text = draft.expand(line.checksum) if line.checksum else ""
    if not line.checksum or not text:
        return None
    span = line.checksum.span
    if line.keyword != "ADD":
        raise draft.bad(span, "COPY takes no --checksum", "use ADD for what is fetched")
    if len(sources) != 1 or line.heredocs:
        raise draft.bad(span, "--checksum needs exactly one source")
    if is_git(sources[0]):
        if not re.fullmatch(_COMMIT, text):
            raise draft.bad(span, f"invalid --checksum={text[:80]}", "give the id of a git commit")
        return text
    if not is_remote(sources[0]):
        raise draft.bad(span, "--checksum needs a source that is fetched, by http(s) or git")
    try:
        return str(parse_digest(text))
    except ImageError:
        raise draft.bad(span, f"invalid --checksum={text[:80]}", "write sha256: and 64 hex digits") from None


def plan_workdir(draft: Draft, line: Workdir) -> None:
    """Change the working directory, relative to the one before; the root needs no making."""
    written = draft.expand(line.path)
    path = written if written.startswith("/") else join_path(draft.working_dir, written)
    draft.set(working_dir=path)
    folder = clean_path(path)
    if path == "/":
        draft.record(f"WORKDIR {path}")
        return
    title = draft.title(line)
    draft.add(WorkdirStep(title, draft.place(line.span), folder, draft.config.user), f"WORKDIR {path}")
