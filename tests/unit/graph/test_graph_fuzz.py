"""Whatever a build file says, the graph answers with a plan or with an error that has a place."""

from hypothesis import given
from hypothesis import strategies as st
from trees import copy, from_, graph, line, mount, plan, run

from builder.errors import BuilderError, BuildFileError
from builder.graph.mounts import KINDS, SHARINGS
from builder.graph.ports import exposed_ports
from builder.graph.titles import show_values

TEXT = st.text("a1/.$-:=~ \0é'\\", max_size=6)
KEYS = st.sampled_from(
    [
        "type",
        "from",
        "source",
        "target",
        "ro",
        "rw",
        "id",
        "sharing",
        "required",
        "size",
        "mode",
        "uid",
        "env",
        "x",
    ]
)
VALUES = st.sampled_from([*KINDS, *SHARINGS, "true", "1", "0755", "/x", "scratch"]) | TEXT


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_mounts(fields):
    try:
        found = plan(from_("base"), run("t", mount(**fields))).steps[0].mounts[0]
    except BuildFileError as error:
        assert error.location is not None
        return
    assert found.kind in KINDS
    assert found.target.startswith("/") or (found.env and not found.target)
    assert found.source.startswith("/")


@given(st.text("0189-:/tcpudp[]x", max_size=12))
def test_ports(text):
    try:
        first, last, protocol = exposed_ports(text)
    except BuildFileError:
        return
    assert 0 <= first <= last <= 65535
    assert protocol in ("tcp", "udp", "sctp")


NAMES = st.sampled_from(["A", "B", "C"])
SETTINGS = st.lists(
    st.tuples(st.sampled_from(["ENV", "ARG"]), NAMES, st.sampled_from(["", "x", "y"])), max_size=8
)


@given(SETTINGS, st.dictionaries(NAMES, st.sampled_from(["", "z"]), max_size=2))
def test_the_last_line_decides_a_variable(settings, build_args):
    lines = [line(keyword, f"{name}={value}") for keyword, name, value in settings]
    step = plan(from_("base"), *lines, run("t"), build_args=build_args).steps[0]
    expected = {"PATH": "/bin"}
    for keyword, name, value in settings:
        expected[name] = build_args.get(name, value) if keyword == "ARG" else value
    assert dict(step.env) == expected
    last = {name: keyword for keyword, name, _ in settings}
    assert {name for name, _ in step.args} == {name for name, keyword in last.items() if keyword == "ARG"}


STAGES = st.lists(
    st.tuples(
        st.sampled_from(["base", "a", "b", "scratch"]),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from(["", "a", "b", "0", "1", "7"]),
    ),
    min_size=1,
    max_size=5,
)


@given(STAGES)
def test_stages(stages):
    lines = []
    for image, name, source in stages:
        lines.append(from_(image, name))
        if source:
            lines.append(copy("x", "/", from_=source))
    try:
        found = graph(*lines)
    except BuilderError as error:
        assert error.location is not None
        return
    assert found.needed[-1] == found.target
    for index in found.needed:
        assert set(found.stages[index].dependencies) <= set(found.needed[: found.needed.index(index)])


@given(st.text("$A{}'\\ :-x", max_size=12))
def test_titles_never_fail_and_show_values_of_plain_names(text):
    shown = show_values(text, {"A": "<a>"}.get)
    if "$A" in text and not set(text) & {"'", "\\", "{"}:
        assert "<a>" in shown or "$Ax" in text or "$AA" in text
