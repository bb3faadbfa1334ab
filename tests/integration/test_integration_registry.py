"""Pull, push and pull again, against Debian's docker-registry."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run
from registry_server import PASSWORD, USER, Registry, TokenRegistry, run_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with run_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def locked_registry(tmp_path: Path) -> Iterator[Registry]:
    with run_registry(tmp_path / "locked", password=True) as found:
        yield found


@pytest.fixture
def project(context: Path) -> Path:
    (context / "Buildfile").write_text('FROM base\nRUN echo one > /one\nCOPY f /f\nCMD ["cat", "/f"]\n')
    (context / "f").write_text("first\n")
    return context


def other_store(tmp_path: Path, name: str) -> list[str]:
    return ["--store", str(tmp_path / name)]


def uploads(registry: Registry, start: int) -> list[str]:
    return [
        line for line in registry.requests()[start:] if line.startswith("PUT ") and "/blobs/uploads/" in line
    ]


def test_push_then_pull_as_a_base_then_push_one_layer(
    pybuild: Run, project: Path, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/app:1"
    pybuild("build", "-t", name, "--push", project)
    seen = json.loads(
        subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"], check=True, capture_output=True
        ).stdout
    )
    assert len(seen["Layers"]) == 3

    # As a base, in a store that has nothing: the tag is resolved, the layers are fetched and unpacked.
    (project / "child").write_text(f"FROM {name}\nRUN cat /one /f > /both\n")
    folder = tmp_path / "out"
    fresh = other_store(tmp_path, "fresh")
    pybuild(
        "build", *fresh, "-f", project / "child", "-o", folder, "-t", f"{registry.host}/team/child", project
    )
    assert (folder / "both").read_text() == "one\nfirst\n"

    # Pushing the child sends its own layer and config; the others are there already, or mounted.
    before = len(registry.requests())
    pybuild("push", *fresh, f"{registry.host}/team/child")
    assert len(uploads(registry, before)) == 2

    # One edit: one layer, and the config that names it.
    (project / "f").write_text("second\n")
    before = len(registry.requests())
    pybuild("build", "-t", name, "--push", project)
    assert len(uploads(registry, before)) == 2
    assert pybuild("run", *fresh, "--pull", "always", name).stdout == "second\n"

    # Nothing new: nothing is sent.
    before = len(registry.requests())
    pybuild("push", name)
    assert not uploads(registry, before)


def test_pull_fetches_only_what_is_missing(
    pybuild: Run, project: Path, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.host}/app"
    pybuild("build", "-t", name, "--push", project)
    fresh = other_store(tmp_path, "fresh")
    pybuild("pull", *fresh, name)
    (project / "f").write_text("second\n")
    pybuild("build", "-t", name, "--push", project)
    before = len(registry.requests())
    pybuild("pull", *fresh, name)
    blobs = [line for line in registry.requests()[before:] if line.startswith("GET ") and "/blobs/" in line]
    assert len(blobs) == 2, blobs
    assert pybuild("run", *fresh, name).stdout == "second\n"


def test_what_skopeo_pushed_is_pulled(pybuild: Run, bases: Path, registry: Registry) -> None:
    name = f"{registry.host}/base2:v1"
    subprocess.run(
        ["skopeo", "copy", "--dest-tls-verify=false", f"oci:{bases / 'base2'}:latest", f"docker://{name}"],
        check=True,
        capture_output=True,
    )
    pybuild("pull", name)
    assert pybuild("run", "--entrypoint", "", name, "cat", "/srv/data/readme").stdout == "from base2\n"
    digest = json.loads(pybuild("inspect", name).stdout)[0]["Digest"]
    assert digest in pybuild("pull", f"{registry.host}/base2@{digest}").stdout


def test_a_password_is_wanted_checked_and_kept_private(
    pybuild: Run, project: Path, locked_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = locked_registry.host
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    refused = pybuild("build", "-t", f"{host}/app", "--push", project, ok=False)
    assert refused.returncode == 1
    assert f"pybuild login {host}" in refused.stderr
    wrong = pybuild("login", "-u", USER, "--password-stdin", host, ok=False, input="wrong")
    assert wrong.returncode == 1
    assert "refused" in wrong.stderr
    pybuild("login", "-u", USER, "--password-stdin", host, input=PASSWORD)
    config = tmp_path / "docker" / "config.json"
    assert config.stat().st_mode & 0o777 == 0o600
    done = pybuild("build", "-t", f"{host}/app", "--push", project)
    pybuild("pull", *other_store(tmp_path, "fresh"), f"{host}/app")
    assert PASSWORD not in done.stdout + done.stderr + wrong.stderr
    pybuild("logout", host)
    assert pybuild("pull", *other_store(tmp_path, "third"), f"{host}/app", ok=False).returncode == 1


def test_the_environment_may_hold_the_password(
    pybuild: Run, project: Path, locked_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = locked_registry.host
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nothing"))
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: {"auth": auth}}}))
    cache = f"type=registry,ref={host}/cache"
    pybuild("build", "-t", f"{host}/app", "--push", "--cache-to", cache, project)
    (project / "child").write_text(f"FROM {host}/app\nRUN true\n")
    pybuild("build", *other_store(tmp_path, "second"), "-f", project / "child", project)
    done = pybuild("build", *other_store(tmp_path, "third"), "--cache-from", f"{cache},wait=600", project)
    assert "2 hits" in done.stderr  # the base is in an archive
    for file in (tmp_path / "store").rglob("*"):
        assert not file.is_file() or auth.encode() not in file.read_bytes()


def test_tokens_are_fetched_once_for_each_scope(
    pybuild: Run, project: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = TokenRegistry(registry.host)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    (tmp_path / "docker").mkdir()
    auths = {front.host: {"username": USER, "password": PASSWORD}}
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": auths}))
    pybuild("build", "-t", f"{front.host}/team/app", "--push", project)
    gets = [path for path in front.seen if path.startswith("GET")]
    assert len(gets) == 1
    assert "scope=repository%3Ateam%2Fapp%3Apull%2Cpush" in gets[0]
    pybuild("pull", *other_store(tmp_path, "fresh"), f"{front.host}/team/app")
    front.shutdown()
    front.server_close()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("{host}/nosuch:1", "is not there"),
        ("127.0.0.1:9/app", "cannot connect"),
        ("UPPER/app", "cannot connect"),
        ("{host}/app@sha256:" + "0" * 64, "is not there"),
    ],
)
def test_what_cannot_be_pulled_is_said_in_a_line(
    pybuild: Run, registry: Registry, reference: str, words: str
) -> None:
    failed = pybuild("pull", reference.format(host=registry.host), ok=False)
    assert failed.returncode in (1, 2)
    assert words in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_blob_that_was_tampered_with_is_refused(
    pybuild: Run, project: Path, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.host}/app"
    pybuild("build", "-t", name, "--push", project)
    layer = json.loads(pybuild("inspect", name).stdout)[0]["Layers"][-1]["digest"].removeprefix("sha256:")
    (data,) = (tmp_path / "registry/data").rglob(f"{layer}/data")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    failed = pybuild("pull", *other_store(tmp_path, "fresh"), name, ok=False)
    assert failed.returncode == 1
    assert layer[:12] in failed.stderr
    assert not any((tmp_path / "fresh" / "runs").iterdir())
    assert os.listdir(tmp_path / "fresh" / "snapshots") == [] or "Traceback" not in failed.stderr


def test_a_tag_that_moved_is_told_with_both_digests(
    pybuild: Run, project: Path, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/base:1"
    pybuild("build", "-t", name, "--push", project)
    child = tmp_path / "child"
    child.mkdir()
    (child / "Buildfile").write_text(f"FROM {name}\nRUN cat /f > /g\n")
    fresh = other_store(tmp_path, "fresh")
    pybuild("build", *fresh, child)
    (project / "f").write_text("second\n")
    pybuild("build", "-t", name, "--push", project)
    # Without --pull the name stands for what it stood for; a plan asks nobody.
    assert "2 hits, 0 misses" in pybuild("plan", *fresh, child).stdout
    start = len(registry.requests())
    assert "only a build asks the registry (--pull)" in pybuild("plan", "--pull", *fresh, child).stdout
    assert registry.requests()[start:] == []
    pybuild("build", "--pull", *fresh, child)
    text = pybuild("explain", *fresh).stdout
    assert re.search(rf"#1 \[1/2\] FROM {name}: digest sha256:\w{{12}} → sha256:\w{{12}}\n", text), text
    assert "#2 [2/2] RUN cat /f > /g: because step 1 changed" in text


def test_what_is_refused_is_told_before_anything_is_pulled(
    pybuild: Run, context: Path, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/base:1"
    (context / "Buildfile").write_text("FROM base\nONBUILD RUN --security=insecure true\n")
    pybuild("build", "-t", name, "--push", context)
    text = (
        f"FROM {name} AS other\nONBUILD RUN --network=host true\n"
        f"FROM {name}\nRUN echo first\nRUN --mount=type=SSH --device=a.b/c=d true\n"
        "FROM other\nRUN --mount=type=ssh --network=host echo second\nCOPY --from=1 / /y\n"
    )
    (context / "Buildfile").write_text(text)
    start = len(registry.requests())
    for flags in ([], ["--pull"]):
        store = other_store(tmp_path, "fresh")
        failed = pybuild("build", "--progress", "plain", *flags, *store, context, ok=False)
        assert failed.returncode == 1
        places = re.findall(r"Buildfile:(\d+:\d+): error: (.*?) is not", failed.stderr)
        assert places == [
            ("2:13", "network.host"),
            ("5:13", "RUN --mount=type=ssh"),
            ("5:22", "RUN --device"),
            ("7:13", "RUN --mount=type=ssh"),
            ("7:22", "network.host"),
        ], failed.stderr
        assert "echo" not in failed.stderr.partition("error:")[0]
    assert registry.requests()[start:] == []


def test_a_trigger_of_an_image_that_was_pulled_is_refused_before_the_stage_begins(
    pybuild: Run, context: Path, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/base:1"
    (context / "Buildfile").write_text(
        "FROM base\nONBUILD RUN echo before\nONBUILD RUN --network=host true\n"
    )
    pybuild("build", "-t", name, "--push", context)
    (context / "Buildfile").write_text(f"FROM {name}\nRUN echo first\n")
    for flags in (["--pull"], [], ["--pull"]):  # pulled, in the store, pulled again
        store = other_store(tmp_path, "fresh")
        failed = pybuild("build", "--progress", "plain", *flags, *store, context, ok=False)
        assert "Buildfile:1:1: error: network.host is not allowed" in failed.stderr
        assert "RUN echo" not in failed.stderr, failed.stderr
    pybuild("build", "--allow", "network.host", *other_store(tmp_path, "fresh"), context)
