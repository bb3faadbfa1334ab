"""SOURCE_DATE_EPOCH that names what lies elsewhere: the context, a named context, or the source that a stage fetches."""

from __future__ import annotations

from builder.buildfile.syntax import BuildFile
from builder.engine.contexts import ContextSource
from builder.engine.elsewhere import Fetched, Fetcher, newest
from builder.engine.request import BuildRequest
from builder.errors import BuildFileError
from builder.graph.arguments import global_arguments, platform_arguments
from builder.graph.epoch import epoch_source, global_lines, written_epoch
from builder.image.platform import host_platform, parse_platform

_CONTEXT = "context"


def named_seconds(
    request: BuildRequest,
    file: BuildFile,
    folders: dict[str, ContextSource],
    fetcher: Fetcher,
    context: Fetched | None,
) -> int:
    """The time that a name in SOURCE_DATE_EPOCH means, 0 for a number, for what is local, and where nothing tells.

    `context` is the main context if it lies elsewhere. A named context that is fetched for it has its folder in `folders`
    from then on. Mistakes of the build file are left to whoever resolves it.
    """
    here = host_platform()
    platform = parse_platform(request.platform) if request.platform else here
    predefined = platform_arguments(request.target or "", platform, here)
    name = written_epoch(file, request.build_args, predefined)
    if not name or name.lstrip("+-").isdecimal():
        return 0
    if name == _CONTEXT:
        return _seconds_of(context) if context is not None else 0
    if name in request.build_contexts:
        if name not in folders or not folders[name].address:
            return 0
        named = fetcher.fetch(folders[name].address, f"[context {name}] load from elsewhere")
        folders[name] = ContextSource(path=named.path, local=False)
        return _seconds_of(named)
    try:
        values = global_arguments(file, global_lines(file), predefined, request.build_args)
        source = epoch_source(file, name, request.build_args, values)
    except BuildFileError:
        return 0
    if source is None:
        return 0
    return fetcher.made(source.address, source.checksum, f"[internal] ask when the source of {name} was made")


def _seconds_of(fetched: Fetched) -> int:
    """When a context was made: as its server says, else when the newest file of the archive that it was."""
    if fetched.seconds or fetched.build_file is not None:
        return fetched.seconds
    return newest(fetched.path)
