"""Build the C core; everything else stands in pyproject.toml."""

from __future__ import annotations

from setuptools import setup

setup(cffi_modules=["csrc/build_core.py:ffibuilder"])
