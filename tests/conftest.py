"""What all tests share: the command, a fresh store, and small base images."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "conformance"))

PYBUILD = [sys.executable, "-m", "builder"]

# Seconds after which something hangs. Nothing takes nearly as long, also on a busy machine whose disk takes a minute for a sync.
DEADLINE = 300

# The same examples each time, however busy the machine is; --hypothesis-seed=N takes others.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def _own_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith(("PYBUILD_", "GITHUB_", "BUILDKIT_", "DOCKER_", "SOURCE_DATE_EPOCH")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # The tests were started in the background or by nohup, whose processes ignore these, as would all that they start.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the OCI layouts `base` and `base2`: busybox with some users."""
    from images import write_bases

    folder = tmp_path_factory.mktemp("bases")
    write_bases(folder)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The path of a store that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def pybuild(store: Path, bases: Path) -> Run:
    """Runs the command on the test's own store; `base` and `base2` are there as named contexts for builds."""

    def run(*args: str | Path, ok: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        line = [*PYBUILD, *(str(arg) for arg in args)]
        if args and args[0] == "build":
            contexts = [f"{name}=oci-layout://{bases / name}" for name in ("base", "base2")]
            line[len(PYBUILD) + 1 : len(PYBUILD) + 1] = [
                word for context in contexts for word in ("--build-context", context)
            ]
        settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": DEADLINE}
        env = dict(os.environ, PYBUILD_STORE=str(store))
        done = subprocess.run(line, env=env, **{**settings, **options})  # type: ignore[call-overload]
        if ok:
            assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done  # type: ignore[no-any-return]

    return run


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where nothing waits for the disk; else another one."""
    if not os.access("/dev/shm", os.W_OK) or shutil.disk_usage("/dev/shm").free < 1 << 30:
        yield otherwise
        return
    with tempfile.TemporaryDirectory(prefix="pybuild-", dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """For what must end soon, however long the disk takes: a folder in memory where that can be had."""
    with folder_in_memory(tmp_path) as folder:
        yield folder


@pytest.fixture
def memory(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For campaigns of many builds: a folder, in memory where that can be had. Small folders count as worth an incremental
    copy and notes of their hashes, and nothing is brought to the disk: no power cut is coming.
    """
    from builder.engine import incremental
    from builder.execute import rootfs
    from builder.store.store import Store

    monkeypatch.setattr(incremental, "WORTH_IT", 1)
    monkeypatch.setattr(rootfs, "_WORTH_KNOWING", 1)
    monkeypatch.setattr(Store, "flush", lambda self, wait: None)
    return in_memory


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each COPY that missed could begin with an earlier result."""
    from builder.engine.copy_work import CopyWork

    answers: list[bool] = []
    begin = CopyWork.begin_with

    def counted(self: CopyWork, *args: Any, **options: Any) -> bool:
        answers.append(begin(self, *args, **options))
        return answers[-1]

    monkeypatch.setattr(CopyWork, "begin_with", counted)
    return answers


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """An empty folder to build from."""
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def unprivileged() -> str:
    """The name of an ordinary user with subordinate ids, who stays for the next tests."""
    name = "pybuild-test"
    if os.geteuid() != 0:
        pytest.skip("making a user needs root; the tests of the user's own rights ran as that user")
    if subprocess.run(["id", name], capture_output=True).returncode != 0:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    for kind in ("subuid", "subgid"):
        path = Path("/etc") / kind
        if not any(line.startswith(f"{name}:") for line in path.read_text().splitlines()):
            with path.open("a") as stream:
                stream.write(f"{name}:3000000:65536\n")
    return name


@pytest.fixture(scope="session")
def _user_place(unprivileged: str, bases: Path) -> Iterator[Path]:
    from user_place import user_place

    with user_place(unprivileged, bases) as place:
        yield place


@pytest.fixture
def user(unprivileged: str, _user_place: Path) -> Iterator[object]:
    """An ordinary `User` with subordinate ids and an empty folder (tests/integration)."""
    from user_place import User

    folder = Path(tempfile.mkdtemp(dir=_user_place))
    yield User(unprivileged, _user_place, folder)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def machine(
    pybuild: Run, tmp_path: Path, context: Path, bases: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], object]:
    """Makes machines that share nothing but remote caches, each with a copy of a project (tests/integration). They are those of
    a CI: their builds end when all is in the caches.
    """
    from remote_machines import Machine, write_project

    monkeypatch.setenv("CI", "true")
    write_project(context)
    made: list[object] = []

    def new() -> object:
        made.append(Machine(pybuild, tmp_path / f"machine-{len(made)}", context, len(made), bases))
        return made[-1]

    return new


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Debian's registry, one for all tests of a module (tests/integration)."""
    from registry_server import run_registry

    with run_registry(tmp_path_factory.mktemp("registry") / "registry") as found:
        yield found


@pytest.fixture
def flaky(registry: Any) -> Iterator[object]:
    """A server before it that does what a test says."""
    from flaky_server import FlakyServer

    server = FlakyServer(registry.host)
    yield server
    server.stop()
