"""Builds and containers of an ordinary user with subordinate ids."""

from __future__ import annotations

import subprocess

from user_place import User


def test_an_ordinary_user_builds_and_runs(user: User) -> None:
    context = user.context(
        "FROM base\nCOPY --chown=app:staff f /f\nRUN id -u > /id && rm /etc/group && mkdir /d && chown 1001:50 /d\n"
        'USER app\nRUN id -un > /home/app/who\nCMD ["sh", "-c", "cat /id /home/app/who; ls -ln /f"]\n',
        f="mine\n",
    )
    flags = ["-t", "app", "-o", "type=image", "-o", f"type=oci,dest={user.folder / 'out.tar'}"]
    assert user.run("build", *flags, context).stderr.count("CACHED") <= 1
    assert user.run("build", *flags, context).stderr.count("CACHED") == 4
    shown = user.run("run", "app").stdout.splitlines()
    assert shown[:2] == ["0", "app"]
    assert shown[2].split()[2:4] == ["1000", "50"]
    # The image says the ids that it has inside, not those of the user's range.
    script = "skopeo copy -q oci-archive:out.tar dir:dir && for f in dir/*; do tar -tvzf $f 2>/dev/null || true; done"
    listed = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, cwd=user.folder
    ).stdout
    assert any(line.split()[1] == "1000/50" and line.endswith(" f") for line in listed.splitlines()), listed
    assert any(line.split()[1] == "1001/50" and line.endswith(" d/") for line in listed.splitlines())
    assert any("etc/.wh.group" in line for line in listed.splitlines())


def test_an_ordinary_user_plans_and_explains(user: User) -> None:
    context = user.context(
        'FROM base AS one\nCOPY --chown=app f /f\n# pybuild: recheck="cat /f"\nRUN cat /f > /g\n'
        "FROM base\nCOPY --from=one /g /g\nRUN --mount=from=one,target=/m cat /m/g > /h\n",
        f="one\n",
    )
    user.run("build", context)
    planned = user.run("plan", context).stdout
    assert "3 hits, 0 misses" in planned and "depends on what it says now: cat /f" in planned
    (context / "f").write_text("two\n")
    assert "1 file changed: f (content)" in user.run("plan", context).stdout
    user.run("build", context)
    told = user.run("explain", "--diff").stdout
    assert "    -one\n    +two\n" in told and "because step" in told


def test_prune_removes_files_of_other_ids(user: User) -> None:
    """Files of subordinate ids, which the user cannot remove outside the user namespace, and those of killed builds."""
    context = user.context(
        "FROM base\nRUN --mount=type=cache,target=/c,uid=1001 mkdir /d && echo x > /d/x && chown -R 1001:50 /d && chmod 700 /d"
        " && dd if=/dev/zero of=/c/big bs=1k count=300 && chown 1001 /c/big && chmod 500 /d /c\n"
    )
    user.run("build", "-q", "-t", "app", context)
    (snapshot,) = user.store.glob("snapshots/*/fs/d")
    assert snapshot.stat().st_uid not in (0, user.store.stat().st_uid)
    # A killed build's run with files of such an id.
    killed = user.store / "runs" / "0123456789abcdef"
    subprocess.run(["cp", "-a", str(snapshot.parent.parent), str(killed)], check=True)
    assert "cache mounts" in user.run("du").stdout
    user.run("rmi", "app")
    assert "reclaimed" in user.run("prune", "--all", "--force").stdout
    for folder in ("snapshots", "runs", "blobs/sha256", "caches", "listings"):
        assert list((user.store / folder).iterdir()) == [], folder
