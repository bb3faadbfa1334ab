"""The build file and the context folders that a request names: found, read and parsed."""

from __future__ import annotations

import os
import stat

from builder.buildfile.syntax import BuildFile
from builder.digest import digest_of
from builder.engine.request import BuildRequest
from builder.errors import UsageError
from builder.store.store import Store
from builder.value import dataclass

# Without -f the first of these in the context is the build file.
DEFAULT_NAMES = ("Buildfile", "Dockerfile", "Containerfile")
_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Inputs:
    """A parsed build file, where it is (for its ignore file), and the named contexts by kind.

    `folders` and `layouts` map names to folders and to `PATH[:TAG][@DIGEST]` of OCI layouts, `images` to references.
    """

    file: BuildFile
    path: str
    ignore_file: str | None
    folders: dict[str, str]
    layouts: dict[str, str]
    images: dict[str, str]


def open_inputs(request: BuildRequest, store: Store) -> Inputs:
    """Read what the request names; a `UsageError` says what is missing, a `BuildFileError` what does not parse."""
    if "://" in request.context or request.context == "-":
        raise UsageError(
            f'the build context "{request.context}" is not a folder',
            hint="contexts from standard input, archives and URLs are not supported yet",
        )
    if not os.path.isdir(request.context):
        problem = "is not a folder" if os.path.exists(request.context) else "does not exist"
        raise UsageError(
            f'the build context "{request.context}" {problem}',
            hint="the last argument is the folder that COPY takes files from",
        )
    path, name, text = _read_build_file(request)
    folders, layouts, images = _named_contexts(request)
    return Inputs(_parse(text, name, store), path, _ignore_file(path), folders, layouts, images)


def _read_build_file(request: BuildRequest) -> tuple[str, str, bytes]:
    """The path, the name for messages, and the bytes of the build file."""
    if request.file == "-":
        if request.stdin is None:
            raise UsageError("there is no standard input to read the build file from")
        return "", "stdin", request.stdin.read(_LIMIT)
    if request.file is not None:
        return request.file, request.file, _read(request.file)
    for name in DEFAULT_NAMES:
        path = os.path.join(request.context, name)
        if os.path.lexists(path):
            return path, os.path.normpath(path), _read(path)
    raise UsageError(
        f'there is no build file in "{request.context}"',
        hint=f"write one named {', '.join(DEFAULT_NAMES[:-1])} or {DEFAULT_NAMES[-1]}, or give its path with -f",
    )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            if stat.S_ISDIR(os.fstat(stream.fileno()).st_mode):
                raise IsADirectoryError(21, "it is a folder")
            return stream.read(_LIMIT)
    except FileNotFoundError:
        raise UsageError(
            f'the build file "{path}" does not exist', hint="-f is relative to the current folder"
        ) from None
    except OSError as error:
        reason = "it is a folder" if isinstance(error, IsADirectoryError) else error.strerror
        raise UsageError(f'the build file "{path}" cannot be read: {reason}') from None


def _parse(text: bytes, name: str, store: Store) -> BuildFile:
    """The syntax tree, from the store if this very text was parsed before: a cached build imports no parser."""
    from builder.buildfile.encode import decode, encode

    digest = digest_of(text)
    kept = store.get_parsed(digest)
    if kept is not None:
        try:
            return decode(kept, name)
        except ValueError:  # kept by another version, or damaged
            pass
    from builder.buildfile.parse import parse

    file = parse(text, name)
    store.put_parsed(digest, encode(file))
    return file


def _ignore_file(path: str) -> str | None:
    """`<build file>.dockerignore` takes the place of the context's ignore file."""
    if path:
        for suffix in (".dockerignore", ".containerignore"):
            if os.path.isfile(path + suffix):
                return path + suffix
    return None


def _named_contexts(
    request: BuildRequest,
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    folders: dict[str, str] = {}
    layouts: dict[str, str] = {}
    images: dict[str, str] = {}
    for name, source in request.build_contexts.items():
        scheme, mark, rest = source.partition("://")
        if not mark:
            if not os.path.isdir(source):
                raise UsageError(f'the folder "{source}" of the build context "{name}" does not exist')
            folders[name] = source
        elif scheme == "oci-layout":
            layouts[name] = rest
        elif scheme == "docker-image":
            images[name] = rest
        else:
            raise UsageError(
                f'the build context "{name}" has a source of an unknown kind: {source}',
                hint="give a folder, oci-layout://FOLDER[:TAG] or docker-image://REFERENCE",
            )
    return folders, layouts, images
