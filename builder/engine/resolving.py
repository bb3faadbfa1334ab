"""The stages of a build file, as a request wants them."""

from __future__ import annotations

from collections.abc import Mapping

from builder.buildfile.syntax import BuildFile
from builder.engine.request import BuildRequest
from builder.graph.resolve import resolve_stages
from builder.graph.stages import Graph
from builder.image.platform import host_platform, parse_platform


def resolve_request(
    request: BuildRequest, file: BuildFile, build_args: Mapping[str, str] | None = None
) -> Graph:
    """Resolve a file for a request; `build_args` take the place of the request's."""
    here = host_platform()
    return resolve_stages(
        file,
        target=request.target,
        build_args=request.build_args if build_args is None else build_args,
        platform=parse_platform(request.platform) if request.platform else here,
        build_platform=here,
        named_contexts=tuple(request.build_contexts),
    )
