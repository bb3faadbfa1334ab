"""The conformance cases, as far as they can be judged without building: configs and errors of the plan."""

import json
import sys
from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.graph.plan import plan_stage
from builder.graph.resolve import resolve_stages
from builder.graph.stages import ContextBase, ImageBase, StageBase
from builder.image.config import ImageConfig, empty_config, render_config
from builder.image.platform import Platform, parse_platform
from builder.value import replace

parse = pytest.importorskip("builder.buildfile.parse").parse

SUITE = Path(__file__).parent.parent.parent / "conformance"
sys.path.insert(0, str(SUITE))
from conformance import normal_config, parse_case  # noqa: E402

AMD64 = Platform("linux", "amd64")
PATH = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
BASES = {
    "base": ImageConfig(env=(PATH,), cmd=("sh",)),
    "base2": ImageConfig(),
}
CASES = {path.stem: parse_case(path) for path in sorted((SUITE / "cases").glob("*.txtar"))}
EXPECTED = {name: json.loads((SUITE / "expected" / f"{name}.json").read_text()) for name in CASES}

ERRORS = [
    *("arg-from-empty", "arg-invalid-name", "copy-chmod-invalid", "copy-from-later-stage"),
    *("copy-from-number-out-of-range", "env-empty-name", "env-missing-equals", "epoch-invalid"),
    *("expand-bad-brace", "expand-bad-modifier", "expand-required-unset", "expand-unbalanced-quote"),
    *("expose-invalid", "expose-invalid-range", "flag-target-missing", "health-bad-option"),
    *("health-too-short", "health-unknown-type", "heredoc-unterminated", "maintainer-missing"),
    *("mount-unknown-option", "onbuild-forbidden-maintainer", "onbuild-forbidden-onbuild"),
    *("platform-invalid", "shell-not-json", "stage-circular", "stage-name-invalid", "stop-signal-invalid"),
    *("volume-empty", "workdir-missing"),
]
EPOCH = "SOURCE_DATE_EPOCH"


def base2():
    from builder.image.config import parse_config

    config = {
        "Env": ["=".join(PATH), "BASE2=yes", "GREETING=hello world"],
        "Cmd": ["from-base2"],
        "Entrypoint": ["/bin/say", "base2"],
        "User": "app",
        "WorkingDir": "/srv/data",
        "Labels": {"org.example.role": "base2", "keep": "original"},
        "Volumes": {"/srv/vol": {}},
        "ExposedPorts": {"9000/tcp": {}, "9001/udp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 7000000000, "Retries": 4},
        "StopSignal": "SIGQUIT",
        "OnBuild": ["ENV TRIGGERED=yes", "RUN echo triggered > /srv/data/onbuild"],
    }
    return parse_config(json.dumps({"architecture": "amd64", "os": "linux", "config": config}).encode())


def flags(case, name):
    args = case.args
    return [args[index + 1] for index, arg in enumerate(args) if arg == f"--{name}"]


def pairs(values):
    return dict(value.split("=", 1) for value in values)


def result(case):
    """The config that building a case would give."""
    platform = flags(case, "platform")
    contexts = {**dict.fromkeys(BASES), **pairs(flags(case, "build-context"))}
    graph = resolve_stages(
        parse(case.sections[case.buildfile].encode(), case.buildfile),
        target=(flags(case, "target") or [None])[0],
        build_args=pairs(flags(case, "build-arg")),
        platform=parse_platform(platform[0]) if platform else AMD64,
        build_platform=AMD64,
        named_contexts=tuple(contexts),
    )
    bases = {**BASES, "base2": base2()}
    plans = {}
    for index in graph.needed:
        stage = graph.stages[index]
        config, args = empty_config(stage.platform), ()
        if isinstance(stage.base, StageBase):
            config, args = plans[stage.base.index].config, plans[stage.base.index].args
        elif isinstance(stage.base, ContextBase):
            config = bases.get(stage.base.name, config)
        elif isinstance(stage.base, ImageBase):
            pytest.skip("needs an image from elsewhere")
        plans[index] = plan_stage(graph, stage, base=config, base_args=args)
    config = plans[graph.target].config
    return replace(config, labels=tuple({**dict(config.labels), **pairs(flags(case, "label"))}.items()))


WITH_CONFIG = [
    name
    for name, case in CASES.items()
    if "config" in EXPECTED[name] and EXPECTED[name]["outcome"] == "ok" and "setup.sh" not in case.sections
]


@pytest.mark.parametrize("name", WITH_CONFIG)
def test_configs_are_those_of_buildkit(name):
    case = CASES[name]
    if case.buildfile not in case.sections:
        pytest.skip("the case makes its build file")
    found = normal_config(json.loads(render_config(result(case))))
    assert found == EXPECTED[name]["config"]


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_found_before_anything_runs(name):
    case = CASES[name]
    assert EXPECTED[name]["outcome"] == "error"
    with pytest.raises(BuilderError) as caught:
        result(case)
    import re

    shown = f"{caught.value.message} {caught.value.hint or ''} {caught.value.location or ''}"
    shown += caught.value.location.source if caught.value.location else ""
    assert re.search(case.headers.get("error-like", ""), shown, re.IGNORECASE)
