"""The files of docs/ci.md as the three systems would take them, and their scripts, run against a registry with a password."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from registry_server import PASSWORD, USER, Registry, run_registry
from test_integration_ci import BLOCKS

from tests.conftest import DEADLINE, PYBUILD, ROOT

GITHUB, GITLAB, JENKINS = (text for kind, text in BLOCKS if kind in ("yaml", "groovy"))
JQ = BLOCKS[-1][1]
BUILDFILE = """FROM HOST/lib/base:1 AS build
COPY pip /bin/pip
COPY requirements.txt /
RUN pip install -r requirements.txt
FROM HOST/lib/base:1
COPY --from=build /installed /installed
COPY app.py /
"""


def steps(workflow: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow["jobs"]["image"]["steps"]
    return found


def jenkins_scripts() -> list[str]:
    """What the steps `sh` run."""
    found = re.findall(r"\bsh '''(.*?)'''|\bsh '(.*?)'$", JENKINS, re.DOTALL | re.MULTILINE)
    return [long or short for long, short in found]


# --- form ---


def is_shell(text: str, shell: str = "bash") -> None:
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stderr}"


def test_the_workflow_is_one() -> None:
    workflow = yaml.safe_load(GITHUB)
    assert set(workflow) == {"name", True, "permissions", "jobs"}  # YAML reads `on` as a truth
    assert set(workflow[True]) == {"push", "pull_request"}
    known = {"name", "uses", "with", "run", "if", "env"}
    for step in steps(workflow):
        assert set(step) <= known and ("run" in step) != ("uses" in step), step
        is_shell(re.sub(r"\$\{\{.*?\}\}", "x", step.get("run", "")))
        for expression in re.findall(r"\$\{\{(.*?)\}\}", json.dumps(step)):
            assert re.fullmatch(r" secrets\.[A-Z_]+ ", expression)


def test_the_pipeline_of_gitlab_is_one() -> None:
    (job,) = yaml.safe_load(GITLAB).values()
    keys = "stage tags image variables before_script script after_script artifacts"
    assert list(job) == keys.split()
    assert set(job["artifacts"]) == {"when", "expose_as", "paths", "reports"}
    for script in ("before_script", "script", "after_script"):
        assert all(
            isinstance(line, str) for line in job[script]
        )  # a colon in a line would make it something else
        is_shell("\n".join(job[script]), "sh")


def test_the_jenkinsfile_is_one() -> None:
    """What can be told without Groovy: strings end, brackets match, and every step is one of a declarative pipeline."""
    bare = re.sub(r"'''.*?'''|'[^'\n]*'", "''", JENKINS, flags=re.DOTALL)
    assert "'" not in bare.replace("''", "") and '"' not in bare
    bare = re.sub(r"//.*", "", bare)
    depth = []
    for sign in bare:
        if sign in "{[(":
            depth.append(sign)
        elif sign in "}])":
            assert depth.pop() == {"}": "{", "]": "[", ")": "("}[sign]
    assert not depth
    known = "pipeline agent label environment stages stage steps sh withCredentials usernamePassword file post always junit "
    known += (
        "archiveArtifacts failure CI IMAGE credentialsId usernameVariable passwordVariable variable artifacts"
    )
    assert set(re.findall(r"[A-Za-z_]+", bare)) <= set(known.split())
    assert len(jenkins_scripts()) == 4
    for script in jenkins_scripts():
        is_shell(script, "sh")


def test_what_is_installed_can_do_what_the_page_asks_for() -> None:
    """Signatures need a package that pybuild itself does not."""
    for text in (GITHUB, GITLAB, JENKINS):
        assert (
            "sign=" in text
            and len(re.findall(r"pip install (?:-q )?['\"]pybuild-oci\[sign\]['\"]", text)) == 1
        )
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(line.startswith("cryptography") for line in extras["sign"])


# --- work ---


class Job:
    """A checkout and a home, as a runner gives them to one job: what is in `place` before it begins is in the checkout."""

    def __init__(self, folder: Path, tools: Path, registry: Registry) -> None:
        self.home, self.place = folder / "home", folder / "checkout"
        self.home.mkdir(parents=True)
        self.place.mkdir()
        self._registry = registry
        self.env = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": os.environ["PYTHONPATH"],
            "HOME": str(self.home),
            "CI": "true",
        }
        (self.place / "Buildfile").write_text(BUILDFILE.replace("HOST", registry.host))
        (self.place / "pip").write_text("#!/bin/sh\necho $* > /installed\n")
        (self.place / "pip").chmod(0o755)
        (self.place / "requirements.txt").write_text("a==1\n")
        (self.place / "app.py").write_text("1\n")

    def run(
        self, script: str, shell: tuple[str, ...] = ("bash", "-e"), *, status: int = 0, **env: str
    ) -> str:
        """Run a script; what it wrote. The registry of the examples is the test's."""
        script = script.replace("--username ci", f"--username {USER}")
        script = script.replace("registry.example", self._registry.host)
        script = re.sub(r"^pip install .*$", "", script, flags=re.MULTILINE)  # it is there
        values = {
            name: value.replace("registry.example", self._registry.host)
            for name, value in {**self.env, **env}.items()
        }
        done = subprocess.run(
            [*shell, "-c", script],
            cwd=self.place,
            env=values,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == status, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as an installation has it, and sudo, which root does not need."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "pybuild").write_text(f'#!/bin/sh\nexec {" ".join(PYBUILD)} "$@"\n')
    (folder / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    for tool in folder.iterdir():
        tool.chmod(0o755)
    return folder


@pytest.fixture
def registry(tmp_path: Path, bases: Path) -> Iterator[Registry]:
    with run_registry(tmp_path / "registry", password=True) as found:
        line = ["skopeo", "copy", "--dest-tls-verify=false", f"--dest-creds={USER}:{PASSWORD}"]
        line += [f"oci:{bases / 'base'}:latest", f"docker://{found.host}/lib/base:1"]
        subprocess.run(line, check=True, capture_output=True)
        yield found


@pytest.fixture
def keys(tmp_path: Path, tools: Path, registry: Registry) -> Path:
    """A pair of keys, made as the page says."""
    job = Job(tmp_path / "keys", tools, registry)
    job.run("pybuild cache keygen cache-key")
    return job.place


def test_the_workflow_works(tmp_path: Path, tools: Path, registry: Registry, keys: Path) -> None:
    workflow = yaml.safe_load(GITHUB)
    scripts = {step["name"]: step["run"] for step in steps(workflow) if "name" in step}
    login = next(step["run"] for step in steps(workflow) if "login" in step.get("run", ""))
    summary = tmp_path / "summary.md"
    env = {**workflow["jobs"]["image"]["env"], "GITHUB_SHA": "12ab", "RUNNER_TEMP": str(tmp_path)}
    env |= {"GITHUB_STEP_SUMMARY": str(summary), "PASSWORD": PASSWORD, "GITHUB_ACTIONS": "true"}
    jobs = []
    for number, name in enumerate(("Build main", "Build a pull request", "Build a pull request")):
        job = Job(tmp_path / f"job-{number}", tools, registry)
        jobs.append(job)
        (job.place / "cache-key.pub").write_bytes((keys / "cache-key.pub").read_bytes())
        if number == 2:  # it moves the application above the expensive step
            text = (job.place / "Buildfile").read_text()
            (job.place / "Buildfile").write_text(text.replace("COPY req", "COPY app.py req"))
        job.run(login, **env)
        said = job.run(
            scripts[name], status=3 if number == 2 else 0, CACHE_KEY=(keys / "cache-key").read_text(), **env
        )
        assert "warning: cache import failed" not in said or number == 0
        assert {"report.html", "report.xml"} <= set(os.listdir(job.place))
    assert summary.read_text().count("## ") >= 3
    assert ET.parse(jobs[1].place / "report.xml").getroot().get("failures") == "0"
    assert "hit:build/RUN pip install is not met" in said and "::" in said
    why = jobs[2].run(scripts["Why"], **env)
    assert "[build 3/4] COPY app.py requirements.txt /: " in why and "RUN pip install" in why
    # Without building: the pull request that changes nothing needs no job.
    (plan,) = (text for _, text in BLOCKS if text.startswith("pybuild plan"))
    fresh = Job(tmp_path / "fresh", tools, registry)
    (fresh.place / "cache-key.pub").write_bytes((keys / "cache-key.pub").read_bytes())
    fresh.run(login, **env)
    assert "nothing would be built" in fresh.run(plan, **env)
    assert not (fresh.home / ".local/share/pybuild").exists()
    (fresh.place / "app.py").write_text("2\n")
    assert "miss" in fresh.run(plan, status=3, **env)


def test_the_pipeline_of_gitlab_works(tmp_path: Path, tools: Path, registry: Registry, keys: Path) -> None:
    (job,) = yaml.safe_load(GITLAB).values()
    env = {"CI_REGISTRY": registry.host, "CI_REGISTRY_IMAGE": f"{registry.host}/group/shop"}
    env |= {"CI_REGISTRY_USER": USER, "CI_REGISTRY_PASSWORD": PASSWORD, "CI_DEFAULT_BRANCH": "main"}
    env |= {"CI_COMMIT_SHORT_SHA": "12ab", "IMAGE": env[job["variables"]["IMAGE"].removeprefix("$")]}
    for number, branch in enumerate(("main", "topic")):
        place = Job(tmp_path / f"job-{number}", tools, registry)
        (place.place / "cache-key.pub").write_bytes((keys / "cache-key.pub").read_bytes())
        file = {"CACHE_KEY_FILE": str(keys / "cache-key")} if branch == "main" else {}
        script = "\n".join([*job["before_script"], *job["script"]])
        place.run(script, ("sh", "-e"), CI_COMMIT_BRANCH=branch, **env, **file)
        assert {"report.html", "report.xml", "report.json"} <= set(os.listdir(place.place))
        said = place.run("\n".join(job["after_script"]), ("sh", "-e"), **env)
        assert said.startswith("build 1, done: ")
    found = json.loads((place.place / "report.json").read_text())
    assert found["misses"] == found["steps"].__len__() - found["hits"] - sum(
        step["outcome"] == "done" for step in found["steps"]
    )
    assert all(condition["met"] for condition in found["conditions"]) and len(found["conditions"]) == 2
    # A later job reads the report.
    rate, misses, fetched = (place.run(line) for line in JQ.strip().splitlines())
    assert "came from the cache" in rate or found["hit_rate"] >= 0.5
    assert int(fetched) > 0
    assert all("FROM" in line for line in misses.splitlines())


def test_the_jenkinsfile_works(tmp_path: Path, tools: Path, registry: Registry, keys: Path) -> None:
    _, login, build, why = jenkins_scripts()
    for number in range(2):
        job = Job(tmp_path / f"job-{number}", tools, registry)
        (job.place / ".venv" / "bin").mkdir(parents=True)
        (job.place / ".venv" / "bin" / "pybuild").symlink_to(tools / "pybuild")
        (job.place / "cache-key.pub").write_bytes((keys / "cache-key.pub").read_bytes())
        env = {
            "IMAGE": "registry.example/shop",
            "NAME": USER,
            "PASSWORD": PASSWORD,
            "BUILD_NUMBER": str(number),
        }
        env["CACHE_KEY_FILE"] = str(keys / "cache-key")
        job.run(login, ("sh", "-xe"), **env)
        # The first build of all finds no cache, and breaks the promise of the page.
        job.run(build, ("sh", "-xe"), status=0 if number else 3, **env)
        assert "build 1, done" in job.run(why, ("sh", "-xe"), **env)
        assert (job.place / "report.xml").exists()
