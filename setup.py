"""Build the C core, the parsers' tables and the report's template; everything else stands in pyproject.toml."""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig

from setuptools import setup

# What the C core includes, and the Debian package that has it.
HEADERS = {"Python.h": "python3-dev", "xxhash.h": "libxxhash-dev", "linux/openat2.h": "linux-libc-dev"}


def missing() -> str | None:
    """One line that says what a build lacks, None if it lacks nothing."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        return f"the C compiler {compiler[0]} is missing; on Debian: apt-get install gcc libc6-dev"
    include = f"-I{sysconfig.get_path('include')}"
    for header, package in HEADERS.items():
        line = [*compiler, include, *shlex.split(os.environ.get("CPPFLAGS", "")), "-E", "-x", "c", "-"]
        done = subprocess.run(
            line, input=f"#include <{header}>\n", capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return f"the C header {header} is missing; on Debian: apt-get install {package}"
    return None


if any(command.startswith(("build", "bdist", "install", "develop", "editable")) for command in sys.argv[1:]):
    lacking = missing()
    if lacking is not None:
        sys.exit(f"pybuild cannot be built: {lacking}")
    runpy.run_path("grammar/build_tables.py", run_name="__main__")
    runpy.run_path("builder/report/templates/build.py", run_name="__main__")

setup(cffi_modules=["csrc/build_core.py:ffibuilder"])
