"""Remote caches between machines: stores at different places, with another umask and time zone."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import DEADLINE, Run
from flaky_server import FlakyServer
from registry_server import PASSWORD, USER, Registry, run_registry
from remote_machines import BUILDFILE, NewMachine, blob, manifest_of, put, rename_cache, rewrite_records
from s3_server import Bucket, run_s3
from user_place import User

from builder.events import Warned


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with run_registry(tmp_path / "registry") as found:
        yield found


def push_layout(layout: Path, name: str) -> None:
    line = ["skopeo", "copy", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{name}"]
    subprocess.run(line, check=True, capture_output=True)


def fetched(registry: Registry, start: int = 0) -> list[str]:
    """The blobs that were fetched, by the registry's own log."""
    return [line for line in registry.requests()[start:] if line.startswith("GET ") and "/blobs/" in line]


def sent(registry: Registry, start: int = 0) -> list[str]:
    return [line for line in registry.requests()[start:] if line.startswith(("PUT ", "POST ", "PATCH "))]


# --- between machines ---


def test_what_only_a_cache_has_is_explained_in_the_same_words(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    second.build("--cache-from", f"type=local,src={cache}", "-o", "type=cacheonly")
    second.write("src/a", "another\n")
    two = second.build("-o", "type=cacheonly")
    # The records that are compared came without files: of the first COPY a listing has them, of the last one its stage.
    for title in ("COPY src", "COPY --from=build"):
        assert not any("gone" in text or "added" in text for text in two.reasons(title)), two.reasons(title)
    told = second.command("explain", "--diff")
    assert "src/a: not here: only a remote cache has it" in told


def test_a_folder_takes_a_whole_build_to_another_machine(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    one = first.build("--cache-to", f"type=local,dest={cache},mode=max")
    assert set(one.outcomes()) == {"miss"}
    two = second.build("--cache-from", f"type=local,src={cache}")
    assert two.outcomes() == ["hit"] * 6
    assert "CACHED from local" in two.text
    assert two.report["image"] == one.report["image"]
    assert second.command("run", two.report["image"], "cat", "/out", "/done") == "a\nb\ndone\n"
    # The layers of the first stage are needed by nothing: base's own, and the two of the second stage.
    assert second.layers() == 3


def test_a_step_that_runs_on_cached_ones_has_their_files(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    second.write("Buildfile", BUILDFILE.replace("echo side > /side", "cat /w/out /w/src/a > /side"))
    two = second.build("--cache-from", f"type=local,src={cache}", "--target", "build", "-o", tmp_path / "out")
    assert two.outcomes() == ["hit", "hit", "hit", "miss"]
    assert (tmp_path / "out" / "side").read_text() == "a\nb\na\n"
    assert two.reasons("RUN cat /w/out") == ["command: 'echo side > /side' → 'cat /w/out /w/src/a > /side'"]
    # What the second machine knows now it gives on; the third needs the first for nothing.
    third = machine()
    third.write("Buildfile", BUILDFILE.replace("echo side > /side", "cat /w/out /w/src/a > /side"))
    other = tmp_path / "other"
    second.build("--cache-from", f"type=local,src={cache}", "--cache-to", f"type=local,dest={other},mode=max")
    shutil.rmtree(cache)
    three = third.build(
        "--cache-from", f"type=local,src={other}", "--target", "build", "-o", tmp_path / "out3"
    )
    assert set(three.outcomes()) == {"hit"}
    assert (tmp_path / "out3" / "side").read_text() == "a\nb\na\n"


def test_a_result_that_is_the_same_again_keeps_later_steps_cached_elsewhere(
    machine: NewMachine, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    text = "FROM base\nRUN echo one > /one\nRUN echo two > /two\n"
    first, second = machine(), machine()
    first.write("Buildfile", text)
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    second.write("Buildfile", text.replace("RUN echo one", "RUN : && echo one"))
    two = second.build("--cache-from", f"type=local,src={cache}")
    assert two.outcomes() == ["miss", "hit"]


def test_only_the_result_travels_in_mode_min(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={cache}")
    assert len(list((cache / "blobs" / "sha256").iterdir())) == 4  # two layers, records, manifest
    two = second.build("--cache-from", f"type=local,src={cache}")
    assert two.steps["RUN echo done > /done"]["outcome"] == "hit"
    assert two.steps["RUN echo side > /side"]["outcome"] == "miss"


def test_the_way_to_the_first_cause_leads_through_stages_on_another_machine(
    machine: NewMachine, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    second.write("src/a", "other\n")
    second.build("--cache-from", f"type=local,src={cache}")
    explained = json.loads(second.command("explain", "--format", "json"))
    steps = {step["title"].split("] ")[-1]: step for step in explained["steps"]}
    names = {step["step"]: title for title, step in steps.items()}
    assert [names[number] for number in steps["RUN echo done > /done"]["chain"]] == [
        "COPY --from=build /w/out /out",
        "RUN echo side > /side",
        "RUN cat src/* > out && date +%N > stamp",
        "COPY src /w/src",
    ]


def test_a_miss_elsewhere_is_explained_by_the_nearest_record_there(
    machine: NewMachine, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    for one in (first, second):
        one.write("Buildfile", "FROM base\nARG VERSION\nRUN echo $VERSION > /v\nCOPY src /src\n")
    first.build("--build-arg", "VERSION=1.2", "--cache-to", f"type=local,dest={cache},mode=max")
    second.write("src/a", "changed\n")
    two = second.build("--build-arg", "VERSION=1.3", "--cache-from", f"type=local,src={cache}")
    assert two.reasons("RUN echo") == ["ARG VERSION: 1.2 → 1.3"]
    assert two.reasons("COPY")[0] == "src/a (content 2 → 8 bytes)"


def listings(cache: Path) -> list[dict[str, object]]:
    return [layer for layer in manifest_of(cache)["layers"] if "listing" in layer["mediaType"]]


def test_files_that_changed_since_another_machine_are_named(machine: NewMachine, tmp_path: Path) -> None:
    cache, again = tmp_path / "cache", tmp_path / "again"
    first, second, third = machine(), machine(), machine()
    for one in (first, second, third):
        one.write("Buildfile", "FROM base\nCOPY --exclude=*.log . /app\nRUN cat /app/src/a > /out\n")
        one.write(".dockerignore", "Buildfile\n.dockerignore\n")
        one.write("run.sh", "run\n")
        one.write("x.log", "one\n")
        (one.project / "run.sh").chmod(0o644)
        for folder in ("", "src"):
            (one.project / folder).chmod(0o755)
        for name in ("a", "b"):
            (one.project / "src" / name).chmod(0o644)
        (one.project / "src" / "link").symlink_to("a")
    one = first.build("--cache-to", f"type=local,dest={cache},mode=max")
    assert len(listings(cache)) == 1
    second.write("src/a", "b\n")
    second.write("src/new", "new\n")
    second.write("x.log", "two\n")
    (second.project / "src" / "new").chmod(0o644)
    (second.project / "src" / "b").unlink()
    (second.project / "src" / "link").unlink()
    (second.project / "src" / "link").symlink_to("new")
    (second.project / "run.sh").chmod(0o755)
    two = second.build(
        "--cache-from", f"type=local,src={cache}", "--cache-to", f"type=local,dest={again},mode=max"
    )
    assert two.reasons("COPY") == [
        "run.sh (mode 0644 → 0755)", "src/a (content)", "-src/b", "src/link (target)", "+src/new",
    ]  # fmt: skip
    assert (
        "COPY --exclude=*.log . /app: 5 files changed: run.sh (mode 0644 → 0755), src/a (content), "
        in second.command("explain")
    )
    told = second.command("explain", "--diff")
    assert "src/a: not here: it was compared with what a remote cache has" in told and "+new" in told
    # A third machine goes back to the first one's files: told against the second's, and a hit with the first's.
    three = third.build("--cache-from", f"type=local,src={again}")
    assert three.reasons("COPY")[0] == "run.sh (mode 0755 → 0644)" and len(three.reasons("COPY")) == 5
    # What came from elsewhere is known here from then on, file by file.
    fourth = machine()
    shutil.copytree(first.project, fourth.project, dirs_exist_ok=True, symlinks=True)
    assert fourth.build("--cache-from", f"type=local,src={cache}").outcomes() == ["hit", "hit"]
    fourth.write("src/a", "another\n")
    assert fourth.build().reasons("COPY") == ["src/a (content 2 → 8 bytes)"]


def test_a_listing_is_made_and_sent_once(machine: NewMachine, registry: Registry) -> None:
    ref = f"{registry.host}/app/cache:main"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    # Nothing changed: nothing is sent, whoever builds.
    before = len(registry.requests())
    first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    second.build(
        "--cache-from", ref, "--cache-to", f"type=registry,ref={ref},mode=max", "-o", "type=cacheonly"
    )
    assert sent(registry, before) == []
    # It is fetched by whom a miss is to be explained to, and by nobody else.
    assert len(fetched(registry, before)) == 1
    second.write("src/a", "changed\n")
    third = machine()
    third.write("src/a", "changed\n")
    before = len(registry.requests())
    three = third.build("--cache-from", ref, "-o", "type=cacheonly", "--target", "build")
    assert three.reasons("COPY src")[0] == "src/a (content 2 → 8 bytes)"
    # The records, the listing, and the layer that the COPY is put upon.
    assert len(fetched(registry, before)) == 3


@pytest.mark.parametrize("how", ["gone", "other bytes", "another form", "random", "too large"])
def test_a_listing_that_cannot_be_used_costs_its_words_only(
    machine: NewMachine, tmp_path: Path, how: str
) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    (entry,) = listings(cache)
    path = blob(cache, str(entry["digest"]))
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "other bytes":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        new = {
            "another form": b"pblists\0" + data[8:].replace(b"src", b"\xff\xff\xff"),
            "random": random.Random(4).randbytes(len(data)),
            "too large": data,
        }[how]

        def change(document: dict[str, Any]) -> None:
            (record,) = (one for one in document["records"] if "listing" in one)
            record["listing"] = {
                "digest": put(cache, new),
                "size": len(new) + (1 << 30) * (how == "too large"),
            }

        rewrite_records(cache, change)
    second.write("src/a", "changed\n")
    two = second.build("--cache-from", f"type=local,src={cache}")
    assert "Traceback" not in two.text
    if how == "too large":  # the document is none of ours
        assert "cache import failed" in two.text
    else:
        assert "cache import failed" not in two.text
        assert two.reasons("COPY src") == ["src changed"]
        assert two.steps["WORKDIR /w"]["outcome"] == "hit"


def test_a_scope_sees_its_own_records_only(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={cache},mode=max,scope=main")
    none = second.build("--cache-from", f"type=local,src={cache},scope=pr")
    assert "hit" not in none.outcomes()
    assert "cache import failed" in none.text
    assert none.reasons("WORKDIR")[0].startswith("cache import failed: local")
    third = machine()
    both = [f"type=local,src={cache},scope={scope}" for scope in ("pr", "main")]
    found = third.build("--cache-from", both[0], "--cache-from", both[1])
    assert set(found.outcomes()) == {"hit"}


def test_a_record_of_another_machine_expires_too(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = machine(), machine()
    for one in (first, second):
        one.write("Buildfile", "FROM base\n# pybuild: expires=24h\nRUN echo x > /x\n")
    first.build("--cache-to", f"type=local,dest={cache},mode=max")

    def older(document: dict[str, Any]) -> None:
        for record in document["records"]:
            record["created"] -= 86401

    rewrite_records(cache, older)
    (reason,) = second.build("--cache-from", f"type=local,src={cache}").reasons("RUN echo x")
    assert reason.startswith("expired: made ") and reason.endswith(", and expires=1d stands above it")
    assert second.build("--cache-from", f"type=local,src={cache}").outcomes() == ["hit"]


# --- a registry ---


def test_a_folder_is_read_by_the_digest_of_a_cache(machine: NewMachine, tmp_path: Path) -> None:
    """Also of one whose name another has by now."""
    first, second, third = machine(), machine(), machine()
    cache = tmp_path / "cache"
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    digest = json.loads((cache / "index.json").read_text())["manifests"][0]["digest"]
    rename_cache(cache, "older")
    first.write("src/a", "another\n")
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    assert set(second.build("--cache-from", f"type=local,src={cache},digest={digest}").outcomes()) == {"hit"}
    gone = third.build("--cache-from", f"type=local,src={cache},digest=sha256:{'0' * 64}")
    assert "has no cache named sha256:000" in gone.text


def test_no_layer_is_fetched_that_nothing_needs(machine: NewMachine, registry: Registry) -> None:
    ref = f"{registry.host}/app/cache:main"
    first, second, third = machine(), machine(), machine()
    first.build("--cache-to", f"type=registry,ref={ref},mode=max", "-t", f"{registry.host}/app/app", "--push")
    # Nothing is needed but the records.
    before = len(registry.requests())
    second.build("--cache-from", ref, "-o", "type=cacheonly")
    assert len(fetched(registry, before)) == 1
    assert sent(registry, before) == [], "who only reads writes nothing"
    # The store wants the two layers of the result, and not those of the first stage.
    before = len(registry.requests())
    second.build("--cache-from", ref)
    assert len(fetched(registry, before)) == 3
    # The registry has the layers in another repository: it is asked for the records only, and nothing is sent but documents.
    before = len(registry.requests())
    three = third.build(
        "--cache-from", ref, "-t", f"{registry.host}/app/app", "--push", "-o", "type=cacheonly"
    )
    assert set(three.outcomes()) == {"hit"}
    assert len(fetched(registry, before)) == 1
    # What another repository lacks is mounted there from that of the cache.
    fourth = machine()
    before = len(registry.requests())
    name = f"{registry.host}/app/fresh"
    fourth.build("--cache-from", ref, "-t", name, "-o", "type=registry")
    assert len(fetched(registry, before)) == 1
    puts = [line for line in sent(registry, before) if line.startswith("PUT ") and "/blobs/" in line]
    assert len(puts) == 2  # the base's layer, and the config
    assert name not in fourth.command("images")  # it is not all here
    other = machine()
    assert other.command("pull", name)
    assert other.command("run", name, "cat", "/out", "/done") == "a\nb\ndone\n"


def test_a_base_is_fetched_when_a_step_needs_it(machine: NewMachine, registry: Registry, bases: Path) -> None:
    base, ref = f"{registry.host}/lib/base:1", f"{registry.host}/app/cache:main"
    push_layout(bases / "base", base)
    first, second, third = machine(), machine(), machine()
    for one in (first, second, third):
        one.write("Buildfile", BUILDFILE.replace("FROM base", f"FROM {base}"))
    one = first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    # Everything is known: of the base only its manifest and config are fetched.
    before = len(registry.requests())
    name = f"{registry.host}/app/app"
    two = second.build("--cache-from", ref, "-t", name, "-o", "type=registry")
    assert two.outcomes() == ["hit"] * 6
    assert second.layers() == 0
    assert len(fetched(registry, before)) == 2  # that config, and the records
    assert second.command("images").count("\n") == 1  # no image that lacks layers is listed
    three = third.build("--cache-from", ref)
    assert three.report["image"] == one.report["image"]
    assert third.command("run", three.report["image"], "cat", "/out") == "a\nb\n"
    # One step is another: what it stands on is fetched, and it alone runs.
    second.write("Buildfile", BUILDFILE.replace("FROM base", f"FROM {base}") + "RUN cat /out > /more\n")
    again = second.build("--cache-from", ref)
    assert again.outcomes() == ["hit"] * 6 + ["miss"]
    assert second.command("run", again.report["image"], "cat", "/more") == "a\nb\n"


def test_two_builds_that_need_a_layer_fetch_it_once(machine: NewMachine, registry: Registry) -> None:
    ref = f"{registry.host}/app/cache:main"
    first, second = machine(), machine()
    first.build(
        "--cache-to", f"type=registry,ref={ref},mode=max", "--target", "build", "-o", "type=cacheonly"
    )
    # Nothing of it is here yet, and both want to run a step on it.
    second.build("--cache-from", ref, "--target", "build", "-o", "type=cacheonly")
    before = len(registry.requests())
    texts = [BUILDFILE.replace("echo side", f"echo {name}") for name in ("one", "two")]
    running = []
    for number, text in enumerate(texts):
        (second.project / f"Buildfile.{number}").write_text(text)
        line = ["-f", second.project / f"Buildfile.{number}", "--target", "build", "-o", "type=cacheonly"]
        running.append(second.start("--cache-from", ref, *line))
    for process in running:
        output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, output
    layers = fetched(registry, before)
    assert len(layers) - len(set(layers)) == 1  # the records by both, each of the three layers by one
    assert len(set(layers)) == 4


def test_a_base_that_does_not_come_is_an_error(machine: NewMachine, registry: Registry, bases: Path) -> None:
    base, flaky = f"{registry.host}/lib/lost:1", FlakyServer(registry.host)
    push_layout(bases / "base", base)
    blobs: list[str] = []

    def behave(method: str, path: str) -> str:
        if method == "GET" and "/blobs/" in path:
            blobs.append(path)
        return "404" if blobs and path in blobs and path != blobs[0] else ""  # the first is the config

    flaky.behave = behave
    one = machine()
    one.write("Buildfile", f"FROM {flaky.host}/lib/lost:1\nRUN echo hi\n")
    try:
        failed = one.build("--cache-from", f"{registry.host}/app/nosuch", ok=False)
    finally:
        flaky.stop()
    assert failed.status == 1
    assert "a layer cannot be had" in failed.text
    assert f"{flaky.host}/lib/lost:1 is not there" in failed.text


def test_a_second_export_sends_nothing(machine: NewMachine, registry: Registry) -> None:
    ref = f"{registry.host}/app/cache:main"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    assert len(sent(registry)) > 10
    before = len(registry.requests())
    first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    assert sent(registry, before) == []
    # Nor does a machine that has all of it from there, nor fetch what it would not send.
    before = len(registry.requests())
    second.build(
        *("--cache-from", ref, "--cache-to", f"type=registry,ref={ref},mode=max", "-o", "type=cacheonly")
    )
    assert sent(registry, before) == []
    assert len(fetched(registry, before)) == 1
    # One more step: its layer, the records, and the manifest.
    second.write("Buildfile", f"{BUILDFILE}RUN echo more > /more\n")
    before = len(registry.requests())
    second.build(
        "--cache-from", ref, "--cache-to", f"type=registry,ref={ref},mode=max", "-o", "type=cacheonly"
    )
    assert len([line for line in sent(registry, before) if line.startswith("PUT ")]) == 3


# --- S3 ---


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with run_s3() as found:
        yield found


def test_a_bucket_takes_a_build_to_another_machine(machine: NewMachine, bucket: Bucket) -> None:
    spec = f"type=s3,bucket=cache,region=us-east-1,endpoint_url={bucket.url},use_path_style=true"
    spec += ",access_key_id=someone,secret_access_key=quite-secret,prefix=app/"
    first, second, third = machine(), machine(), machine()
    others = set(bucket.names())
    one = first.build("--cache-to", f"{spec},mode=max")
    assert "cache export failed" not in one.text
    assert {key.split("/")[0] for key in set(bucket.names()) - others} == {"app"}
    before = len(bucket.requests)
    first.build("--cache-to", f"{spec},mode=max")
    assert [line for line in bucket.requests[before:] if line.startswith("PUT")] == []
    # No layer but those that are needed.
    before = len(bucket.requests)
    two = second.build("--cache-from", spec)
    assert set(two.outcomes()) == {"hit"}
    assert two.report["image"] == one.report["image"]
    assert len([line for line in bucket.requests[before:] if "/blobs/" in line]) == 3
    for built in (one, two):
        assert "quite-secret" not in built.text
    wrong = third.build("--cache-from", spec.replace("bucket=cache", "bucket=nosuch"))
    assert "hit" not in wrong.outcomes()
    assert "cache import failed: s3 nosuch: " in wrong.text
    # Nobody listens there; boto3 names the address.
    unheard = spec.replace(bucket.url, "http://someone:quite-secret@127.0.0.1:9")
    refused = machine().build("--cache-from", unheard)  # has nothing, and so waits for the answer
    assert "http://someone:***@127.0.0.1:9/" in refused.text and "quite-secret" not in refused.text


# --- inline ---


def test_an_image_carries_its_own_records(machine: NewMachine, registry: Registry) -> None:
    name = f"{registry.host}/app/inline:1"
    first, second, third = machine(), machine(), machine()
    plain = first.build("-t", name)
    one = first.build("--cache-to", "type=inline", "-t", name, "--push")
    assert (
        one.report["image"] == plain.report["image"]
    )  # the id is the same, the manifest has one annotation more
    two = second.build("--cache-from", name)
    assert two.report["image"] == one.report["image"]
    assert two.steps["RUN echo done > /done"]["outcome"] == "hit"
    assert two.steps["COPY --from=build /w/out /out"]["outcome"] == "hit"
    assert two.steps["RUN echo side > /side"]["outcome"] == "miss"  # of another stage: mode=max has it
    third.build("-t", name, "--push")
    without = machine().build("--cache-from", name)
    assert "cache import failed" in without.text
    assert "it is an image that carries no records" in without.text


# --- who may say what a step led to ---


def test_only_records_that_a_trusted_key_signed_are_taken(machine: NewMachine, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second, third = machine(), machine(), machine()
    for name in ("main", "other"):
        first.command("cache", "keygen", tmp_path / name)
    assert (tmp_path / "main").stat().st_mode & 0o777 == 0o600
    trusting = f"type=local,src={cache},trust={tmp_path / 'main.pub'}"
    first.build("--cache-to", f"type=local,dest={cache},mode=max,sign={tmp_path / 'main'}")
    good = cache.parent / "good"
    shutil.copytree(cache, good)
    assert set(second.build("--cache-from", trusting).outcomes()) == {"hit"}

    count = itertools.count()

    def refused(why: str) -> None:
        # One step is new each time, so that the cache is asked.
        third.write("Buildfile", f"{BUILDFILE}RUN echo {next(count)} > /number\n")
        built = third.build("--cache-from", trusting)
        assert f"cache import failed: local {cache}: {why}" in built.text
        assert not any(step["origin"] for step in built.report["steps"])

    # A pull request writes to the same place: unsigned, then with a key of its own.
    third.build("--cache-to", f"type=local,dest={cache},mode=max")
    refused("it is not signed, and only signed entries are trusted")
    third.build("--cache-to", f"type=local,dest={cache},mode=max,sign={tmp_path / 'other'}")
    refused("it is signed by no key that is trusted")
    # Records are changed, and the signature of the right key is put on them.
    shutil.rmtree(cache)
    shutil.copytree(good, cache)
    signature = manifest_of(cache)["annotations"]["io.pybuild.cache.signature"]
    rewrite_records(cache, lambda document: document["records"].pop(), signature=signature)
    refused("it is signed by no key that is trusted")
    rewrite_records(cache, lambda document: None, signature="%%%")
    refused("it is signed by no key that is trusted")
    # What was signed for one scope is not taken for another.
    shutil.rmtree(cache)
    shutil.copytree(good, cache)
    rename_cache(cache, "latest-main")
    third.write("Buildfile", f"{BUILDFILE}RUN echo another > /number\n")
    built = third.build("--cache-from", f"{trusting},scope=main")
    assert 'its records are those of the scope ""' in built.text
    # Several keys may be trusted.
    fourth = machine()
    both = f"type=local,src={good},trust={tmp_path / 'other.pub'};{tmp_path / 'main.pub'}"
    assert set(fourth.build("--cache-from", both).outcomes()) == {"hit"}


def test_what_came_from_an_unsigned_cache_stays_out_of_builds_that_want_signatures(
    machine: NewMachine, tmp_path: Path
) -> None:
    """On a machine that builds pull requests and main with one store."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    attacker, main, runner = machine(), machine(), machine()
    main.command("cache", "keygen", tmp_path / "key")
    signed = f"type=local,dest={good},mode=max,sign={tmp_path / 'key'}"
    main.build("--cache-to", signed, "-o", "type=cacheonly")
    # The attacker offers its own layer as what the step of main leads to.
    attacker.write("Buildfile", BUILDFILE.replace("echo done", "echo evil"))
    attacker.build("--cache-to", f"type=local,dest={bad},mode=max", "-o", "type=cacheonly")
    evil: list[dict[str, object]] = []
    rewrite_records(bad, lambda document: evil.extend(document["records"]))
    (theirs,) = [record for record in evil if "echo evil" in str(record["parts"])]
    attacker.write("Buildfile", BUILDFILE)
    attacker.build("--cache-to", f"type=local,dest={bad},mode=max", "-o", "type=cacheonly")

    def poison(document: dict[str, list[dict[str, object]]]) -> None:
        (own,) = [record for record in document["records"] if "echo done" in str(record["parts"])]
        own.update(layer=theirs["layer"], changes=theirs["changes"])

    rewrite_records(bad, poison)

    def made(*args: str) -> str:
        runner.build(*args, "-o", tmp_path / "out")
        return (tmp_path / "out" / "done").read_text()

    assert made("--cache-from", f"type=local,src={bad}") == "evil\n"  # who reads it trusts it
    trusting = ("--cache-from", f"type=local,src={good},trust={tmp_path / 'key.pub'}")
    built = runner.build(
        "--cache-to", signed.replace(str(good), str(tmp_path / "again")), "-o", "type=cacheonly"
    )
    assert built.reasons("WORKDIR") == ["its record came from a remote cache that no trusted key signed"]
    assert theirs["layer"]["digest"] not in json.dumps(manifest_of(tmp_path / "again"))  # type: ignore[index]
    assert made(*trusting) == "done\n"
    assert made() == "done\n"  # what was carried out here has taken its place
    # Nor is it taken from the cache itself then, to be signed with the rest.
    for spec in (trusting[1], signed.replace(str(good), str(tmp_path / "more"))):
        flag = "--cache-from" if spec == trusting[1] else "--cache-to"
        built = machine().build(flag, spec, "--cache-from", f"type=local,src={bad}", "-o", "type=cacheonly")
        assert not [step for step in built.report["steps"] if str(bad) in step.get("origin", "")]
        assert any("not signed" in warning["message"] for warning in built.report["warnings"])
    # What was signed counts in the next build, too, as long as that trusts the key.
    other = machine()
    assert set(other.build(*trusting).outcomes()) == {"hit"}
    assert set(other.build(*trusting).outcomes()) == {"hit"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("type=local,src=x,trust=nosuch.pub", 'the key "nosuch.pub" cannot be read'),
        ("type=local,src=x,trust=/etc/hostname", "is no public ed25519 key"),
        ("type=local,src=x,trust=", "trust= names no key"),
        ("type=local,src=x,trust=;", "trust= names no key"),
        ("type=local", "type=local needs src=FOLDER"),
        ("type=local,src=x,digest=sha256:12", "digest"),
        ("type=registry,ref=x,registry.insecure=true", "registry.insecure is not supported"),
        ("type=gha", "is not supported"),
        ("type=inline", "an inline cache is read from its image"),
        ("type=registry,ref=x,mode=max", 'type=registry knows no "mode"'),
        ("type=registry,ref=UPPER CASE", "not an image name"),
        ("type=s3,region=x", "type=s3 needs bucket="),
        ("type=local,src=x,scope=a/b", "a scope is made of letters"),
        ("type=local,src=x,timeout=never", "timeout is a number of seconds"),
    ],
)
def test_a_cache_that_cannot_be_meant_is_refused_at_once(machine: NewMachine, spec: str, words: str) -> None:
    one = machine()
    failed = one.refused("--cache-from", spec)
    assert failed.returncode == 2
    assert words in failed.stderr


# --- other ways in ---


def test_a_cache_behind_a_password(
    machine: NewMachine, pybuild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with run_registry(tmp_path / "locked", password=True) as locked:
        ref = f"{locked.host}/app/cache"
        first, second = machine(), machine()
        stranger = first.build("--cache-to", f"type=registry,ref={ref},mode=max")
        assert f"cache export failed: registry {ref}: {locked.host} gives no access" in stranger.text
        pybuild("login", "-u", USER, "--password-stdin", locked.host, input=PASSWORD)
        one = first.build("--cache-to", f"type=registry,ref={ref},mode=max")
        assert "cache export failed" not in one.text
        two = second.build("--cache-from", ref)
        assert set(two.outcomes()) == {"hit"}
        assert PASSWORD not in one.text + two.text


def test_the_library_takes_the_same_caches(machine: NewMachine, bases: Path, tmp_path: Path) -> None:
    import builder
    from builder import CacheSpec

    first, second = machine(), machine()
    contexts = {"base": f"oci-layout://{bases / 'base'}"}
    to, source = CacheSpec("local", {"dest": str(tmp_path / "cache"), "mode": "max"}), tmp_path / "cache"
    one = builder.build(
        str(first.project), build_contexts=contexts, store=str(first.store), cache_to=[to], tags=["app"]
    )
    warnings: list[object] = []
    two = builder.build(
        str(second.project),
        build_contexts=contexts,
        store=str(second.store),
        cache_from=[CacheSpec("local", {"src": str(source)}), CacheSpec("local", {"src": "/nosuch"})],
        on_event=lambda event: warnings.append(event) if isinstance(event, Warned) else None,
    )
    assert two.image_id == one.image_id
    assert [step.origin for step in two.steps if step.outcome == "hit"] == [f"local {source}"] * 6
    assert len(warnings) == 1
    with pytest.raises(builder.BuilderError, match="needs dest=FOLDER"):
        builder.build(str(first.project), store=str(first.store), cache_to=[CacheSpec("local")])


def test_layers_of_another_compression(machine: NewMachine, tmp_path: Path) -> None:
    first, second = machine(), machine()
    for kind in ("zstd", "uncompressed"):
        first.build("--cache-to", f"type=local,dest={tmp_path / kind},mode=max,compression={kind}")
        found = second.build(
            "--cache-from", f"type=local,src={tmp_path / kind}", "-o", tmp_path / f"out-{kind}"
        )
        assert (tmp_path / f"out-{kind}" / "out").read_text() == "a\nb\n"
        assert set(found.outcomes()) == {"hit"}
        blobs = {entry["mediaType"] for entry in manifest_of(tmp_path / kind)["layers"]}
        layer = {kind for kind in blobs if "listing" not in kind}
        assert layer == {f"application/vnd.oci.image.layer.v1.tar{'+zstd' if kind == 'zstd' else ''}"}
        second = machine()


def test_root_and_an_ordinary_user_share_a_cache(machine: NewMachine, user: User) -> None:
    first = machine()
    cache, checkout, out = (user.folder / name for name in ("cache", "checkout", "out"))
    text = BUILDFILE + "RUN rm /etc/group && rm -r /home && mkdir /home && echo new > /home/new\n"
    first.write("Buildfile", text)
    first.build("--cache-to", f"type=local,dest={cache},mode=max")
    shutil.copytree(first.project, checkout)
    (checkout / "Buildfile").write_text(text + "RUN ls /home > /seen; ls /etc >> /seen\n")
    user.own(cache)
    user.own(checkout)
    flags = ["--progress", "plain", "--cache-from", f"type=local,src={cache}", "-o", out]
    assert user.run("build", *flags, checkout).stderr.count("CACHED from local") == 7
    # What a folder was replaced by, and what was removed, is so for the user too.
    seen = (out / "seen").read_text().split()
    assert seen[0] == "new"
    assert "home" not in seen
    assert "group" not in seen


@pytest.mark.parametrize("late", [False, True])
def test_what_was_found_here_is_found_there_whatever_its_stage_has_become(
    machine: NewMachine, tmp_path: Path, late: bool
) -> None:
    """By the files that it takes: also where their stage was another, or had the record before caches were written."""
    text = "FROM scratch AS one\nCOPY src /src\nFROM scratch\nCOPY --from=one /src/a /a\n"
    first, second = machine(), machine()
    for number, one in enumerate((first, second)):
        one.write("Buildfile", text)
        one.write("src/a", "the same\n")
        one.write("src/noise", f"{number}\n")
    first.build("-o", "type=cacheonly")
    if not late:
        first.write("src/noise", "another\n")
    to = f"type=local,dest={tmp_path / 'cache'},mode=max"
    built = first.build("--cache-to", to, "-o", "type=cacheonly")
    assert built.steps["COPY --from=one /src/a /a"]["outcome"] == "hit"
    built = second.build("--cache-from", f"type=local,src={tmp_path / 'cache'}")
    assert built.steps["COPY src /src"]["outcome"] == "miss"
    assert built.steps["COPY --from=one /src/a /a"]["outcome"] == "hit"


def test_what_a_mount_shows_is_found_there_by_its_files(machine: NewMachine, tmp_path: Path) -> None:
    """Whatever else its stage has; and files of a context that changed are named, as for a COPY."""
    text = (
        "FROM base AS one\nCOPY src /src\nCOPY noise /noise\nFROM base\n"
        "RUN --mount=from=one,source=/src,target=/m --mount=source=ctx,target=/c cat /m/* /c/f > /seen\n"
        "RUN --mount=from=one,source=/noise,target=/n true\n"
    )
    first, second = machine(), machine()
    for number, one in enumerate((first, second)):
        one.write("Buildfile", text)
        one.write("src/a", "the same\n")
        (one.project / "ctx").mkdir()
        one.write("ctx/f", "1\n")
        for name in ("src", "src/a", "ctx", "ctx/f"):
            (one.project / name).chmod(0o755)
        one.write("noise", f"{number}\n")
    first.build("--cache-to", f"type=local,dest={tmp_path / 'cache'},mode=max", "-o", "type=cacheonly")
    assert len(listings(tmp_path / "cache")) == 3
    source = ("--cache-from", f"type=local,src={tmp_path / 'cache'}")
    (step,) = [one for one in json.loads(second.plan(*source).stdout)["steps"] if "cat" in one["title"]]
    assert step["verdict"] == "depends"  # a plan does not carry out what makes the stage
    built = second.build(*source)
    outcomes = {title.split()[-1]: step["outcome"] for title, step in built.steps.items()}
    assert [outcomes[name] for name in ("/noise", "/seen", "true")] == ["miss", "hit", "miss"]
    third = machine()
    shutil.copytree(first.project, third.project, dirs_exist_ok=True, symlinks=True)
    third.write("ctx/f", "another\n")
    built = third.build(*source)
    assert built.reasons("RUN --mount=from=one,source=/src") == ["mount /c: f (content 2 → 8 bytes)"]


def test_an_export_has_all_keys_of_what_was_taken_from_a_cache_before(
    machine: NewMachine, tmp_path: Path
) -> None:
    """Also those about files that were never fetched: the stage's."""
    text = (
        "FROM base AS s\nRUN mkdir /d && echo f > /d/f\nARG BESIDE\nRUN echo $BESIDE > /beside\n"
        "FROM base\nRUN --mount=from=s,source=/d,target=/m cat /m/f > /seen\n"
    )
    caches = [f"type=local,{{}}={tmp_path / name}" for name in ("first", "second")]
    machines = [machine() for _ in range(3)]
    for one in machines:
        one.write("Buildfile", text)
    machines[0].build("--cache-to", f"{caches[0].format('dest')},mode=max")
    taken = ("--cache-from", caches[0].format("src"))
    machines[1].build(*taken)
    machines[1].build(*taken, "--cache-to", f"{caches[1].format('dest')},mode=max")
    other = ("--build-arg", "BESIDE=other")
    built = machines[2].build(*other, "--cache-from", caches[1].format("src"))
    assert sorted(built.outcomes()) == ["hit", "hit", "miss"]
