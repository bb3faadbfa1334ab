"""`RUN --mount` and its checks."""

import pytest
from trees import SPAN, from_, line, mount, plan, run

from builder.buildfile.syntax import Mount
from builder.errors import BuildFileError
from builder.graph.steps import FromContext, FromImage, FromScratch, FromStage, MountSpec


def spec(*before, flags=(), build_args=None, **fields):
    fields = {name.rstrip("_"): value for name, value in fields.items()}
    found = mount(**fields)
    found = Mount((*found.fields, *((flag, None) for flag in flags)), found.span)
    planned = plan(from_("base"), *before, run("t", found), build_args=build_args or {})
    return planned.steps[-1].mounts[0]


def test_a_bind_shows_the_context_read_only():
    assert spec(target="/ctx") == MountSpec("bind", "/ctx", FromContext())
    assert spec(source="d/../e", dst="/mnt", flags=["rw"]) == MountSpec(
        "bind", "/mnt", FromContext(), "/e", read_only=False
    )


def test_a_bind_may_come_from_a_stage_or_an_image():
    assert plan(from_("base", "s"), from_("base"), run("t", mount(from_="S", target="/o"))).steps[
        0
    ].mounts == (MountSpec("bind", "/o", FromStage(0)),)
    assert spec(from_="base2", target="/o").origin == FromImage("base2")
    assert spec(from_="scratch", target="/o").origin == FromScratch()


def test_a_cache_is_named_by_its_target_with_the_namespace_before():
    found = spec(type="cache", target="/root//.cache/")
    assert found == MountSpec(
        "cache", "/root/.cache", FromScratch(), read_only=False, id="//root/.cache", mode=0o755
    )
    assert spec(type="cache", target="/c", id="x").id == "/x"
    assert spec(type="cache", target="/c", id="x", build_args={"BUILDKIT_CACHE_MOUNT_NS": "ns"}).id == "ns/x"


def test_a_cache_takes_owner_mode_and_sharing():
    found = spec(type="cache", target="/c", uid="1000", gid="50", mode="0750", sharing="Locked", flags=["ro"])
    assert (found.uid, found.gid, found.mode, found.sharing, found.read_only) == (
        1000,
        50,
        0o750,
        "locked",
        True,
    )


def test_a_mount_without_target_covers_the_working_directory_unless_that_is_the_root():
    assert spec(line("WORKDIR", "/w"), type="cache").target == "/w"
    assert spec(line("WORKDIR", "/w"), target="x").target == "/w/x"
    with pytest.raises(BuildFileError, match="no target"):
        spec(source="x")
    with pytest.raises(BuildFileError, match="root directory"):
        spec(target="/x/..")


def test_a_secret_is_a_file_or_a_variable():
    assert spec(type="secret", id="tok") == MountSpec("secret", "/run/secrets/tok", id="tok", mode=0o400)
    assert spec(type="secret", target="/a/key").id == "key"
    assert spec(type="secret", source="dir/key").target == "/run/secrets/key"
    only = spec(type="secret", id="tok", env="TOKEN")
    assert (only.target, only.env) == ("", "TOKEN")
    assert spec(type="secret", id="tok", env="T", target="/f").target == "/f"
    assert spec(type="secret", id="tok", flags=["required"]).required


def test_a_secret_variable_is_masked_in_the_title():
    step = plan(
        from_("base"), line("ENV", "T=x"), run("echo $T", mount(type="secret", id="a", env="T"))
    ).steps[0]
    assert step.title.endswith("RUN echo ****")


def test_agents_are_numbered_and_their_variable_is_set():
    step = plan(from_("base"), run("t", mount(type="ssh"), mount(type="ssh", id="b"))).steps[0]
    assert [item.target for item in step.mounts] == ["/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1"]
    assert dict(step.env)["SSH_AUTH_SOCK"] == "/run/buildkit/ssh_agent.0"
    assert step.mounts[0].id == "default"
    assert step.mounts[0].mode == 0o600


@pytest.mark.parametrize(
    ("text", "size"), [("64m", 64 << 20), ("1g", 1 << 30), ("100", 100), ("1.5KiB", 1536), ("2kb", 2048)]
)
def test_sizes(text, size):
    assert spec(type="tmpfs", target="/t", size=text).size == size


def test_options_are_read_from_left_to_right():
    for key, value, kind in (
        ("required", "true", "secret"),
        ("required", "true", "ssh"),
        ("size", "1", "tmpfs"),
    ):
        with pytest.raises(BuildFileError, match=f"bind takes no {key}") as caught:
            spec(target="/x", **{key: value}, type=kind)
        assert caught.value.hint == f"write type= in front of {key}"
    with pytest.raises(BuildFileError, match="unsupported mount type 'x'"):
        plan(from_("base"), run("t", Mount((*mount(type="x").fields, *mount(type="tmpfs").fields), SPAN)))
    assert spec(target="/x", flags=["rw", "ro"]).read_only
    assert not spec(target="/x", flags=["ro", "rw"]).read_only
    assert not spec(type="cache", target="/x", ro="true", readwrite="true").read_only
    with pytest.raises(BuildFileError, match="invalid value for readonly: 'x'"):
        spec(target="/x", readonly="x", flags=["rw"])


def test_a_variable_means_nothing_to_what_is_no_secret():
    assert spec(type="cache", target="/x", env="A=b").env == ""


def test_variables_are_expanded_in_values():
    found = spec(line("ARG", "V=v1"), type="secret", id="tok-$V", target="/in/$V")
    assert (found.id, found.target) == ("tok-v1", "/in/v1")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"type": "bnid", "target": "/x"}, "bnid"),
        ({"type": "tmpfs", "target": "/x", "mode": "755"}, "takes no mode"),
        ({"type": "bind", "target": "/x", "uid": "1"}, "takes no uid"),
        ({"type": "cache", "target": "/x", "size": "1"}, "takes no size"),
        ({"type": "bind", "target": "/x", "sharing": "locked"}, "takes no sharing"),
        ({"type": "cache", "target": "/x", "sharing": "all"}, "sharing"),
        ({"type": "cache", "target": "/x", "mode": "9"}, "mode"),
        ({"type": "cache", "target": "/x", "uid": "bob"}, "uid"),
        ({"type": "cache", "target": "/x", "uid": "4294967296"}, "uid"),
        ({"type": "tmpfs", "target": "/x", "size": "big"}, "size"),
        ({"type": "secret"}, "needs an id"),
        ({"type": "secret", "id": "a", "source": "b"}, "not both"),
        ({"type": "secret", "id": "a", "from_": "b"}, "takes no from"),
        ({"type": "secret", "id": "a", "env": "A=B"}, "no name of a variable"),
        ({"type": "ssh", "source": "a"}, "takes no source"),
        ({"target": "/x", "ro": "maybe"}, "readonly"),
        ({"type": "bind", "target": "/x", "required": "true"}, "takes no required"),
    ],
)
def test_what_makes_no_sense_is_an_error_with_a_place(fields, message):
    with pytest.raises(BuildFileError) as caught:
        spec(**fields)
    assert message in caught.value.message
    assert caught.value.location is not None


def test_a_key_without_value_is_an_error():
    with pytest.raises(BuildFileError, match="needs a value"):
        spec(target="/x", flags=["source"])
