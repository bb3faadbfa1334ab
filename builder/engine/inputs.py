"""The build file and the context folders that a request names: found, read and parsed."""

from __future__ import annotations

import os

from builder.buildfile.syntax import BuildFile
from builder.digest import digest_of
from builder.engine.contexts import ContextSource
from builder.engine.elsewhere import STDIN, Fetched, Fetcher, lies_elsewhere, read_inside, url_name
from builder.engine.reading import chunks, read_file
from builder.engine.request import BuildRequest
from builder.errors import UsageError
from builder.graph.arguments import EPOCH
from builder.remote.addresses import is_url, place_of, without_password
from builder.store.store import Store
from builder.value import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

DEFAULT_NAMES = ("Buildfile", "Dockerfile", "Containerfile")
"""Without -f the first of these in the context is the build file; `dockerfile` is looked for last, as by BuildKit."""

STREAM = "stdin"
"""What a build file is called that was read from a pipe."""

_SMALL = "dockerfile"
_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Inputs:
    """A parsed build file, what it is called across builds, and the contexts by kind.

    `folders` maps the names of contexts that hold files to where those are (the main context's name is empty),
    `layouts` to `PATH[:TAG][@DIGEST]` of OCI layouts, `images` to references. `seconds` is when the context that
    SOURCE_DATE_EPOCH names was made, 0 if it names none, or nobody knows.
    """

    file: BuildFile
    slot: str
    folders: dict[str, ContextSource]
    layouts: dict[str, str]
    images: dict[str, str]
    seconds: int = 0


def open_inputs(request: BuildRequest, store: Store, fetcher: Fetcher) -> Inputs:
    """Read what the request names; a `UsageError` says what is missing, a `BuildFileError` what does not parse."""
    if request.context == STDIN and request.file == STDIN:
        raise UsageError(
            "both the build file and the context are to come from standard input",
            hint="put the build file into the archive, or give the context as a folder",
        )
    folders, layouts, images = _named_contexts(request)
    if lies_elsewhere(request.context):
        fetched = fetcher.fetch(request.context, "[internal] load remote build context")
        slot, name, text = _remote_build_file(request, fetched, fetcher)
        hint = "" if fetched.build_file is None else _alone(request.context)
        folders[""] = ContextSource(path=fetched.path, local=False, hint=hint)
        file = _parse(text, name, store, request)
        seconds = _seconds(request, file, folders, fetcher, fetched)
        return Inputs(file, slot, folders, layouts, images, seconds)
    if not os.path.isdir(request.context):
        problem = "is not a folder" if os.path.exists(request.context) else "does not exist"
        raise UsageError(
            f'the build context "{request.context}" {problem}',
            hint="the last argument is the folder that COPY takes files from, a URL, a git repository, or -",
        )
    path, name, text = _read_build_file(request, fetcher)
    folders[""] = ContextSource(path=request.context, ignore_file=ignore_file_of(path))
    slot = _slot(request.context, path, name)
    file = _parse(text, name, store, request)
    seconds = _seconds(request, file, folders, fetcher, None)
    return Inputs(file, slot, folders, layouts, images, seconds)


def _seconds(
    request: BuildRequest,
    file: BuildFile,
    folders: dict[str, ContextSource],
    fetcher: Fetcher,
    context: Fetched | None,
) -> int:
    """The time that SOURCE_DATE_EPOCH means by the name of a context or stage, 0 if it means none or nothing tells.

    A named context that is fetched for it has its folder in `folders` from then on.
    """
    if EPOCH not in request.build_args and not any(EPOCH in line for line in file.lines):
        return 0
    # Late: most builds say nothing of it.
    from builder.engine.epoch import named_seconds

    return named_seconds(request, file, folders, fetcher, context)


def _alone(context: str) -> str:
    """What helps who wants files of a context that is a build file and nothing else."""
    if context == STDIN:
        return "what came is the build file alone, without a context: write pybuild -f - FOLDER"
    return "what is there is the build file alone, without a context: write pybuild -f URL FOLDER"


def _slot(context: str, path: str, name: str) -> str:
    """What a build file is called across builds: projects are kept apart, and each is known however its folder is written.

    One that comes through a pipe, or from elsewhere, belongs to the context.
    """
    folder, last = os.path.split(path)
    real = os.path.realpath(folder or ".") if path else ""
    if not real.startswith("/proc/") and os.path.isfile(path):
        return os.path.join(real, last)
    return f"{os.path.realpath(context)}\n{STREAM if path else name}"


def _remote_build_file(request: BuildRequest, fetched: Fetched, fetcher: Fetcher) -> tuple[str, str, bytes]:
    """The build file of a context that lies elsewhere: `-f` is a path inside it."""
    where = "standard input" if request.context == STDIN else without_password(request.context)
    if fetched.build_file is not None:
        if request.file is not None:
            raise UsageError(
                f"{where} is a build file, and -f names another",
                hint="leave -f out, or give a folder as context",
            )
        name = "stdin" if request.context == STDIN else url_name(request.context)
        return place_of(where), name, fetched.build_file
    if request.file == STDIN:
        return where, "stdin", _read_stdin(request, fetcher.cancelled)
    for name in (request.file,) if request.file else (*DEFAULT_NAMES, _SMALL):
        text = read_inside(fetched.path, name)
        if text is not None:
            return f"{place_of(where)}\n{name}", name, text
    raise UsageError(
        f"there is no {request.file or 'build file'} in {where}",
        hint="-f is a path inside a context that is no folder of this machine",
    )


def _read_stdin(request: BuildRequest, cancelled: threading.Event | None) -> bytes:
    if request.stdin is None:
        raise UsageError("there is no standard input to read the build file from")
    text = bytearray()
    for chunk in chunks(request.stdin, cancelled):
        text += chunk
        if len(text) > _LIMIT:
            raise UsageError(f"the build file on standard input is larger than {_LIMIT >> 20} MiB")
    return bytes(text)


def _read_build_file(request: BuildRequest, fetcher: Fetcher) -> tuple[str, str, bytes]:
    if request.file is not None and is_url(request.file):
        fetched = fetcher.fetch(request.file, "[internal] load remote build file")
        if fetched.build_file is None:
            raise UsageError(f"{without_password(request.file)} is an archive, not a build file")
        return "", url_name(request.file), fetched.build_file
    return read_build_file(request, fetcher.cancelled)


def read_build_file(
    request: BuildRequest, cancelled: threading.Event | None = None
) -> tuple[str, str, bytes]:
    """The path, the name for messages, and the bytes of a build file of this machine or from standard input.

    `cancelled` breaks off waiting for a pipe or a terminal.
    """
    if request.file == STDIN:
        return "", STREAM, _read_stdin(request, cancelled)
    if request.file is not None:
        inside = os.path.join(request.context, request.file)
        if not os.path.exists(request.file) and os.path.isfile(inside):
            raise UsageError(
                f'the build file "{request.file}" does not exist',
                hint=f"-f is relative to the current folder: write -f {inside}",
            )
        return request.file, request.file, _read(request.file, pipes=True, cancelled=cancelled)
    for name in (*DEFAULT_NAMES, _SMALL):
        path = os.path.join(request.context, name)
        if os.path.lexists(path):
            return path, os.path.normpath(path), _read(path)
    raise UsageError(
        f'there is no build file in "{request.context}"',
        hint=f"write one named {', '.join(DEFAULT_NAMES[:-1])} or {DEFAULT_NAMES[-1]}, or give its path with -f",
    )


def _read(path: str, *, pipes: bool = False, cancelled: threading.Event | None = None) -> bytes:
    try:
        return read_file(path, _LIMIT, pipes=pipes, cancelled=cancelled)
    except FileNotFoundError:
        if os.path.islink(path):
            target = os.readlink(path)
            raise UsageError(
                f'the build file "{path}" does not exist: it is a link to "{target}", which is not there'
            ) from None
        raise UsageError(
            f'the build file "{path}" does not exist', hint="-f is relative to the current folder"
        ) from None
    except OSError as error:
        raise UsageError(f'the build file "{path}" cannot be read: {error.strerror}') from None


def _parse(text: bytes, name: str, store: Store, request: BuildRequest) -> BuildFile:
    """The syntax tree, from the store if this very text was parsed before: a cached build imports no parser."""
    from builder.buildfile.encode import decode, encode

    digest = digest_of(text)
    kept = store.get_parsed(digest)
    if kept is not None:
        try:
            return decode(kept, name)
        except ValueError:  # kept by another version, or damaged
            pass
    from builder.buildfile.parse import UnparsedError, parse

    try:
        file = parse(text, name)
    except UnparsedError as error:
        from builder.engine.resolving import resolve_request
        from builder.graph.further import with_further

        raise with_further(
            error, error.rest, lambda rest: resolve_request(request, rest), all_stages=True
        ) from None
    store.put_parsed(digest, encode(file))
    return file


def ignore_file_of(path: str) -> str | None:
    """`<build file>.dockerignore` takes the place of the context's ignore file."""
    if path:
        for suffix in (".dockerignore", ".containerignore"):
            if os.path.isfile(path + suffix):
                return path + suffix
    return None


def _named_contexts(
    request: BuildRequest,
) -> tuple[dict[str, ContextSource], dict[str, str], dict[str, str]]:
    folders: dict[str, ContextSource] = {}
    layouts: dict[str, str] = {}
    images: dict[str, str] = {}
    for name, source in request.build_contexts.items():
        scheme, mark, rest = source.partition("://")
        if mark and scheme == "oci-layout":
            layouts[name] = rest
        elif mark and scheme == "docker-image":
            images[name] = rest
        elif source == STDIN:
            raise UsageError(f'the build context "{name}" cannot come from standard input')
        elif lies_elsewhere(source) and not os.path.isdir(source):
            folders[name] = ContextSource(address=source, local=False)
        elif mark:
            raise UsageError(
                f'the build context "{name}" has a source of an unknown kind: {without_password(source)}',
                hint="give a folder, a URL, a git repository, oci-layout://FOLDER[:TAG] or docker-image://REFERENCE",
            )
        elif not os.path.isdir(source):
            raise UsageError(f'the folder "{source}" of the build context "{name}" does not exist')
        else:
            folders[name] = ContextSource(path=source)
    return folders, layouts, images
