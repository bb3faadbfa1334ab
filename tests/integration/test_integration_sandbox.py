"""Processes in real sandboxes on a busybox rootfs, as root."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.core.process import CAPABILITIES, DEFAULT_CAPABILITIES, overlay_mount
from builder.errors import Cancelled, CommandError, SandboxError, StepError, UsageError
from builder.sandbox.process import Limit, Mount, Process, Result
from builder.sandbox.run import run_process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:50:app\naudio:x:63:app\napp:x:1000:\n"


class Box:
    """A busybox layer, and a fresh upper directory for every run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = folder / "base"
        for name in ("bin", "etc", "tmp"):
            (self.base / name).mkdir(parents=True)
        (self.base / "tmp").chmod(0o1777)
        shutil.copy("/bin/busybox", self.base / "bin/busybox")
        for name in subprocess.run(
            ["/bin/busybox", "--list"], capture_output=True, text=True, check=True
        ).stdout.split():
            if name != "busybox":
                (self.base / "bin" / name).symlink_to("busybox")
        (self.base / "etc/passwd").write_text(PASSWD)
        (self.base / "etc/group").write_text(GROUP)
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.fd = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self.runs = 0
        self.upper = folder
        self.live: type[list[tuple[str, bytes]]] = list
        self.output = self.live()

    def run(self, process: Process, cancelled: threading.Event | None = None) -> Result:
        self.runs += 1
        self.upper = self.folder / f"upper{self.runs}"
        self.upper.mkdir()
        (self.folder / f"work{self.runs}").mkdir()
        root = overlay_mount(self.fd, ["base"], f"upper{self.runs}", f"work{self.runs}")
        self.output = self.live()
        try:
            return run_process(
                process,
                root,
                scratch=str(self.scratch),
                on_output=lambda name, data: self.output.append((name, data)),
                cancelled=cancelled,
            )
        finally:
            os.close(root)

    def sh(self, script: str, **fields: object) -> str:
        """Run a shell script that must end well, and give its output."""
        result = self.run(Process(("/bin/sh", "-c", script), env=(("PATH", "/bin"),), **fields))  # type: ignore[arg-type]
        text = self.text()
        assert result.status == 0, text
        return text

    def text(self, stream: str | None = None) -> str:
        return b"".join(data for name, data in self.output if stream in (None, name)).decode()

    def changed(self) -> set[str]:
        """Everything in the upper directory but directories that the base has too."""
        found = {str(path.relative_to(self.upper)) for path in self.upper.rglob("*")}
        return {name for name in found if not (self.base / name).is_dir()}


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    yield box
    os.close(box.fd)
    assert list(box.scratch.iterdir()) == [], "a run left something in its scratch directory"


def test_it_is_process_one_and_sees_only_its_own(box: Box) -> None:
    assert box.sh("echo $$; ls -d /proc/[0-9]* | wc -l").split()[0] == "1"
    assert int(box.text().split()[1]) < 9


def test_nothing_of_the_mount_points_stays(box: Box) -> None:
    before = os.stat(box.base / "etc").st_mtime_ns
    box.sh("test -d /proc/1 && test -e /sys/kernel && test -c /dev/null && test -s /etc/hosts")
    assert box.changed() == set()
    assert os.stat(box.upper / "etc").st_mtime_ns == before


def test_what_the_process_writes_stays(box: Box) -> None:
    box.sh(
        "echo x > /etc/new; mkdir /d; mkdir -p /opt/a; echo x > /opt/a/b",
        mounts=(Mount("/opt/a/m", kind="tmpfs"),),
    )
    assert box.changed() == {"etc/new", "d", "opt", "opt/a", "opt/a/b"}


def test_mount_points_through_a_dangling_link(box: Box) -> None:
    (box.base / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    assert "nameserver" in box.sh("cat /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf")
    assert box.changed() == set()


def test_streams_are_kept_apart(box: Box) -> None:
    box.sh("echo out; echo err >&2; printf last")
    assert box.text("stdout") == "out\nlast"
    assert box.text("stderr") == "err\n"


def test_output_comes_live(box: Box) -> None:
    """The process waits for an answer to what it wrote."""
    stdin, answer = os.pipe()

    class Answering(list[tuple[str, bytes]]):
        def append(self, item: tuple[str, bytes]) -> None:
            if not self:
                os.write(answer, b"heard\n")
            super().append(item)

    box.live = Answering
    box.run(Process(("/bin/sh", "-c", "echo a; read -t 60 word; echo $word"), stdin=stdin))
    os.close(stdin)
    os.close(answer)
    assert box.text("stdout") == "a\nheard\n"


def test_read_only_rootfs_with_all_mount_points(box: Box) -> None:
    """One lower alone is read-only, and enough if nothing has to be made in it."""
    for name in ("proc", "sys", "dev"):
        (box.base / name).mkdir()
    for name in ("resolv.conf", "hosts"):
        (box.base / "etc" / name).touch()
    root = overlay_mount(box.fd, ["base"], None, None)
    process = Process(("/bin/sh", "-c", "echo x > /x || exit 3"))
    assert run_process(process, root, scratch=str(box.scratch), on_output=lambda *_: None).status == 3
    os.close(root)


def test_large_output_without_line_end(box: Box) -> None:
    box.sh("head -c 3000000 /dev/zero")
    assert sum(len(data) for _, data in box.output) == 3_000_000
    assert max(len(data) for _, data in box.output) <= 1 << 16


def test_closed_output_does_not_end_the_process(box: Box) -> None:
    box.sh("exec >&- 2>&-; sleep 0.2; echo done > /done")
    assert "done" in box.changed()


def test_background_children_are_killed(box: Box) -> None:
    box.sh("sleep 1000 & (trap '' TERM HUP; sleep 1000) & echo started")


@pytest.mark.parametrize(
    ("script", "status", "signal"),
    [("exit 37", 37, None), ("exit 255", 255, None), ("sh -c 'kill -9 $$'", 137, None)],
)
def test_status(box: Box, script: str, status: int, signal: int | None) -> None:
    result = box.run(Process(("sh", "-c", script + "; exit $?"), env=(("PATH", "/bin"),)))
    assert (result.status, result.signal) == (status, signal)


def test_own_signal(box: Box) -> None:
    """A process killed from outside, as the kernel's out-of-memory killer would."""
    from builder.sandbox.run import running

    (box.folder / "u").mkdir()
    (box.folder / "w").mkdir()
    root = overlay_mount(box.fd, ["base"], "u", "w")
    process = Process(("sleep", "100"), env=(("PATH", "/bin"),))
    with running(process, root, scratch=str(box.scratch), streams=(-1, -1, -1)) as child:
        os.kill(child.pid, 9)
        assert child.wait() == (137, 9)
    os.close(root)


def test_standard_input_is_empty(box: Box) -> None:
    assert box.sh("cat; read x || echo eof") == "eof\n"


def test_user_groups_home_and_working_directory(box: Box) -> None:
    text = box.sh(
        "id -u; id -g; id -G; echo $HOME; pwd; touch f; echo x > /dev/stdout", user="app", cwd="/srv/app/data"
    )
    lines = text.splitlines()
    assert lines[:2] == ["1000", "1000"]
    assert sorted(lines[2].split()) == ["1000", "50", "63"]
    assert lines[3:] == ["/home/app", "/srv/app/data", "x"]
    for name in ("srv", "srv/app", "srv/app/data", "srv/app/data/f"):
        assert os.stat(box.upper / name).st_uid == 1000
    assert os.stat(box.upper / "srv/app").st_mode & 0o7777 == 0o755


def test_environment_is_only_what_was_given(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAK", "outside")
    root_env = Process(("/bin/env",), env=(("A", "1"), ("B", "x=y\nz")))
    box.run(root_env)
    assert box.text() == "A=1\nB=x=y\nz\nHOME=/root\n"


def test_home_of_the_environment_wins(box: Box) -> None:
    box.run(Process(("/bin/env",), env=(("HOME", "/custom"),), user="app"))
    assert box.text() == "HOME=/custom\n"


def test_umask_hostname_hosts(box: Box) -> None:
    text = box.sh(
        "umask; hostname; grep test.example /etc/hosts", extra_hosts=(("test.example", "192.0.2.7"),)
    )
    assert text == "0022\nbuildkitsandbox\n192.0.2.7\ttest.example\n"


def test_network_none(box: Box) -> None:
    assert (
        box.sh("wc -l < /proc/net/route; ping -c1 -w60 127.0.0.1 > /dev/null && echo lo", network="none")
        == "1\nlo\n"
    )


def test_no_privileges_beyond_dockers(box: Box) -> None:
    text = box.sh(
        "mkdir /mnt; mount -t tmpfs none /mnt 2>&1 || echo no mount; hostname x 2>&1 || echo no hostname;"
        "(echo 1 > /proc/sys/kernel/panic) 2>&1 || echo no sysctl; (echo > /etc/hosts) 2>&1 || echo no hosts;"
        "mknod /vda b 254 0 && cat /vda 2>&1 | head -c 60; mknod /dev/x c 1 3; cat /dev/x 2>&1;"
        "chown app /bin/ls"
    )
    for part in ("no mount", "no hostname", "no sysctl", "no hosts"):
        assert part in text
    assert text.count("ermission denied") >= 2


def test_insecure_keeps_privileges(box: Box) -> None:
    assert box.sh("mkdir /mnt; mount -t tmpfs none /mnt && echo mounted", security="insecure") == "mounted\n"


def test_mounts(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "f").write_text("content")
    (tmp_path / "script").write_text("#!/bin/sh\necho script\n")
    (tmp_path / "script").chmod(0o755)
    fd = os.open(source, os.O_PATH)
    text = box.sh(
        "cat /ctx/f; touch /ctx/new 2>/dev/null || echo ' read-only'; touch /rw/new; ls -A /t; stat -c %a /t;"
        "/dev/pipes/EOF; df -k /t | tail -1 | awk '{print $2}'; cat /file",
        mounts=(
            Mount("/ctx", source=str(source), read_only=True),
            Mount("/rw", source_fd=fd),
            Mount("/t", kind="tmpfs", size=1 << 20, mode=0o700),
            Mount("/dev/pipes/EOF", source=str(tmp_path / "script"), read_only=True),
            Mount("/file", source=str(source / "f"), read_only=True),
        ),
    )
    os.close(fd)
    assert text == "content read-only\n700\nscript\n1024\ncontent"
    assert (source / "new").exists()
    assert box.changed() == set()


def test_limits(box: Box) -> None:
    assert (
        box.sh("ulimit -n; ulimit -c", limits=(Limit("nofile", 123, 456), Limit("core", -1, -1)))
        == "123\nunlimited\n"
    )
    with pytest.raises(UsageError, match="nosuch"):
        box.run(Process(("true",), limits=(Limit("nosuch", 1, 1),)))


def test_no_descriptor_is_inherited(box: Box) -> None:
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        assert sorted(box.sh("ls /proc/self/fd").split()) == ["0", "1", "2", "3"]  # 3 is ls's own
    finally:
        os.close(leak)


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (("no-such-program",), 127, r"not found in \$PATH"),
        (("/bin/no-such",), 127, "no such file"),
        (("/etc/passwd",), 126, "permission denied"),
        (("/script",), 127, "interpreter"),
        (("/garbage",), 127, "format"),
    ],
)
def test_command_that_cannot_run(box: Box, argv: tuple[str, ...], status: int, words: str) -> None:
    (box.base / "script").write_text("#!/no/interpreter\n")
    (box.base / "garbage").write_bytes(b"\x7fnot a program")
    for name in ("script", "garbage"):
        (box.base / name).chmod(0o755)
    with pytest.raises(CommandError, match=words) as caught:
        box.run(Process(argv, env=(("PATH", "/bin"),)))
    assert caught.value.status == status
    assert box.changed() == set()


def test_working_directory_that_is_a_file(box: Box) -> None:
    with pytest.raises(StepError, match=r"/etc/passwd.*irectory"):
        box.run(Process(("/bin/true",), cwd="/etc/passwd"))


def test_unknown_user_starts_nothing(box: Box) -> None:
    with pytest.raises(SandboxError, match="ghost"):
        box.run(Process(("/bin/true",), user="ghost"))


def test_cancel_kills_what_ignores_signals(box: Box) -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    with pytest.raises(Cancelled):
        box.run(Process(("/bin/sh", "-c", "trap '' TERM INT; while :; do /bin/sleep 1; done")), cancelled)
    assert box.changed() == set()


def test_an_error_in_the_callback_kills_the_process(box: Box) -> None:
    def fail(_stream: str, _data: bytes) -> None:
        raise RuntimeError("full")

    (box.folder / "u").mkdir()
    (box.folder / "w").mkdir()
    root = overlay_mount(box.fd, ["base"], "u", "w")
    with pytest.raises(RuntimeError, match="full"):
        run_process(
            Process(("/bin/sh", "-c", "echo x; sleep 100")), root, scratch=str(box.scratch), on_output=fail
        )
    os.close(root)


def test_it_dies_with_its_builder(box: Box) -> None:
    """A builder that is killed leaves no process behind."""
    out_read, out_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        box.run(Process(("/bin/sh", "-c", "sleep 1000 & echo x >&0; sleep 1000"), stdin=out_write))
        os._exit(0)
    os.close(out_write)
    assert os.read(out_read, 1) == b"x"  # it has started
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    assert os.read(out_read, 2) == b"\n"
    assert os.read(out_read, 1) == b""  # the last holder of the other end is gone
    os.close(out_read)
    shutil.rmtree(box.scratch)
    box.scratch.mkdir()


def test_parallel_launches(box: Box) -> None:
    def work(number: int) -> None:
        (box.folder / f"u{number}").mkdir()
        (box.folder / f"w{number}").mkdir()
        root = overlay_mount(box.fd, ["base"], f"u{number}", f"w{number}")
        output: list[bytes] = []
        for _ in range(1):
            result = run_process(
                Process(("/bin/sh", "-c", f"echo {number}"), user=str(number) if number % 2 else ""),
                root,
                scratch=str(box.scratch),
                on_output=lambda _, data: output.append(data),
            )
        os.close(root)
        results[number] = (result.status, b"".join(output))

    results: dict[int, tuple[int, bytes]] = {}
    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: (0, f"{number}\n".encode()) for number in range(12)}


@pytest.mark.parametrize("method", ["newest", "by-name", "classic"])
def test_overlay_of_500_layers(tmp_path: Path, method: str) -> None:
    names = [f"layers/some-rather-long-name-{number:064}/fs" for number in range(500)]
    for number, name in enumerate(names):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / f"f{number}").touch()
        (tmp_path / name / "top").write_text(str(number))
    (tmp_path / "upper").mkdir()
    (tmp_path / "work").mkdir()
    base = os.open(tmp_path, os.O_PATH)
    gc.collect()  # what earlier tests left open is closed now
    before = set(os.listdir("/proc/self/fd"))
    root = overlay_mount(base, names, "upper", "work", method=method)
    try:
        assert len(os.listdir(f"/proc/self/fd/{root}")) == 501
        fd = os.open("top", os.O_RDWR, dir_fd=root)
        assert os.read(fd, 10) == b"0"
        os.close(fd)
        assert (tmp_path / "upper/top").exists()
    finally:
        os.close(root)
    assert set(os.listdir("/proc/self/fd")) <= before
    os.close(base)


def test_overlay_edges(tmp_path: Path) -> None:
    for name in ("a", "b", "upper", "work"):
        (tmp_path / name).mkdir()
    base = os.open(tmp_path, os.O_PATH)
    root = overlay_mount(base, [], "upper", "work")  # FROM scratch
    os.mkdir("made", dir_fd=root)
    os.close(root)
    assert (tmp_path / "upper/made").is_dir()
    for lowers in (["a"], ["a", "b"]):
        root = overlay_mount(base, lowers, None, None)
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir("made", dir_fd=root)
        os.close(root)
    os.close(base)


def runc_view(folder: Path, command: str) -> str:
    """What a command prints in runc with its own default spec, on the same base."""
    bundle = folder / "bundle"
    bundle.mkdir(exist_ok=True)
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    docker = [f"CAP_{name}" for name in CAPABILITIES if DEFAULT_CAPABILITIES >> CAPABILITIES[name] & 1]
    spec["process"] |= {
        "terminal": False,
        "args": ["/bin/sh", "-c", command],
        "env": ["PATH=/bin"],
        "capabilities": {"bounding": docker, "effective": docker, "permitted": docker},
        "noNewPrivileges": False,
    }
    spec["root"] = {"path": str(folder / "base"), "readonly": False}
    spec["process"]["user"]["additionalGids"] = [0]
    spec["linux"].pop("resources", None)
    for mount in spec["mounts"]:
        if mount["destination"] == "/proc":
            mount["options"] = ["nosuid", "noexec", "nodev"]  # as Docker
    (bundle / "config.json").write_text(json.dumps(spec))
    name = f"differential-{os.getpid()}"
    done = subprocess.run(
        ["runc", "run", "-b", str(bundle), name], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"runc does not run here: {done.stderr}")
    return done.stdout


@pytest.mark.skipif(shutil.which("runc") is None, reason="needs runc")
@pytest.mark.parametrize(
    "command",
    [
        "grep Cap /proc/self/status",
        "cd /dev; stat -c '%F %a %t:%T %u:%g %N' $(ls | sort)",
        "grep -E ' /(proc|dev/pts|dev/shm|dev/mqueue|sys) ' /proc/mounts | cut -d ' ' -f 2-4 | sort",
        "umask; cat /proc/self/oom_score_adj; id; pwd; echo $$; env | sort",
        "stat -c '%a %u %g %n' /dev /dev/shm /dev/mqueue /dev/pts /dev/ptmx /proc /sys",
    ],
)
def test_same_as_runc(box: Box, command: str) -> None:
    theirs = runc_view(box.folder, command)
    for name in ("proc", "sys", "dev"):
        (box.base / name).rmdir()  # what runc left behind
    ours = box.sh(command)
    # Only Docker has /dev/core, and only with a terminal is there a /dev/console.
    assert [line for line in ours.splitlines() if "core" not in line] == [
        line for line in theirs.splitlines() if "console" not in line and "core" not in line
    ]
