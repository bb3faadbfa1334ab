"""Where BuildKit loses a part of what is written, and pybuild does not."""

from trees import AMD64

from builder.buildfile.parse import parse
from builder.graph.plan import plan_stage
from builder.graph.resolve import resolve_stages
from builder.image.config import empty_config


def planned(text):
    found = resolve_stages(parse(text.encode(), "Buildfile"), platform=AMD64, build_platform=AMD64)
    return plan_stage(found, found.stages[found.target], base=empty_config(AMD64))


def test_what_stands_in_front_of_a_default_is_a_part_of_the_port():
    plan = planned("FROM scratch\nENV A=9\nEXPOSE 80${NONE:-80} ${NONE:-7}1 5${A%x}/udp\n")
    assert plan.config.exposed_ports == ("59/udp", "71/tcp", "8080/tcp")


def test_flags_are_utf_8():
    copy, run = planned("FROM scratch\nCOPY --exclude=é* . /\nRUN --mount=type=tmpfs,target=/ü true\n").steps
    assert copy.exclude == ("é*",) and run.mounts[0].target == "/ü"
