"""What a build finds without being told: its build file, its ignore file, values of the environment."""

from __future__ import annotations

import json
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Run


def config(pybuild: Run, name: str = "app") -> dict[str, object]:
    return dict(json.loads(pybuild("inspect", name).stdout)[0])


def test_the_names_of_build_files_in_their_order(pybuild: Run, context: Path) -> None:
    names = ["Buildfile", "Dockerfile", "Containerfile", "dockerfile"]
    for name in names:
        (context / name).write_text(f"FROM scratch\nLABEL name={name}\n")
    for name in names:
        pybuild("build", "-t", "app", context)
        assert config(pybuild)["Config"]["Labels"] == {"name": name}  # type: ignore[index]
        (context / name).unlink()
    failed = pybuild("build", context, ok=False)
    assert failed.returncode == 2
    assert "Buildfile" in failed.stderr


def test_the_names_of_ignore_files_in_their_order(pybuild: Run, context: Path, tmp_path: Path) -> None:
    (context / "Buildfile").write_text("FROM scratch\nCOPY . /\n")
    names = ["Buildfile.dockerignore", ".dockerignore", ".containerignore"]
    for name in names:
        (context / name).write_text(f"*\n!not-{name}\n")
        (context / f"not-{name}").touch()
    for name in names:
        out = tmp_path / f"out-{name}"
        pybuild("build", "-o", out, context)
        assert [file.name for file in out.iterdir()] == [f"not-{name}"]
        (context / name).unlink()


def test_a_link_that_leads_nowhere_is_copied(pybuild: Run, context: Path, tmp_path: Path) -> None:
    (context / "nowhere").symlink_to("gone")
    (context / "Buildfile").write_text(
        "FROM scratch\nCOPY . /a/\nCOPY --exclude=x . /b/\nCOPY --parents no* /c/\n"
    )
    pybuild("build", "-o", tmp_path / "out", context)
    for name in "abc":
        assert (tmp_path / "out" / name / "nowhere").readlink() == Path("gone")


def test_rules_do_not_hold_for_stages(pybuild: Run, context: Path, tmp_path: Path) -> None:
    (context / "Buildfile").write_text(
        "FROM base AS made\nRUN mkdir /d && touch /d/hidden /d/seen\nFROM scratch\nCOPY --from=made /d /\n"
    )
    (context / ".dockerignore").write_text("**/hidden\nd\n")
    pybuild("build", "-o", tmp_path / "out", context)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["hidden", "seen"]


def test_an_argument_without_a_value_takes_the_variable(
    pybuild: Run, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (context / "Buildfile").write_text("FROM scratch\nARG SET=default UNSET=default\nLABEL a=$SET b=$UNSET\n")
    monkeypatch.setenv("SET", "around")
    monkeypatch.delenv("UNSET", raising=False)
    pybuild("build", "-t", "app", "--build-arg", "SET", "--build-arg", "UNSET", context)
    assert config(pybuild)["Config"]["Labels"] == {"a": "around", "b": "default"}  # type: ignore[index]


def test_the_platform_of_the_environment(
    pybuild: Run, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (context / "Buildfile").write_text("FROM scratch\nARG TARGETPLATFORM\nLABEL a=$TARGETPLATFORM\n")
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm/v6")
    pybuild("build", "-t", "app", context)
    assert config(pybuild)["Config"]["Labels"] == {"a": "linux/arm/v6"}  # type: ignore[index]
    pybuild("build", "-t", "other", "--platform", "linux/s390x", context)
    assert config(pybuild, "other")["Architecture"] == "s390x"


def test_an_image_is_for_the_platform_that_is_asked_for(pybuild: Run, context: Path) -> None:
    def platform(*flags: str) -> object:
        pybuild("build", "--iidfile", context / "id", *flags, context)
        return config(pybuild, (context / "id").read_text())["Architecture"]

    (context / "Buildfile").write_text("FROM base\n")
    here = platform()
    assert platform("--platform", "linux/arm/v6") == "arm"
    assert platform("--platform", "linux/s390x") == "s390x"
    assert platform("--platform", f"linux/{here}") == here


def test_a_folder_has_no_time_of_its_own(pybuild: Run, context: Path) -> None:
    (context / "Buildfile").write_text('FROM base\nRUN test -z "$SOURCE_DATE_EPOCH"\n')
    pybuild("build", "-t", "app", "--build-arg", "SOURCE_DATE_EPOCH=context", context)
    created = datetime.fromisoformat(str(config(pybuild)["Created"])[:19]).replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - created) < timedelta(hours=1)


def test_the_limits_of_a_process_are_those_of_the_builder(pybuild: Run, context: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = " ".join("unlimited" if one == resource.RLIM_INFINITY else str(one) for one in (soft, hard))
    (context / "Buildfile").write_text(f'FROM base\nRUN test "$(ulimit -Sn) $(ulimit -Hn)" = "{limits}"\n')
    pybuild("build", context)
    (context / "Buildfile").write_text('FROM base\nRUN test "$(ulimit -Sn) $(ulimit -Hn)" = "100 200"\n')
    pybuild("build", "--ulimit", "nofile=100:200", context)


def test_named_contexts_that_are_images(pybuild: Run, context: Path, bases: Path, tmp_path: Path) -> None:
    layout = bases / "base2"
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    (context / "Buildfile").write_text("FROM base2\n")
    pybuild("build", "-t", "example/one:2", context)
    (context / "Buildfile").write_text("FROM scratch\nCOPY --from=other /srv/data/readme /\n")
    sources = [f"oci-layout://{layout}", f"oci-layout://{layout}:latest", f"oci-layout://{layout}@{digest}"]
    for number, source in enumerate([*sources, "docker-image://example/one:2"]):
        out = tmp_path / f"out-{number}"
        pybuild("build", "-o", out, "--build-context", f"other={source}", context)
        assert (out / "readme").read_text() == "from base2\n"
    for wrong in (":nosuch", "@sha256:" + "0" * 64):
        failed = pybuild("build", "--build-context", f"other=oci-layout://{layout}{wrong}", context, ok=False)
        assert failed.returncode == 1
        assert "has no such image" in failed.stderr
        assert "it has: latest" in failed.stderr
