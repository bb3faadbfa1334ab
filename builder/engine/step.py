"""One step: look its key up, and where that misses carry it out and keep the result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from builder.cache.explain import explain, nearest
from builder.cache.key import Part, key_of, state_after
from builder.cache.parts import copy_parts, run_parts, workdir_parts
from builder.core.files import remove_tree
from builder.core.tree import Ignore, Tree, listing_diff
from builder.engine.session import Session, StepReporter
from builder.errors import BuilderError, Cancelled, CoreError, StepError
from builder.events import Outcome, Reason
from builder.execute.copy import copy_files
from builder.execute.rootfs import StepRoot, open_state
from builder.execute.run import Surroundings, run_command
from builder.execute.sources import Source, find_sources
from builder.execute.workdir import make_workdir
from builder.graph.steps import CopyStep, FromContext, FromImage, FromNamed, FromStage, RunStep, Step, WorkdirStep
from builder.store.records import Record

# File names that an explanation lists; the rest is counted.
_LISTED = 20
