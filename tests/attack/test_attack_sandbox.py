"""Hostile root file systems and hostile processes: none of them reaches the host."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.core.process import overlay_mount
from builder.errors import BuilderError, SandboxError
from builder.sandbox.process import Limit, Mount, Process
from builder.sandbox.run import run_process
from builder.sandbox.users import lookup_owner, lookup_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Trap:
    """A busybox rootfs to be made hostile, and a folder of the host that must stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        self.outside = folder / "outside"
        for path in (self.base / "bin", self.base / "etc", self.outside, folder / "scratch"):
            path.mkdir(parents=True)
        (self.outside / "secret").write_text("secret")
        (folder / "upper").mkdir()
        (folder / "work").mkdir()
        self.upper = folder / "upper"
        self.scratch = folder / "scratch"
        shutil.copy("/bin/busybox", self.base / "bin/busybox")
        for name in ("sh", "cat", "ls", "sleep", "mount", "chroot", "mkdir", "touch", "kill", "ln"):
            (self.base / "bin" / name).symlink_to("busybox")
        self.fd = os.open(folder, os.O_PATH)

    def run(self, script: str, **fields: object) -> tuple[int, str]:
        root = overlay_mount(self.fd, ["base"], "upper", "work")
        output: list[bytes] = []
        try:
            result = run_process(
                Process(("/bin/sh", "-c", script), **{"env": (("PATH", "/bin"),), **fields}),  # type: ignore[arg-type]
                root,
                scratch=str(self.scratch),
                on_output=lambda _, data: output.append(data),
            )
        finally:
            os.close(root)
        return result.status, b"".join(output).decode()


DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LONG_AGO = 946684800


def devices() -> dict[str, tuple[int, int, int]]:
    """Owner and mode of devices of the host."""
    found = {name: os.stat(f"/dev/{name}") for name in DEVICES}
    return {name: (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) for name, stat in found.items()}


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    trap, before = Trap(tmp_path), devices()
    yield trap
    os.close(trap.fd)
    after = devices()
    for name, (uid, gid, mode) in before.items():  # a test that fails must not break the machine
        os.chown(f"/dev/{name}", uid, gid)
        os.chmod(f"/dev/{name}", mode)
    assert after == before
    assert [path.name for path in trap.outside.iterdir()] == ["secret"]
    assert (trap.outside / "secret").read_text() == "secret"
    assert list(trap.scratch.iterdir()) == []


@pytest.mark.parametrize("name", ["proc", "sys", "dev", "etc/resolv.conf", "etc/hosts"])
@pytest.mark.parametrize("up", ["", "../../../../../../../.."])
def test_mount_points_that_are_links_to_outside(trap: Trap, name: str, up: str) -> None:
    (trap.base / name).symlink_to(up + str(trap.outside / "made"))
    status, _ = trap.run("true")
    assert status == 0
    # Made inside the rootfs for the run, and gone again.
    assert not [path for path in trap.upper.rglob("*") if not path.is_dir()]
    assert not (trap.upper / "tmp").exists()


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_mount_points_that_are_files(trap: Trap, name: str) -> None:
    (trap.base / name).write_text("")
    with pytest.raises(SandboxError, match=name):
        trap.run("true")


def test_links_in_a_circle(trap: Trap) -> None:
    (trap.base / "proc").symlink_to("sys")
    (trap.base / "sys").symlink_to("proc")
    with pytest.raises(SandboxError, match="proc"):
        trap.run("true")


def test_mount_target_through_links(trap: Trap) -> None:
    (trap.base / "a").symlink_to("/../../../.." + str(trap.outside))
    status, text = trap.run("ls -A /a/deep", mounts=(Mount("/a/deep/x", kind="tmpfs"),))
    assert (status, text) == (0, "x\n")
    assert not [path for path in trap.upper.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_user_files_that_lead_outside(trap: Trap, name: str) -> None:
    (trap.outside / "secret").write_text("secret")
    (trap.base / "etc" / name).symlink_to("../../../../../../../etc/" + name)
    root = os.open(trap.base, os.O_PATH)
    try:
        with pytest.raises(BuilderError):  # a link to itself, seen from inside
            lookup_user(root, "daemon")
    finally:
        os.close(root)


def test_passwd_as_a_link_to_the_hosts(trap: Trap) -> None:
    (trap.base / "etc/passwd").symlink_to("/etc/shadow")
    with pytest.raises(SandboxError, match="daemon"):
        trap.run("true", user="daemon")


def test_passwd_as_a_fifo_or_a_directory(trap: Trap) -> None:
    os.mkfifo(trap.base / "etc/passwd")
    (trap.base / "etc/group").mkdir()
    root = os.open(trap.base, os.O_PATH)
    try:
        for lookup in (lookup_user, lookup_owner):
            with pytest.raises(SandboxError, match="not a regular file"):
                lookup(root, "app")
        with pytest.raises(SandboxError, match="not a regular file"):
            lookup_owner(root, "1:staff")
    finally:
        os.close(root)


def test_passwd_of_garbage(trap: Trap) -> None:
    lines = [os.urandom(5000), b"app:x:5:6::/h:/s", b":" * 5000, b"\xff:x:1:1", b""]
    (trap.base / "etc/passwd").write_bytes(b"\n".join(lines))
    root = os.open(trap.base, os.O_PATH)
    try:
        assert lookup_user(root, "app").uid == 5
    finally:
        os.close(root)


def test_the_program_is_looked_up_inside(trap: Trap) -> None:
    (trap.base / "bin/outside").symlink_to("/../../../../../../../../usr/bin/python3")
    status, _ = trap.run("outside -c 'print(1)'")
    assert status == 127


def test_processes_that_multiply_and_refuse_to_end(trap: Trap) -> None:
    loop = "(trap '' TERM HUP; while :; do sleep 9; done) &"
    script = f"trap '' TERM INT HUP; for i in 1 2 3 4 5 6 7 8; do {loop} done; exit 3"
    assert trap.run(script, limits=(Limit("nproc", 4000, 4000),))[0] == 3


def test_the_old_root_is_out_of_reach(trap: Trap) -> None:
    script = f"""
        ls /proc/1/root{trap.outside} /proc/self/cwd/../../../..{trap.outside} 2>&1
        mkdir /jail; chroot /jail /bin/sh 2>/dev/null
        cd /; for i in 1 2 3 4 5 6 7 8 9; do cd ..; done; ls {str(trap.outside)[1:]} 2>&1
        cat /proc/self/mountinfo | while read id parent dev from at rest; do echo "at $at"; done
    """
    status, text = trap.run(script)
    assert "secret" not in text.replace("No such", "")
    assert all(not line.startswith("at /tmp") for line in text.splitlines())
    assert status == 0


def test_a_process_cannot_change_the_files_that_it_was_given(trap: Trap) -> None:
    before = Path("/etc/hosts").read_bytes()
    status, _ = trap.run(
        f"echo x > /etc/hosts; ln -sf {trap.outside} /etc/hosts; mount -o remount,rw /etc/hosts"
    )
    assert status != 0
    assert Path("/etc/hosts").read_bytes() == before


def test_devices_are_its_own(trap: Trap) -> None:
    """Of a descriptor, too: what it leads to can be changed through /proc/self/fd."""
    script = (
        f"cd /dev; for name in {' '.join(DEVICES)}; do"
        "  busybox chown 7:8 $name; busybox chmod 640 $name; busybox touch -d '2000-01-01 00:00:00' $name;"
        "  busybox stat -c '%n %u:%g %a %Y' $name; done;"
        "busybox chmod 604 /proc/self/fd/0; busybox stat -c %a null;"
        "for name in keys timer_list interrupts; do busybox chown 9:9 /proc/$name; done 2>&1;"
        "echo x > null; busybox head -c 3 zero | busybox wc -c"
    )
    status, text = trap.run(script, env=(("PATH", "/bin"), ("TZ", "UTC")))
    assert [*text.splitlines()[:7], text.splitlines()[-1]] == [
        *(f"{name} 7:8 640 {LONG_AGO}" for name in DEVICES),
        "604",
        "3",
    ]
    assert status == 0
    assert LONG_AGO not in [int(os.stat(f"/dev/{name}").st_mtime) for name in DEVICES]


def test_stubs_are_removed_through_the_rootfs_only(trap: Trap) -> None:
    """A process that puts a link where the parent of a mount point was cannot lead the clean-up outside."""
    (trap.outside / "resolv.conf").touch()
    try:
        status, _ = trap.run(
            f"mkdir /new; cd /new; mv /m /m2 2>/dev/null; ln -s {trap.outside} /m 2>/dev/null; true",
            mounts=(Mount("/m/resolv.conf", kind="tmpfs"),),
        )
        assert status == 0
        assert (trap.outside / "resolv.conf").exists()
    finally:
        (trap.outside / "resolv.conf").unlink()
