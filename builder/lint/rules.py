"""All rules."""

from __future__ import annotations

from builder.lint.buildkit import RULES as BUILDKIT

RULES = (*BUILDKIT,)
"""Those of BuildKit, and those on good habits that only `pybuild check` applies."""
