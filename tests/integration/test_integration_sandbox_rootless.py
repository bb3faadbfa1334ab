"""The same sandbox as an ordinary user with subordinate ids, which a child of the test becomes."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator

import pytest

import builder.sandbox.foreground  # noqa: F401 - the child may not be able to read it later
from builder.core.process import overlay_mount
from builder.errors import SandboxError
from builder.sandbox import ways
from builder.sandbox.process import Mount, Process
from builder.sandbox.run import run_process
from builder.sandbox.ways import choose_way, enter, is_rootless

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("newuidmap", "useradd"))),
    reason="needs root, to make an ordinary user, and the package uidmap",
)


@pytest.fixture(scope="module")
def account(unprivileged: str) -> pwd.struct_passwd:
    return pwd.getpwnam(unprivileged)


@pytest.fixture
def folder(account: pwd.struct_passwd) -> Iterator[str]:
    path = tempfile.mkdtemp(dir="/var/tmp")  # pytest's own folder is closed to other users
    for name in ("base/bin", "base/etc", "upper", "work", "scratch"):
        os.makedirs(f"{path}/{name}")
    shutil.copy("/bin/busybox", f"{path}/base/bin/busybox")
    for name in ("sh", "id", "cat", "ls", "mount", "touch", "chown", "grep", "wc", "mkdir", "stat", "mknod"):
        os.symlink("busybox", f"{path}/base/bin/{name}")
    with open(f"{path}/base/etc/passwd", "w") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\n")
    subprocess.run(["chown", "-R", f"{account.pw_uid}:{account.pw_gid}", path], check=True)
    yield path
    shutil.rmtree(path)


def as_user(account: pwd.struct_passwd, work: Callable[[], str]) -> str:
    """What `work` gives, or the error that it raised, in a child that is the ordinary user."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after the exec of a normal start
            answer = work()
        except SandboxError as error:
            answer = f"SandboxError: {error.message} | {error.hint}"
        except BaseException:
            answer = traceback.format_exc()
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as file:
        answer = file.read().decode()
    os.waitpid(child, 0)
    return answer


def run_in(folder: str, process: Process) -> str:
    way = choose_way()
    assert way.name == "rootless"
    assert not is_rootless()
    enter(way)
    assert os.geteuid() == 0
    assert is_rootless()
    base = os.open(folder, os.O_PATH)
    root = overlay_mount(base, ["base"], "upper", "work", userxattr=True)
    output: list[bytes] = []
    result = run_process(
        process, root, scratch=f"{folder}/scratch", on_output=lambda _, data: output.append(data)
    )
    return f"{result.status} " + b"".join(output).decode()


def script(text: str, **fields: object) -> Process:
    return Process(("/bin/sh", "-c", text), env=(("PATH", "/bin"),), **fields)  # type: ignore[arg-type]


def test_root_inside(account: pwd.struct_passwd, folder: str) -> None:
    text = "id -u; echo $$; touch /f; chown 1000:50 /f; stat -c %u:%g /f; test -d /sys/kernel -a -c /dev/null"
    answer = as_user(account, lambda: run_in(folder, script(text)))
    assert answer == "0 0\n1\n1000:50\n"
    assert sorted(os.listdir(f"{folder}/upper")) == ["etc", "f"]
    assert os.listdir(f"{folder}/upper/etc") == []
    assert os.stat(f"{folder}/upper/f").st_uid not in (0, 1000, account.pw_uid)  # a subordinate id


def test_user_inside(account: pwd.struct_passwd, folder: str) -> None:
    answer = as_user(account, lambda: run_in(folder, script("id -u; id -G; touch f", user="app", cwd="/a")))
    assert answer == "0 1000\n1000\n"


def test_network_none_and_tmpfs(account: pwd.struct_passwd, folder: str) -> None:
    process = script(
        "wc -l < /proc/net/route; touch /t/x && ls /t", network="none", mounts=(Mount("/t", kind="tmpfs"),)
    )
    assert as_user(account, lambda: run_in(folder, process)) == "0 1\nx\n"


def test_no_privileges(account: pwd.struct_passwd, folder: str) -> None:
    text = "mount -t tmpfs none /srv 2>/dev/null || echo refused; mknod /d c 1 3 2>/dev/null || echo refused"
    text += "; grep -c . /etc/shadow 2>/dev/null || echo none"
    assert as_user(account, lambda: run_in(folder, script(text))) == "0 refused\nrefused\nnone\n"


@pytest.mark.parametrize("method", ["newest", "by-name", "classic"])
def test_every_overlay_method(account: pwd.struct_passwd, folder: str, method: str) -> None:
    def work() -> str:
        enter(choose_way())
        base = os.open(folder, os.O_PATH)
        root = overlay_mount(base, ["base", "scratch"], "upper", "work", userxattr=True, method=method)
        os.unlink("bin/sh", dir_fd=root)
        return ",".join(sorted(os.listdir(f"/proc/self/fd/{root}")))

    assert as_user(account, work) == "bin,etc"
    assert os.stat(f"{folder}/upper/bin/sh", follow_symlinks=False).st_rdev == 0


def test_without_subordinate_ids(account: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "_subordinate", lambda _path, _uid: [])
    answer = as_user(account, lambda: choose_way().name)
    assert "no subordinate ids" in answer
    assert "usermod" in answer


def test_without_newuidmap(account: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    answer = as_user(account, lambda: choose_way().name)
    assert "newuidmap is missing" in answer
    forced = as_user(account, lambda: str(enter(ways.Way("rootless", works=True))))
    assert "the program is missing" in forced


def test_ids_of_others_are_refused(account: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "_subordinate", lambda _path, _uid: [(0, 65536)])
    answer = as_user(account, lambda: str(enter(ways.Way("rootless", works=True))))
    assert "newuidmap" in answer
    assert "not allowed" in answer
