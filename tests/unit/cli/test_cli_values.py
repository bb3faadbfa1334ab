"""Values of flags, and outputs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.cli import values
from builder.cli.caches import parse_cache_from, parse_cache_to
from builder.cli.outputs import check_standard_output, parse_output
from builder.cli.secrets import read_secret
from builder.engine.request import Output
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=oci,dest=a.tar", Output("oci", "a.tar", {})),
        ("TYPE=oci,Dest=a.tar,tar=false", Output("oci", "a.tar", {"tar": "false"})),
        ("out", Output("local", "out")),
        ("./a b", Output("local", "./a b")),
        ("image", Output("local", "image")),
        ("-", Output("tar", "-")),
        ("type=tar", Output("tar", "-", {})),
        ("type=oci", Output("oci", "-", {})),
        ("type=oci,tar=false", Output("oci", None, {"tar": "false"})),
        ("type=docker", Output("image", None, {})),
        ("type=docker,dest=-", Output("docker", "-", {})),
        ("type=local", Output("local", None, {})),
        ('type=image,"name=a,b",push=true', Output("image", None, {"name": "a,b", "push": "true"})),
        ("type=local,dest=a=b", Output("local", "a=b", {})),
        ('"type=local","dest=say ""hi"""', Output("local", 'say "hi"', {})),
        ("type=registry,name=x", Output("registry", None, {"name": "x"})),
    ],
)
def test_outputs(text: str, expected: Output) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    "text", ['type=s3,key=hid"den', 'type=s3,"key=hidden', 'type=s3,"key=hidden"x', '"key=hidden"",x']
)
def test_a_value_that_cannot_be_read_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError, match="key=…") as caught:
        values.fields("--cache-to", text)
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--output is empty"),
        ("dest=x", "--output needs a type"),
        ("type=oci,x", '"x" is not KEY=VALUE'),
        ("type=oci,", '"" is not KEY=VALUE'),
        ('type=oci,"dest=x', "a quote is not closed"),
        ('type=oci,"dest=x"y', "text follows a closing quote"),
        ('type=oci,de"st=x', "a quote stands inside a field"),
    ],
)
def test_outputs_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_output(text)


def test_standard_output_takes_one_archive_and_no_terminal() -> None:
    stdout, file = Output("tar", "-"), Output("tar", "x")
    assert check_standard_output((stdout, file), is_terminal=False)
    assert not check_standard_output((file,), is_terminal=True)
    with pytest.raises(UsageError, match="not written to a terminal"):
        check_standard_output((stdout,), is_terminal=True)
    with pytest.raises(UsageError, match="only one output"):
        check_standard_output((stdout, stdout), is_terminal=False)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"])), min_size=1))
def test_fields_read_what_csv_writes(parts: list[str]) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(parts)
    assert list(values.fields("--x", stream.getvalue())) == parts


@given(st.text(st.sampled_from('ab,"='), max_size=12))
def test_fields_agree_with_strict_csv(text: str) -> None:
    try:
        mine = list(values.fields("--x", text))
    except UsageError:
        return
    assert mine == (next(csv.reader([text], strict=True), []) or [""])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("0", 0), ("65536", 65536), ("64m", 64 << 20), ("64M", 64 << 20), ("64mb", 64 << 20)),
        *(
            ("64MiB", 64 << 20),
            ("1g", 1 << 30),
            ("1.5g", 3 << 29),
            ("512b", 512),
            ("2k", 2048),
            ("1t", 1 << 40),
        ),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert values.size("--shm-size", text) == expected


@pytest.mark.parametrize(
    "text", ["", "m", "-1", "1x", ".5g", "1..5g", "0x10", "1e3", "٣m", "1 2", "bb", "1.g"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shm-size needs a size such as 64m or 1g"):
        values.size("--shm-size", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("db:::1", ("db", "::1")),
        ("db=::1", ("db", "::1")),
        ("db:[fe80::1]", ("db", "fe80::1")),
        ("me:host-gateway", ("me", "127.0.0.1")),
    ],
)
def test_hosts(text: str, expected: tuple[str, str]) -> None:
    assert values.hosts([text]) == (expected,)


def test_hosts_in_one_flag() -> None:
    assert values.hosts(["a:1.2.3.4,b=5.6.7.8", "c:::1"]) == (
        ("a", "1.2.3.4"),
        ("b", "5.6.7.8"),
        ("c", "::1"),
    )


@pytest.mark.parametrize(
    "text", ["", "db", ":1.2.3.4", "db:", "db:x", "db:1.2.3", "d b:1.2.3.4", "db:1.2.3.4\n127.0.0.1 x"]
)
def test_hosts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--add-host"):
        values.hosts([text])


def test_limits() -> None:
    assert values.limits(["nofile=1024", "nproc=10:20", "core=-1", "memlock=5:-1"]) == (
        ("nofile", 1024, 1024),
        ("nproc", 10, 20),
        ("core", -1, -1),
        ("memlock", 5, -1),
    )


@pytest.mark.parametrize(
    "text", ["nofile", "nofile=", "nofile=x", "nofile=2:1", "files=3", "nofile=-1:5", "core=--1"]
)
def test_limits_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--ulimit"):
        values.limits([text])


def test_build_args_and_labels() -> None:
    env = {"HOME": "/h", "EMPTY": ""}
    found = values.from_environment("--build-arg", ["A=1", "HOME", "NONE", "EMPTY", "B=", "C=x=y"], env)
    assert found == {"A": "1", "HOME": "/h", "EMPTY": "", "B": "", "C": "x=y"}
    assert values.pairs("--label", ["a=b=c", "d"]) == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError, match="--label needs KEY=VALUE"):
        values.pairs("--label", ["=x"])
    with pytest.raises(UsageError, match="--build-arg needs KEY or KEY=VALUE"):
        values.from_environment("--build-arg", [""], env)


def test_contexts_and_lists() -> None:
    assert values.contexts(["a=b=c", "x=oci-layout://d:t"]) == {"a": "b=c", "x": "oci-layout://d:t"}
    for text in ("a", "=b", "a="):
        with pytest.raises(UsageError, match="--build-context needs NAME=SOURCE"):
            values.contexts([text])
    assert values.comma_list(["a,b", " c ", ",", ""]) == ("a", "b", "c")


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "", "99999999999999999999"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--jobs needs a number from 1 on"):
        values.count("--jobs", text)


def test_a_cache_may_be_only_its_reference() -> None:
    name = "127.0.0.1:5000/app/cache:main"
    for parse in (parse_cache_from, parse_cache_to):
        spec = parse(name)
        assert (spec.type, dict(spec.attributes)) == ("registry", {"ref": name})
        assert spec.attributes == parse(f"type=registry,ref={name}").attributes


def test_choices() -> None:
    with pytest.raises(UsageError, match='--progress: there is no "pretty"') as caught:
        values.choice("--progress", "pretty", ("plain", "tty"))
    assert caught.value.hint == "use one of plain, tty"


def test_secrets_are_found_as_docker_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_bytes(b"from file\n\xff")
    env = {"TOKEN": "from env", "token2": "named"}
    assert read_secret("id=token", env) == ("token", b"from file\n\xff")
    assert read_secret("id=token2", env) == ("token2", b"named")
    assert read_secret("id=x,src=token", env) == ("x", b"from file\n\xff")
    assert read_secret("src=token", env) == ("token", b"from file\n\xff")
    assert read_secret("id=x,env=TOKEN", env) == ("x", b"from env")
    assert read_secret("id=x,type=env,src=TOKEN", env) == ("x", b"from env")
    assert read_secret("type=env,id=TOKEN", env) == ("TOKEN", b"from env")
    assert read_secret('"id=x","src=token"', env)[0] == "x"
    for text, message in {
        "id=nosuch": "cannot be read: No such file",
        "id=x,env=NOSUCH": "the variable NOSUCH is not set",
        "id=x,type=magic": 'there is no type "magic"',
        "id=x,color=red": "unknown field",
        "type=file": "has no id",
    }.items():
        with pytest.raises(UsageError, match=message):
            read_secret(text, env)
    Path("big").write_bytes(b"x" * (500 * 1024 + 1))
    with pytest.raises(UsageError, match="larger than"):
        read_secret("id=big", env)
