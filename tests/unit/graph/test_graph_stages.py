"""Stages, their bases and what they need of one another."""

import pytest
from trees import AMD64, copy, file, from_, graph, line, mount, onbuild, run

from builder.errors import BuildFileError, UsageError
from builder.graph.epoch import epoch_source
from builder.graph.stages import ContextBase, ImageBase, ScratchBase, StageBase
from builder.image.platform import Platform


def test_the_last_stage_is_the_target_and_unused_stages_are_left_out():
    found = graph(
        from_("base", "broken"), run("false"), from_("base", "used"), from_("used"), from_("scratch")
    )
    assert found.target == 3
    assert found.needed == (3,)
    assert isinstance(found.stages[3].base, ScratchBase)
    found = graph(from_("base", "broken"), from_("base", "used"), from_("used"))
    assert found.needed == (1, 2)
    assert found.stages[2].base == StageBase(1)


def test_labels_name_unnamed_stages_by_number_and_a_lone_stage_not_at_all():
    assert [stage.label for stage in graph(from_("a", "x"), from_("b")).stages] == ["x", "stage-1"]
    assert graph(from_("a", "x")).stages[0].label == ""
    assert graph(from_("a"), copy("f", "/", from_="image")).stages[0].label == "stage-0"


def test_what_only_looks_like_a_number_is_a_name():
    with pytest.raises(BuildFileError, match=r"not an image name: '\+-1'"):
        graph(from_("a", "x"), from_("b"), copy("f", "/", from_="+-1"))
    assert graph(from_("a", "x"), from_("b"), copy("f", "/", from_="+0")).needed == (0, 1)


def test_a_target_is_found_in_any_case_and_never_by_number():
    assert graph(from_("base", "build"), from_("base"), target="BUILD").target == 0
    with pytest.raises(UsageError) as caught:
        graph(from_("base", "build"), from_("base"), target="0")
    assert "could not be found" in caught.value.message


def test_a_misspelt_target_is_an_error_with_a_suggestion_and_all_names():
    with pytest.raises(UsageError) as caught:
        graph(from_("base", "build"), from_("base", "test"), target="biuld")
    assert caught.value.message == "target stage 'biuld' could not be found"
    assert caught.value.hint == "did you mean build? the stages are build, test"


def test_of_two_stages_of_one_name_from_takes_the_one_above_and_copy_the_last():
    found = graph(
        from_("base", "twin"),
        from_("twin", "middle"),
        from_("base", "twin"),
        from_("base"),
        copy("f", "/", from_="Twin"),
        copy("f", "/", from_="middle"),
    )
    assert found.stages[1].base == StageBase(0)
    assert found.stages[3].dependencies == (1, 2)


def test_from_is_case_sensitive_and_then_means_an_image():
    found = graph(from_("base", "builder"), from_("Builder/x"))
    assert found.stages[1].base == ImageBase("Builder/x")
    with pytest.raises(BuildFileError, match="not an image name") as caught:
        graph(from_("base", "builder"), from_("Builder"))
    assert caught.value.hint == "stage names are written in small letters after FROM: builder"
    with pytest.raises(BuildFileError) as caught:
        graph(from_("base", "builder"), from_("Buildr"))
    assert caught.value.hint == "did you mean the stage builder?"


@pytest.mark.parametrize("name", ["BAD!", "a:b:c", "a@sha256:12", "a//b", "-a", "a/-b", "x" * 300])
def test_a_name_that_no_image_can_have_is_refused_in_any_stage(name):
    for lines in (
        [from_(name), from_("base")],
        [from_("base"), copy("f", "/", from_=name)],
        [from_("base"), run("x", mount(from_=name)), from_("base")],
        [from_("base", "b"), onbuild(copy("f", "/", from_=name)), from_("b")],
    ):
        with pytest.raises(BuildFileError, match="not an image name"):
            graph(*lines)


def test_copy_and_mounts_name_stages_by_name_or_number():
    found = graph(
        from_("base", "a"),
        from_("base"),
        from_("base"),
        copy("f", "/", from_="1"),
        run("x", mount(from_="A")),
    )
    assert found.needed == (0, 1, 2)


@pytest.mark.parametrize("number", ["5", "-1", "99999999999999999999"])
def test_a_stage_number_out_of_range_is_an_error(number):
    with pytest.raises(BuildFileError, match="there is no stage"):
        graph(from_("base"), copy("f", "/", from_=number))


def test_circular_references_are_an_error_that_shows_the_circle():
    with pytest.raises(BuildFileError) as caught:
        graph(
            from_("base", "one"),
            copy("x", "/x", from_="two"),
            from_("base", "two"),
            copy("x", "/x", from_="one"),
            from_("one"),
        )
    assert caught.value.message == "circular dependency: stage one → two → one"


def test_a_stage_that_copies_from_itself_is_a_circle():
    with pytest.raises(BuildFileError, match="stage one takes files of itself"):
        graph(from_("base", "one"), copy("x", "/", from_="one"))


def test_a_long_chain_of_stages_is_no_problem():
    lines = [from_("base", "s0"), *(from_(f"s{index}", f"s{index + 1}") for index in range(3000))]
    assert len(graph(*lines).needed) == 3001


def test_files_of_a_later_stage_are_an_error_that_names_it_if_the_target_needs_it():
    lines = [
        from_("base", "one"),
        copy("x", "/x", from_="later"),
        from_("base", "later"),
        from_("base", "end"),
    ]
    assert graph(*lines).needed == (2,)
    with pytest.raises(BuildFileError, match="later"):
        graph(*lines, target="one")


def test_variables_in_copy_from_are_an_error():
    with pytest.raises(BuildFileError, match="not expanded"):
        graph(from_("base"), copy("x", "/", from_="$X"))
    with pytest.raises(BuildFileError, match="not expanded"):
        graph(from_("base"), run("x", mount(from_="a$X", target="/x")))


def test_a_file_without_from_is_an_error():
    with pytest.raises(BuildFileError, match="no build stage"):
        graph(line("ARG", "A=1"))
    with pytest.raises(BuildFileError, match="no build stage"):
        graph(run("true"), from_("base"))


def test_an_empty_base_name_is_an_error_at_its_place():
    with pytest.raises(BuildFileError) as caught:
        graph(line("ARG", "IMAGE"), from_("$IMAGE"))
    assert caught.value.message == "the base name is empty: $IMAGE"
    assert caught.value.location.line == 1


def test_global_arguments_choose_the_image():
    lines = [line("ARG", "IMAGE=base"), line("ARG", "OTHER=$IMAGE-2"), from_("$OTHER")]
    assert graph(*lines).stages[0].base == ImageBase("base-2")
    assert graph(*lines, build_args={"IMAGE": "x"}).stages[0].base == ImageBase("x-2")
    with pytest.raises(
        BuildFileError, match=r"not an image name: '\$IMAGE'"
    ):  # values of the caller are not expanded
        graph(*lines, build_args={"OTHER": "$IMAGE"})


def test_platform_arguments_are_known_in_from():
    found = graph(
        from_("base", "tool", "$BUILDPLATFORM"),
        from_("base-$TARGETARCH"),
        platform=Platform("linux", "arm", "v7"),
    )
    assert found.stages[0].platform == AMD64
    assert found.stages[1].platform == Platform("linux", "arm", "v7")
    assert found.stages[1].base_text == "base-arm"
    assert found.global_args["TARGETVARIANT"] == "v7"
    assert found.global_args["TARGETSTAGE"] == "default"


def test_platforms_go_from_stage_to_stage_and_scratch_has_the_targets():
    other = Platform("linux", "arm64")
    found = graph(
        from_("base", "a", "linux/s390x"),
        from_("a", "b"),
        from_("scratch", None, "linux/386"),
        platform=other,
    )
    assert found.stages[1].platform == Platform("linux", "s390x")
    assert found.stages[2].platform == other


@pytest.mark.parametrize("text", ["nonsense", "a/b/c/d", "linux/", "$UNSET"])
def test_a_platform_that_is_none_is_an_error(text):
    with pytest.raises(BuildFileError, match="platform"):
        graph(from_("base", None, text))


def test_named_contexts_win_over_stages_and_images():
    lines = [from_("base", "tools"), run("false"), copy("a", "/", from_="tools"), from_("alpine")]
    found = graph(
        *lines[:2], *lines[3:], lines[2], named_contexts=["tools", "docker.io/library/alpine:latest"]
    )
    assert found.stages[0].base == ContextBase("tools")
    assert found.stages[0].replaced
    assert found.stages[0].instructions == ()
    assert found.stages[1].base == ContextBase("docker.io/library/alpine:latest")
    assert found.needed == (1,)


def test_a_context_for_one_platform_is_taken_for_that_platform_only():
    contexts = ["base::linux/arm64", "base"]
    found = graph(from_("base", None, "linux/arm64"), from_("base"), named_contexts=contexts)
    assert found.stages[0].base == ContextBase("base::linux/arm64")
    assert found.stages[1].base == ContextBase("base")


def test_scratch_and_context_are_no_names_for_a_context():
    found = graph(from_("scratch"), named_contexts=["scratch", "context"])
    assert isinstance(found.stages[0].base, ScratchBase)


def test_triggers_of_a_base_stage_are_dependencies_of_the_child():
    found = graph(
        from_("base", "files"), from_("base", "p"), onbuild(copy("x", "/", from_="files")), from_("p")
    )
    assert found.needed == (0, 1, 2)


def test_arguments_that_nothing_declares_are_warned_about():
    found = graph(
        line("ARG", "A"),
        from_("base"),
        line("ARG", "B"),
        build_args={
            "A": "1",
            "B": "2",
            "C": "3",
            "HTTP_PROXY": "x",
            "TARGETARCH": "y",
            "BUILDKIT_SYNTAX": "z",
        },
    )
    assert found.warnings == (("one or more build arguments were not consumed: C", None),)


def test_an_argument_that_nothing_declares_may_be_meant_for_one_that_is():
    found = graph(from_("base"), line("ARG", "VERSION"), build_args={"VERSOIN": "1", "OTHER": "2"})
    ((text, _),) = found.warnings
    assert text == "one or more build arguments were not consumed: OTHER, VERSOIN (did you mean VERSION?)"


@pytest.mark.parametrize(
    ("text", "epoch"), [("1234567890", 1234567890), ("-5", -5), ("", None), ("context", None)]
)
def test_the_epoch_is_a_number_of_seconds(text, epoch):
    assert graph(from_("base", "one"), build_args={"SOURCE_DATE_EPOCH": text}).epoch == epoch


STAGE = [from_("scratch", "one"), line("ARG", "at=https://a.org/x"), copy("$at", "/", keyword="ADD")]


def test_a_stage_whose_source_has_no_time_gives_no_epoch_and_that_is_told():
    found = graph(*STAGE, from_("base"), build_args={"SOURCE_DATE_EPOCH": "One"})
    ((text, _),) = found.warnings
    assert found.epoch is None and text.startswith("SOURCE_DATE_EPOCH=One: nothing says")
    assert not graph(*STAGE, build_args={"SOURCE_DATE_EPOCH": "context"}).warnings


def test_the_source_that_gives_the_epoch():
    source = epoch_source(file(*STAGE, from_("base")), "ONE", {"at": "https://b.org/x"}, {})
    assert source is not None and (source.address, source.checksum) == ("https://b.org/x", None)
    assert epoch_source(file(*STAGE), "two", {}, {}) is None
    # Global arguments need no ARG line there.
    source = epoch_source(
        file(
            line("ARG", "SOURCE_DATE_EPOCH=one", "at=git@b.org:x"), STAGE[0], copy("$at", "/", keyword="ADD")
        ),
        "one",
        {},
        {"at": "git@b.org:x"},
    )
    assert source is not None and source.address == "git@b.org:x"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ([from_("base", "one")], "the stage is not FROM scratch"),
        ([from_("scratch", "one"), line("ARG", "a")], "the stage fetches nothing"),
        ([from_("scratch", "one"), copy("a", "/", keyword="ADD")], "more than fetch one source"),
        ([from_("scratch", "one"), copy("a", "/")], "more than fetch one source"),
        ([*STAGE, line("LABEL", "a=b")], "more than fetch one source"),
        ([*STAGE, STAGE[2]], "more than fetch one source"),
        ([*STAGE[:2], copy("https://a/x", "https://a/y", "/", keyword="ADD")], "more than fetch one source"),
    ],
)
def test_stages_that_can_give_no_epoch_are_refused(stage, message):
    with pytest.raises(BuildFileError, match=message):
        graph(*stage, from_("base"), build_args={"SOURCE_DATE_EPOCH": "one"})
    with pytest.raises(BuildFileError, match=message):
        graph(line("ARG", "SOURCE_DATE_EPOCH=one"), *stage, from_("base"))


@pytest.mark.parametrize("text", ["yesterday", "1.5", "9" * 40, "-+5", "--5", "-"])
def test_an_epoch_that_is_no_number_is_an_error(text):
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        graph(from_("base"), build_args={"SOURCE_DATE_EPOCH": text})
