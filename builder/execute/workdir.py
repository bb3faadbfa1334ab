"""WORKDIR: a directory and its missing parents."""

from __future__ import annotations

import os

from builder.core.files import make_directory
from builder.errors import CoreError, StepError
from builder.graph.steps import WorkdirStep
from builder.sandbox.users import lookup_owner


def make_workdir(step: WorkdirStep, root_fd: int) -> None:
    """Make the directory, owned by the step's user; one that exists stays as it is."""
    uid, gid = lookup_owner(root_fd, step.user) if step.user else (0, 0)
    try:
        make_directory(root_fd, os.fsencode(step.path), 0o755, uid, gid)
    except CoreError as error:
        raise StepError(f"cannot make the working directory {step.path}: {error.message}") from error
