"""pybuild: build OCI images from a Dockerfile-style build file, without a daemon.

The library's front door. Everything is imported when first used, so that `import builder` costs nothing:

    import builder

    result = builder.build(".", tags=["example/app:1"])
    print(result.image_id)
    for step in result.steps:
        print(step.outcome, step.reasons)
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` itself costs more than all else here
if TYPE_CHECKING:
    from builder.cache.spec import CacheSpec as CacheSpec
    from builder.engine.api import build as build
    from builder.engine.doctor import doctor as doctor
    from builder.engine.explaining import Explanation as Explanation
    from builder.engine.explaining import explain as explain
    from builder.engine.housekeeping import du as du
    from builder.engine.housekeeping import prune as prune
    from builder.engine.housekeeping import store_limit as store_limit
    from builder.engine.planning import BuildPlan as BuildPlan
    from builder.engine.planning import plan as plan
    from builder.engine.request import Output as Output
    from builder.engine.result import BuildResult as BuildResult
    from builder.errors import BuilderError as BuilderError
    from builder.report.reportfile import Recorder as Recorder

__version__ = "0.1.0"
__all__ = [
    "BuildPlan",
    "BuildResult",
    "BuilderError",
    "CacheSpec",
    "Explanation",
    "Output",
    "Recorder",
    "__version__",
    "build",
    "doctor",
    "du",
    "explain",
    "plan",
    "prune",
    "store_limit",
]

_PLACES = {
    "CacheSpec": "builder.cache.spec",
    "build": "builder.engine.api",
    "doctor": "builder.engine.doctor",
    "du": "builder.engine.housekeeping",
    "prune": "builder.engine.housekeeping",
    "store_limit": "builder.engine.housekeeping",
    "explain": "builder.engine.explaining",
    "Explanation": "builder.engine.explaining",
    "plan": "builder.engine.planning",
    "BuildPlan": "builder.engine.planning",
    "BuildResult": "builder.engine.result",
    "Output": "builder.engine.request",
    "BuilderError": "builder.errors",
    "Recorder": "builder.report.reportfile",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)
