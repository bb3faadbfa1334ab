"""COPY, ADD and WORKDIR: the steps that make files without running anything."""

from __future__ import annotations

import re

from builder.buildfile.syntax import Copy, Span, Workdir
from builder.digest import Digest, parse_digest
from builder.errors import ImageError
from builder.graph import created
from builder.graph.draft import Draft
from builder.graph.owners import names_somebody
from builder.graph.paths import clean_path, join_path, names_folder
from builder.graph.steps import CopyStep, FromContext, InlineFile, WorkdirStep
from builder.graph.titles import heredoc_summary
from builder.remote.addresses import (
    AddressError,
    check_commit,
    check_url,
    is_remote,
    is_url,
    parse_git,
    without_password,
)

_SYMBOLIC_MODE = r"[ugoa]*(?:[-+=][rwxXstugo]*)+"


def plan_copy(draft: Draft, line: Copy) -> None:
    """Add the step of a COPY or ADD line. Raises `BuildFileError` for what the flags cannot mean."""
    sources = tuple(draft.expand(word) for word in line.sources)
    for source, word in zip(sources, line.sources, strict=True):
        if line.keyword == "COPY" and is_remote(source):
            raise draft.bad(
                word.span, f"COPY cannot fetch {without_password(source)[:120]}", "use ADD for URLs and git"
            )
        _check_address(draft, line, source, word.span)
    written = draft.expand(line.destination)
    chown = draft.expand(line.chown) if line.chown else ""
    chmod = _mode(draft, line)
    if line.chown and line.link and not chmod and names_somebody(chown):
        raise draft.bad(
            line.chown.span,
            f"--link does not look at the files below, which would say who {chown[:80]} is",
            "write numbers, such as --chown=1000:1000, or leave out --link",
        )
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
        title=without_password(
            draft.title(line, extra=heredoc_summary(line.heredocs[0]) if line.heredocs else "")
        ),
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
    # The history is published with the image.
    words += [*map(without_password, sources), *(f"<<{heredoc.name}" for heredoc in line.heredocs), written]
    draft.add(step, " ".join(words) + created.SUFFIX)


def _check_address(draft: Draft, line: Copy, source: str, span: Span) -> None:
    """Refuse an address that means nothing, or that the flags contradict."""
    try:
        address = parse_git(source)
        if address is None and is_url(source):
            check_url(source)
    except AddressError as error:
        raise draft.bad(span, f"{without_password(source)[:120]} cannot be fetched: {error}") from None
    if address is None:
        return
    asked, said = line.keep_git_dir, address.keep_git_dir
    if asked is not None and said is not None and asked != said:
        raise draft.bad(
            span, "--keep-git-dir and the query keep-git-dir contradict each other", "give one of them"
        )


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
        raise draft.bad(span, "--checksum needs exactly one source", "write one ADD for each source")
    if not is_remote(sources[0]):
        hint = "leave it out for local files"
        raise draft.bad(span, "--checksum needs a source that is fetched, by http(s) or git", hint)
    address = parse_git(sources[0])
    try:
        if address is None:
            return str(_sha256(text))
        check_commit(text)
    except AddressError:
        raise draft.bad(span, f"invalid --checksum={text[:80]}", "give the id of a git commit") from None
    except ImageError:
        raise draft.bad(span, f"invalid --checksum={text[:80]}", "write sha256: and 64 hex digits") from None
    if address.checksum not in ("", text):
        raise draft.bad(
            span,
            f"--checksum={text} contradicts the address, which says {address.checksum}",
            "keep one of them",
        )
    return text


def _sha256(text: str) -> Digest:
    digest = parse_digest(text)
    if digest.algorithm != "sha256":
        raise ImageError("files are only checked by SHA-256")
    return digest


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
