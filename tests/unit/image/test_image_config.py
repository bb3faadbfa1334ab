"""Image configs: reading what others wrote, losing nothing, refusing what is damaged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import ImageError
from builder.image.config import (
    Health,
    ImageConfig,
    empty_config,
    parse_config,
    parse_document,
    render_config,
)
from builder.image.history import HistoryEntry, align_history
from builder.image.platform import Platform

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = st.text("ABCxyz_", min_size=1, max_size=5)
WORDS = st.lists(TEXT, max_size=3).map(tuple)
PAIRS = st.dictionaries(NAME, TEXT, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=2)
)
HEALTH = st.builds(Health, WORDS, *(st.integers(0, 10**12) for _ in range(5)))
DIGESTS = st.lists(
    st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda hexa: Digest("sha256", hexa)), max_size=3
)
CONFIGS = st.builds(
    ImageConfig,
    architecture=TEXT,
    os=TEXT,
    variant=TEXT,
    os_version=TEXT,
    author=TEXT,
    env=PAIRS.map(lambda pairs: tuple(pairs.items())),
    cmd=st.none() | WORDS,
    entrypoint=st.none() | WORDS,
    shell=st.none() | WORDS,
    working_dir=TEXT,
    user=TEXT,
    labels=PAIRS.map(lambda pairs: tuple(sorted(pairs.items()))),
    exposed_ports=st.frozensets(NAME, max_size=3).map(lambda names: tuple(sorted(names))),
    volumes=st.frozensets(NAME, max_size=3).map(lambda names: tuple(sorted(names))),
    stop_signal=TEXT,
    health=st.none() | HEALTH,
    onbuild=WORDS,
    args_escaped=st.booleans(),
    unknown=st.dictionaries(NAME.map("x.".__add__), JSON, max_size=2),
    unknown_config=st.dictionaries(NAME.map("x.".__add__), JSON, max_size=2),
)
HISTORY = st.lists(st.builds(HistoryEntry, TEXT, TEXT, TEXT, TEXT, st.booleans()), max_size=3)


@given(CONFIGS, TEXT, HISTORY, DIGESTS)
def test_what_is_written_is_read_back(config, created, history, diff_ids):
    data = render_config(config, created=created, history=history, diff_ids=diff_ids)
    found = parse_document(data)
    assert found.config == config
    assert (found.created, list(found.history), list(found.diff_ids)) == (created, history, diff_ids)
    assert render_config(found.config, created=created, history=history, diff_ids=diff_ids) == data


def test_unknown_fields_survive():
    document = {"os": "linux", "os.features": ["x"], "config": {"Env": None, "Hostname": "h"}, "rootfs": None}
    written = json.loads(render_config(parse_config(json.dumps(document).encode())))
    assert written["os.features"] == ["x"]
    assert written["config"] == {"Hostname": "h"}


def test_null_counts_as_absent():
    names = (
        "Env",
        "Cmd",
        "Entrypoint",
        "Labels",
        "Volumes",
        "ExposedPorts",
        "OnBuild",
        "Healthcheck",
        "Shell",
    )
    document = {"config": dict.fromkeys(names), "history": None, "created": None}
    assert parse_config(json.dumps(document).encode()) == parse_config(b"{}")
    assert parse_config(b'{"config": null}').cmd is None


def test_a_lone_surrogate_in_an_unknown_field_comes_out_as_it_came_in():
    document = b'{"config":{"Odd":"\\ud800"}}'
    assert rb'"Odd":"\ud800"' in render_config(parse_config(document))


def test_of_a_variable_given_twice_the_last_counts():
    assert parse_config(b'{"config":{"Env":["A=1","B=2","A=3","C"]}}').env == (
        ("A", "3"),
        ("B", "2"),
        ("C", ""),
    )


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (b"[]", "array"),
        (b"{", "JSON"),
        (b"\xff", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"x": NaN}', "NaN"),
        (b'{"x": 1e999}', "1e999"),
        (b'{"config": []}', "config"),
        (b'{"config": {"Env": [1]}}', "config.Env"),
        (b'{"config": {"Env": ["=x"]}}', "config.Env"),
        (b'{"config": {"Labels": {"a": 1}}}', "config.Labels.a"),
        (b'{"config": {"ExposedPorts": ["80"]}}', "config.ExposedPorts"),
        (b'{"config": {"Healthcheck": {"Retries": "3"}}}', "config.Healthcheck.Retries"),
        (b'{"config": {"User": 5}}', "config.User"),
        (b'{"history": [1]}', "history[0]"),
        (b'{"history": [{"empty_layer": 1}]}', "history[0].empty_layer"),
        (b'{"rootfs": {"type": "other"}}', "rootfs.type"),
        (b'{"rootfs": {"type": "layers", "diff_ids": ["../../x"]}}', "digest"),
        (b'{"architecture": 1}', "architecture"),
    ],
)
def test_a_damaged_config_is_an_error_that_names_the_field(document, field):
    with pytest.raises(ImageError) as caught:
        parse_document(document)
    assert field in caught.value.message


def test_an_oversized_document_is_refused_before_it_is_parsed():
    with pytest.raises(ImageError, match="larger"):
        parse_config(b" " * (17 << 20))


def test_an_empty_image_has_a_path_and_its_platform():
    config = empty_config(Platform("linux", "arm", "v7"))
    assert (config.architecture, config.variant, config.working_dir) == ("arm", "v7", "/")
    assert config.env[0][0] == "PATH"


def test_history_is_brought_in_line_with_the_layers():
    layer, note = HistoryEntry(created_by="l"), HistoryEntry(created_by="n", empty_layer=True)
    assert align_history((layer, note, layer), 2) == (layer, note, layer)
    assert [entry.empty_layer for entry in align_history((note,), 2)] == [True, False, False]
    assert [entry.empty_layer for entry in align_history((layer, note, layer), 1)] == [False, True, True]
