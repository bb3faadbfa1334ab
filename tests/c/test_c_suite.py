"""The extension as Python uses it, built with the sanitizers of addresses and undefined behaviour, under tests of our own.

It reaches what no program here can drive alone: launcher, overlays, mount points, user namespaces. `SANITIZED_TESTS` in the
environment names other tests to run so.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-fPIC", "-std=gnu11", "-D_GNU_SOURCE", "-g1", "-O1", "-pthread", "-fno-omit-frame-pointer"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# Their children share the memory and end without going back: what the sanitizer noted about the stack of one is wrong for the next.
WITHOUT_STACKS = ("launch.c", "overlay.c")
CHOSEN = [
    "tests/integration/test_integration_sandbox.py",
    "tests/integration/test_integration_sandbox_rootless.py",
    "tests/integration/test_integration_copy_links.py",
    "tests/unit/core/test_core_changes.py",
    "tests/unit/core/test_core_copyfolder.py",
    "tests/unit/core/test_core_portable.py",
    "tests/unit/core/test_core_spill.py",
    "tests/unit/core/test_core_tree.py",
    "tests/unit/core/test_core_tree_listing.py",
    "tests/unit/core/test_core_usage.py",
]


def _library(name: str) -> str:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def _compile(source: Path, folder: Path) -> Path:
    built = folder / f"{source.stem}.o"
    less = ["--param=asan-stack=0"] if source.name in WITHOUT_STACKS else []
    include = [f"-I{ROOT / 'csrc'}", f"-I{sysconfig.get_path('include')}"]
    subprocess.run(
        ["gcc", *FLAGS, *SANITIZERS, *less, *include, "-c", str(source), "-o", str(built)], check=True
    )
    return built


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of package and tests whose extension has the sanitizers; other users can read it."""
    if not shutil.which("gcc") or "/" not in _library("libasan.so"):
        pytest.skip("no sanitizers here")
    with tempfile.TemporaryDirectory(prefix="pybuild-sanitized-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _fill(folder, tmp_path_factory.mktemp("objects"))
        yield folder


def _fill(folder: Path, objects: Path) -> None:
    skipped = shutil.ignore_patterns("__pycache__", "*.so")
    for name in ("builder", "tests", "csrc"):
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", folder)
    binding = objects / "binding.c"
    runpy.run_path(str(ROOT / "csrc" / "build_core.py"))["ffibuilder"].emit_c_code(str(binding))
    sources = [binding, *sorted((ROOT / "csrc").glob("*.c"))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = list(pool.map(lambda source: _compile(source, objects), sources))
    extension = folder / "builder" / "core" / "_core.abi3.so"
    subprocess.run(
        ["gcc", "-shared", "-pthread", *SANITIZERS, *map(str, built), "-o", str(extension)], check=True
    )


@pytest.mark.timeout(1800)
def test_the_extension_under_the_sanitizers(checkout: Path) -> None:
    chosen = os.environ.get("SANITIZED_TESTS", "").split() or CHOSEN
    env = dict(
        os.environ,
        LD_PRELOAD=f"{_library('libasan.so')} {_library('libubsan.so')}",
        # Python itself keeps memory to its end.
        ASAN_OPTIONS=f"detect_leaks=0:verify_asan_link_order=0:log_path={checkout / 'found'}",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    # What this measures, or what memory the sanitizers need, is no matter here.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True)
    reports = "".join(path.read_text()[:6000] for path in checkout.glob("found*"))
    told = f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}\n{reports}"
    assert done.returncode == 0 and not reports, told
    loaded = subprocess.run(
        [sys.executable, "-c", "import builder.core._core as c; print(c.__file__); print(open('/proc/self/maps').read())"],
        cwd=checkout, env=env, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert loaded.startswith(str(checkout)) and "libasan" in loaded
