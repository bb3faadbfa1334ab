"""The cffi build script: one header in, one extension module out (`builder.core._core`)."""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
WARNINGS = [
    "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wwrite-strings",
    "-Wpointer-arith", "-Wformat=2", "-Wvla",
]  # fmt: skip


def declarations() -> str:
    """The part of the public header that cffi understands."""
    header = (HERE / "pybuild.h").read_text()
    match = re.search(r"/\* CDEF-BEGIN \*/(.*)/\* CDEF-END \*/", header, re.DOTALL)
    assert match is not None, "pybuild.h lost its CDEF markers"
    return match[1]


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "builder.core._core",
    '#include "pybuild.h"\n',
    sources=sorted(f"csrc/{path.name}" for path in HERE.glob("*.c")),
    depends=sorted(f"csrc/{path.name}" for path in HERE.glob("*.h")),
    include_dirs=["csrc"],
    define_macros=[("_GNU_SOURCE", "1")],
    extra_compile_args=["-std=gnu11", "-O2", "-fvisibility=hidden", "-pthread", *WARNINGS],
    extra_link_args=["-pthread"],
)
