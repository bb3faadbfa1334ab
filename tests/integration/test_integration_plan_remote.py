"""Plans that ask remote caches: what a build on this machine would find there, and nothing but words is fetched."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flaky_server import FlakyServer
from registry_server import Registry, run_registry
from remote_machines import BUILDFILE, Machine, NewMachine
from s3_server import run_s3


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with run_registry(tmp_path / "registry") as found:
        yield found


def planned(machine: Machine, *args: str | Path) -> dict[str, tuple[str, str]]:
    """Verdict and reason of each step."""
    document = json.loads(machine.plan(*args).stdout)
    return {step["title"].split("] ")[-1]: (step["verdict"], step["why"]) for step in document["steps"]}


def verdicts(machine: Machine, *args: str | Path) -> list[str]:
    return [verdict for verdict, _ in planned(machine, *args).values()]


def foretold_right(machine: Machine, *args: str | Path) -> None:
    """A build does what a plan said: a hit hits, a miss misses; an image to fetch is one that the store had not."""
    foretold = {title: verdict for title, (verdict, _) in planned(machine, *args).items()}
    built = machine.build(*args)
    for title, verdict in foretold.items():
        outcome = built.steps[title]["outcome"]
        assert verdict == "depends" or outcome == {"fetch": "miss"}.get(verdict, verdict), (title, verdict)


def test_on_an_empty_machine_a_plan_knows_what_a_folder_has(machine: NewMachine, tmp_path: Path) -> None:
    cache = f"type=local,src={tmp_path / 'cache'}"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={tmp_path / 'cache'},mode=max")
    done = second.plan("--fail-if-build", "--cache-from", cache)
    document = json.loads(done.stdout)
    assert document["cached"] and (document["hits"], document["fetches"]) == (6, 2)
    assert done.stderr == "" and not second.store.exists()
    assert [step["verdict"] for step in document["steps"]].count("fetch") == 2  # FROM base, twice
    assert all(step["origin"].startswith("local") for step in document["steps"] if step["verdict"] == "hit")
    assert all(step["seconds"] is not None for step in document["steps"] if step["verdict"] == "hit")
    assert second.plan("--fail-if-build", ok=False).returncode == 3  # without it
    foretold_right(second, "--cache-from", cache)
    assert set(verdicts(second, "--cache-from", cache)) == {"hit"}


def test_what_a_cache_has_not_is_told_with_the_reason(machine: NewMachine, tmp_path: Path) -> None:
    cache = f"type=local,src={tmp_path / 'cache'}"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={tmp_path / 'cache'},mode=max")
    second.write("src/a", "changed\n")
    done = second.plan("--fail-if-build", "--cache-from", cache, ok=False)
    assert (
        done.returncode == 3
        and "error: not everything is cached: 1 hit, 1 miss, 2 images to fetch, 4 that depend on others"
        in done.stderr
    )
    found = planned(second, "--cache-from", cache)
    assert found["WORKDIR /w"][0] == "hit"
    verdict, why = found["COPY src /w/src"]
    assert verdict == "miss" and "src/a (content 2 → 8 bytes)" in why
    # Nobody has built what stands on it here: that the cache has it by the same parts is known.
    copied = next(number for number, title in enumerate(found, 1) if title.startswith("COPY src"))
    title = next(title for title in found if title.startswith("RUN cat"))
    assert found[title][0] == "depends" and f"step {copied}" in found[title][1]
    second.write("Buildfile", BUILDFILE.replace("echo side", "echo other"))
    found = planned(second, "--cache-from", cache)
    assert found["RUN echo other > /side"] == ("miss", "command: 'echo side > /side' → 'echo other > /side'")
    foretold_right(second, "--cache-from", cache)


@pytest.mark.parametrize("kind", ["registry", "inline", "s3", "several"])
def test_every_kind_of_cache_is_asked_and_no_layer_fetched(
    machine: NewMachine, registry: Registry, tmp_path: Path, kind: str
) -> None:
    first, second = machine(), machine()
    ref = f"{registry.host}/app/cache:main"
    if kind == "s3":
        with run_s3() as bucket:
            s3 = f"type=s3,endpoint_url={bucket.url},bucket=cache,region=us-east-1,name=app"
            s3 += ",access_key_id=someone,secret_access_key=quite-secret"
            first.build("--cache-to", f"{s3},mode=max")
            before = len(bucket.requests)
            assert verdicts(second, "--cache-from", s3).count("hit") == 6
            assert not [
                line for line in bucket.requests[before:] if line.startswith(("PUT", "POST", "DELETE"))
            ]
            assert len([line for line in bucket.requests[before:] if "blobs/" in line]) == 1  # the records
        return
    if kind == "inline":
        first.build("--cache-to", "type=inline", "-t", ref, "--push", "--target", "build")
        wanted, args = 4, ["--cache-from", ref, "--target", "build"]  # all that leads to its image
    elif kind == "several":
        first.build("--cache-to", f"type=registry,ref={ref}", "-o", "type=cacheonly")
        first.build(
            "--cache-to", f"type=local,dest={tmp_path / 'cache'},mode=max", "--target", "build",
            "-o", "type=cacheonly",
        )  # fmt: skip
        wanted, args = 6, ["--cache-from", ref, "--cache-from", f"type=local,src={tmp_path / 'cache'}"]
    else:
        first.build("--cache-to", f"type=registry,ref={ref},mode=max", "-o", "type=cacheonly")
        wanted, args = 6, ["--cache-from", ref]
    before = len(registry.requests())
    found = verdicts(second, *args)
    assert found.count("hit") == wanted and set(found) == {"hit", "fetch"}
    asked = registry.requests()[before:]
    assert not [line for line in asked if not line.startswith(("GET ", "HEAD "))]
    assert len([line for line in asked if line.startswith("GET ") and "/blobs/" in line]) <= 1
    foretold_right(second, *args)


def test_nothing_of_the_store_changes(machine: NewMachine, registry: Registry, bases: Path) -> None:
    base, ref = f"{registry.host}/lib/base:1", f"{registry.host}/app/cache:main"
    line = ["skopeo", "copy", "--dest-tls-verify=false", f"oci:{bases / 'base'}:latest", f"docker://{base}"]
    subprocess.run(line, check=True, capture_output=True)
    first, second = machine(), machine()
    for one in (first, second):
        one.write("Buildfile", BUILDFILE.replace("FROM base", f"FROM {base}"))
    first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    # The second machine has a store with things of its own, among them promises and an older COPY.
    second.write("src/a", "older\n")
    second.build("--cache-from", ref, "--target", "build", "-o", "type=cacheonly")
    second.write("src/a", "a\n")
    before = second.files()
    assert set(verdicts(second, "--cache-from", ref)) <= {"hit", "fetch"}
    second.write("src/b", "another\n")
    found = planned(second, "--cache-from", ref)
    assert found["COPY src /w/src"][0] == "miss" and "src/b" in found["COPY src /w/src"][1]
    planned(second, "--cache-from", ref, "--pull")
    planned(second, "--cache-from", ref, "--no-cache-filter", "build/3")
    assert second.files() == before
    second.write("src/b", "b\n")
    foretold_right(second, "--cache-from", ref)


def test_a_base_is_asked_for_by_its_documents(machine: NewMachine, registry: Registry, bases: Path) -> None:
    base, ref = f"{registry.host}/lib/base:1", f"{registry.host}/app/cache:main"
    line = ["skopeo", "copy", "--dest-tls-verify=false", f"oci:{bases / 'base'}:latest", f"docker://{base}"]
    subprocess.run(line, check=True, capture_output=True)
    first, second = machine(), machine()
    for one in (first, second):
        one.write("Buildfile", BUILDFILE.replace("FROM base", f"FROM {base}"))
    first.build("--cache-to", f"type=registry,ref={ref},mode=max")
    for more in ((), ("--pull",)):
        before = len(registry.requests())
        assert set(verdicts(second, "--cache-from", ref, *more)) == {"hit", "fetch"}
        blobs = [line for line in registry.requests()[before:] if "/blobs/" in line]
        assert len(blobs) == 2  # the config of the base, and the records
    assert not second.store.exists()
    # Without its registry nobody knows what stands on it.
    second.write("Buildfile", BUILDFILE.replace("FROM base", "FROM 127.0.0.1:1/none:1"))
    done = second.plan("--fail-if-build", "--cache-from", ref, ok=False)
    assert done.returncode == 3
    # Two stages stand on it; it is told once.
    assert done.stderr.count("warning: the image 127.0.0.1:1/none:1 cannot be asked for: ") == 1


def test_a_file_that_a_plan_would_have_to_fetch_is_not_known(machine: NewMachine, tmp_path: Path) -> None:
    cache = f"type=local,src={tmp_path / 'cache'}"
    first, second = machine(), machine()
    first.build("--cache-to", f"type=local,dest={tmp_path / 'cache'},mode=max")
    second.write(
        "Buildfile", BUILDFILE.replace("COPY --from=build /w/out /out", "COPY --from=build /side /x")
    )
    found = planned(second, "--cache-from", cache)
    assert found["COPY --from=build /side /x"] == (
        "depends", "only a build fetches the files that this step takes from elsewhere",
    )  # fmt: skip
    # A damaged or strange cache is a warning.
    done = second.plan("--cache-from", f"type=local,src={tmp_path / 'nowhere'}")
    assert "warning: cache import failed: local" in done.stderr


def test_a_cache_that_says_nothing_is_not_waited_for(machine: NewMachine, registry: Registry) -> None:
    first, second = machine(), machine()
    ref = f"{registry.host}/app/cache:main"
    first.build("--cache-to", f"type=registry,ref={ref},mode=max", "-o", "type=cacheonly")
    slow = FlakyServer(registry.host)
    try:
        slow.behave = lambda method, path: "stall"
        far = f"type=registry,ref={slow.host}/app/cache:main,wait=1"
        done = second.plan("--cache-from", far)
        assert "warning: cache import failed: " in done.stderr and "did not answer within 1 s" in done.stderr
        assert not {step["verdict"] for step in json.loads(done.stdout)["steps"]} & {"hit"}
        # Beside one that answers it costs no more than that.
        assert verdicts(second, "--cache-from", far, "--cache-from", ref).count("hit") == 6
    finally:
        slow.stop()
