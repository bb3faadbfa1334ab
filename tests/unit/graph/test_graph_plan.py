"""Plans of stages: variables, steps, config and history."""

import pytest
from trees import BASE, copy, from_, graph, heredoc, line, onbuild, plan, plan_graph, run

from builder.errors import BuildFileError
from builder.graph.plan import base_title
from builder.graph.steps import FromContext, FromImage, FromNamed, FromStage, InlineFile, WorkdirStep
from builder.image.config import DEFAULT_PATH, ImageConfig

SH = ("/bin/sh", "-c")


def created(found):
    return [item.created_by for item in found.history]


def test_the_later_of_env_and_arg_wins():
    found = plan(
        from_("base"),
        line("ARG", "V=arg"),
        line("ENV", "V=env"),
        run("one"),
        line("ARG", "V=again"),
        run("two"),
        build_args={"V": "line"},
    )
    one, two = found.steps
    assert dict(one.env)["V"] == "env"
    assert one.args == ()
    assert dict(two.env)["V"] == "line"
    assert two.args == (("V", "line"),)
    assert dict(found.config.env) == {"PATH": "/bin", "V": "env"}


def test_all_values_of_one_env_see_the_variables_before_it_but_arg_goes_left_to_right():
    found = plan(
        from_("base"),
        line("ENV", "A=old"),
        line("ENV", "A=new", "B=$A"),
        line("ARG", "X=x", "Y=$X-y"),
        run("t"),
    )
    assert dict(found.config.env)["B"] == "old"
    assert dict(found.steps[0].env)["Y"] == "x-y"


def test_an_argument_of_the_caller_is_taken_verbatim():
    found = plan(from_("base"), line("ENV", "A=1"), line("ARG", "X=d"), run("t"), build_args={"X": "$A"})
    assert dict(found.steps[0].env)["X"] == "$A"


def test_global_arguments_are_seen_once_declared():
    lines = [
        line("ARG", "V=global"),
        from_("base"),
        line("LABEL", "a=[$V]"),
        line("ARG", "V"),
        line("LABEL", "b=[$V]"),
    ]
    assert dict(plan(*lines).config.labels) == {"a": "[]", "b": "[global]"}


def test_an_argument_without_value_stays_unset_and_an_empty_one_is_set():
    found = plan(from_("base"), line("ARG", "NOTHING", "EMPTY="), run("t"))
    assert "NOTHING" not in dict(found.steps[0].env)
    assert dict(found.steps[0].env)["EMPTY"] == ""
    assert created(found)[0] == "ARG NOTHING EMPTY="


def test_a_stage_inherits_the_arguments_of_its_base_stage():
    found = plan(
        from_("base", "p"), line("ARG", "A=1"), line("ARG", "B=2"), line("ENV", "B=env"), from_("p"), run("t")
    )
    env = dict(found.steps[0].env)
    assert (env["A"], env["B"]) == ("1", "env")
    assert created(found)[-1] == "RUN |2 A=1 B=env /bin/sh -c t # buildkit"


def test_proxies_need_no_declaration_and_stay_out_of_history():
    found = plan(from_("base"), run("t"), build_args={"HTTP_PROXY": "http://p", "no_proxy": "x"})
    step = found.steps[0]
    assert dict(step.hidden_env) == {
        "HTTP_PROXY": "http://p",
        "http_proxy": "http://p",
        "NO_PROXY": "x",
        "no_proxy": "x",
    }
    assert "http_proxy" not in dict(step.env)
    assert created(found) == ["RUN /bin/sh -c t # buildkit"]


def test_a_base_without_path_gets_the_default():
    assert dict(plan(from_("base"), base=ImageConfig()).config.env) == {"PATH": DEFAULT_PATH}
    assert dict(plan(from_("scratch")).config.env) == {"PATH": DEFAULT_PATH}


def test_entrypoint_clears_an_inherited_cmd_but_not_one_of_the_stage():
    assert plan(from_("base"), line("ENTRYPOINT", "x")).config.cmd is None
    found = plan(from_("base"), line("CMD", "mine"), line("ENTRYPOINT", "x"))
    assert found.config.cmd == (*SH, "mine")
    assert found.config.entrypoint == ("x",)
    child = plan(from_("base", "p"), line("CMD", "mine"), from_("p"), line("ENTRYPOINT", "x"))
    assert child.config.cmd is None


def test_shell_changes_shell_forms_from_its_place_on_and_in_children():
    found = plan(
        from_("base", "p"), line("CMD", "a"), line("SHELL", "/bin/ash", "-ec"), run("b"), from_("p"), run("c")
    )
    assert found.steps[0].argv == ("/bin/ash", "-ec", "c")
    assert found.config.cmd == (*SH, "a")
    assert found.config.shell == ("/bin/ash", "-ec")


def test_working_directories_build_on_one_another():
    found = plan(
        from_("base"), line("WORKDIR", "/a"), line("WORKDIR", "b"), line("WORKDIR", "./c/../d"), run("pwd")
    )
    assert [step.path for step in found.steps[:3]] == ["/a", "/a/b", "/a/b/d"]
    assert found.steps[3].cwd == "/a/b/d"
    assert created(found)[:3] == ["WORKDIR /a", "WORKDIR /a/b", "WORKDIR /a/b/d"]


def test_the_root_as_working_directory_is_no_step_and_an_unset_variable_vanishes():
    found = plan(from_("base"), line("WORKDIR", "/"), line("WORKDIR", "/x/$UNSET"))
    assert [type(step) for step in found.steps] == [WorkdirStep]
    assert found.steps[0].path == "/x"
    assert [item.step for item in found.history] == [None, 0]


def test_directories_belong_to_the_user_of_their_place():
    found = plan(from_("base"), line("USER", "app"), line("WORKDIR", "/x"))
    assert found.steps[0].user == "app"
    assert found.config.user == "app"


def test_a_heredoc_alone_is_a_script_for_the_shell():
    found = plan(from_("base"), run("<<'EOF'", heredocs=(heredoc("EOF", "a\nb\n"),)))
    assert found.steps[0].argv == (*SH, "a\nb\n")
    assert found.steps[0].title == "[2/2] RUN <<'EOF' (a...)"


def test_a_heredoc_with_a_command_goes_to_the_shell_as_written():
    found = plan(from_("base"), run("cat <<A <<B", heredocs=(heredoc("A", "a\n"), heredoc("B", ""))))
    assert found.steps[0].argv == (*SH, "cat <<A <<B\na\nA\nB")


def test_a_heredoc_with_an_interpreter_is_a_file():
    body = "#!/bin/awk -f\nBEGIN {}\n"
    step = plan(from_("base"), run("<<EOF", heredocs=(heredoc("EOF", body),))).steps[0]
    assert step.argv == (*SH, "/dev/pipes/EOF")
    assert step.scripts == (InlineFile("EOF", body.encode(), 0o755),)


@pytest.mark.parametrize("text", ["<<E", "<<-E", "<< 'E'", '3<<"E"', "<<'E'  "])
def test_a_heredoc_is_alone_however_its_word_is_written(text):
    found = plan(from_("base"), run(text, heredocs=(heredoc("E", "a\n"),)))
    assert found.steps[0].argv == (*SH, "a\n")


def test_a_name_in_quotes_may_have_blanks():
    body = "#!/bin/sh\n"
    step = plan(from_("base"), run("<<'my file'", heredocs=(heredoc("my file", body),))).steps[0]
    assert step.argv == (*SH, "/dev/pipes/my file")
    assert step.scripts[0].name == "my file"


@pytest.mark.parametrize("text", ["<<E cat", "cat <<E", "<<E | cat"])
def test_a_heredoc_beside_words_is_left_to_the_shell(text):
    found = plan(from_("base"), run(text, heredocs=(heredoc("E", "a\n"),)))
    assert found.steps[0].argv == (*SH, f"{text}\na\nE")


def test_titles_count_the_base_and_the_lines_that_make_layers_and_show_values():
    found = plan(
        from_("base", "b"),
        line("ENV", "V=1"),
        copy("a$V", "/"),
        run("echo $V '$V' $NONE ${V} ${V:-x}"),
        line("WORKDIR", "/w"),
        from_("base", "other"),
        target="b",
    )
    assert [step.title for step in found.steps] == [
        "[b 2/4] COPY a1 /",
        "[b 3/4] RUN echo 1 '$V' $NONE 1 ${V:-x}",
        "[b 4/4] WORKDIR /w",
    ]


def test_origins_of_copy():
    found = plan(
        from_("base", "s"),
        from_("base"),
        copy("a", "/"),
        copy("a", "/", from_="s"),
        copy("a", "/", from_="0"),
        copy("a", "/", from_="img:1"),
        copy("a", "/", from_="ctx"),
        named_contexts=["ctx"],
    )
    assert [step.origin for step in found.steps] == [
        FromContext(),
        FromStage(0),
        FromStage(0),
        FromImage("img:1"),
        FromNamed("ctx"),
    ]


@pytest.mark.parametrize(
    ("written", "destination"),
    [
        ("/x", "/x"),
        ("/x/", "/x/"),
        (".", "/w/"),
        ("./", "/w/"),
        ("a/../b", "/w/b"),
        ("../..", "/"),
        ("/a/.", "/a/"),
        ("//a", "/a"),
        ("$UNSET", "/w/"),
    ],
)
def test_destinations_are_absolute_and_keep_their_slash(written, destination):
    found = plan(from_("base"), line("WORKDIR", "/w"), copy("a", written))
    assert found.steps[1].destination == destination


@pytest.mark.parametrize("mode", ["0755", "7777", "u=rwX,go=rX", "+x", "a-w", "u=g"])
def test_modes_that_are_taken(mode):
    assert plan(from_("base"), copy("a", "/", chmod=mode)).steps[0].chmod == mode


@pytest.mark.parametrize("mode", ["888", "10000", "rwx", "u~x", "-1", "0o755"])
def test_modes_that_are_refused(mode):
    with pytest.raises(BuildFileError, match="chmod"):
        plan(from_("base"), copy("a", "/", chmod=mode))


def test_copy_fetches_nothing_and_checksums_need_a_fetched_source():
    with pytest.raises(BuildFileError, match="COPY cannot fetch"):
        plan(from_("base"), copy("https://host/f", "/"))
    with pytest.raises(BuildFileError, match="needs a source that is fetched"):
        plan(from_("base"), copy("f", "/", keyword="ADD", checksum="sha256:" + "a" * 64))
    with pytest.raises(BuildFileError, match="invalid --checksum"):
        plan(from_("base"), copy("https://h/f", "/", keyword="ADD", checksum="sha256:abc"))
    step = plan(from_("base"), copy("https://h/f", "/", keyword="ADD", checksum="sha256:" + "a" * 64)).steps[
        0
    ]
    assert step.checksum == "sha256:" + "a" * 64


def test_history_texts_are_those_of_buildkit():
    found = plan(
        from_("base"),
        line("ENV", "A=1 2"),
        copy("a", "b", "/dst", chown="1:2", chmod="644"),
        line("EXPOSE", "443", "53/UDP"),
        line("VOLUME", "/a", "/b"),
        line("CMD", 'echo "hi"'),
        line("SHELL", "/bin/sh", "-c"),
        line("STOPSIGNAL", "SIGTERM"),
    )
    assert created(found) == [
        "ENV A=1 2",
        "COPY --chown=1:2 --chmod=644 a b /dst # buildkit",
        "EXPOSE [443/tcp 53/udp]",
        "VOLUME [/a /b]",
        'CMD ["/bin/sh" "-c" "echo \\"hi\\""]',
        "SHELL [/bin/sh -c]",
        "STOPSIGNAL SIGTERM",
    ]


def test_triggers_run_first_in_the_child_and_do_not_stay():
    found = plan(
        from_("base", "p"),
        line("ENV", "V=parent"),
        onbuild(line("LABEL", "seen=$V")),
        onbuild(run("t")),
        from_("p"),
        line("ENV", "V=child"),
        line("LABEL", "own=$V"),
        run("c"),
    )
    assert dict(found.config.labels) == {"seen": "parent", "own": "child"}
    assert found.config.onbuild == ()
    assert [step.title for step in found.steps] == ["[stage-1 1/3] ONBUILD RUN t", "[stage-1 2/3] RUN c"]


def test_triggers_are_stored_and_leave_no_history():
    found = plan(from_("base"), onbuild(run("t")))
    assert found.config.onbuild == ("RUN t",)
    assert found.history == ()


def test_the_child_of_a_stage_starts_from_its_config():
    found = plan(
        from_("base", "p"), line("LABEL", "l=p"), line("USER", "app"), from_("p"), line("LABEL", "m=c")
    )
    assert dict(found.config.labels) == {"l": "p", "m": "c"}
    assert found.config.user == "app"
    assert found.config.cmd == BASE.cmd


@pytest.mark.parametrize(
    ("keyword", "words", "message"),
    [
        ("EXPOSE", ["http"], "http"),
        ("EXPOSE", ["90-80"], "90-80"),
        ("EXPOSE", ["80/ftp"], "80/ftp"),
        ("EXPOSE", ["65536"], "65536"),
        ("VOLUME", ["$UNSET"], "VOLUME"),
        ("STOPSIGNAL", ["SIGNOPE"], "SIGNOPE"),
        ("STOPSIGNAL", ["0"], "0"),
    ],
)
def test_values_that_mean_nothing_are_errors_with_a_place(keyword, words, message):
    with pytest.raises(BuildFileError) as caught:
        plan(from_("base"), line(keyword, *words))
    assert message in caught.value.message
    assert caught.value.location is not None


def test_ports_with_ranges_addresses_and_values_of_several_words():
    found = plan(
        from_("base"),
        line("ENV", "P=81 82/udp"),
        line("EXPOSE", "$P", "8000-8002", "127.0.0.1:80:90", "[::1]:1:91"),
    )
    assert set(found.config.exposed_ports) == {
        *("81/tcp", "82/udp", "8000/tcp", "8001/tcp", "8002/tcp", "90/tcp", "91/tcp"),
    }


def test_networks_are_checked():
    assert plan(from_("base"), run("t", network="none")).steps[0].network == "none"
    with pytest.raises(BuildFileError, match="--network=nome"):
        plan(from_("base"), run("t", network="nome"))
    with pytest.raises(BuildFileError, match="\\$MODE"):
        plan(from_("base"), line("ARG", "MODE=none"), run("t", network="$MODE"))


def test_triggers_of_an_image_are_parsed_and_point_at_the_from_line():
    base = ImageConfig(onbuild=("ENV A=1", "EXPOSE http"))
    lines = {"ENV A=1": line("ENV", "A=1"), "EXPOSE http": line("EXPOSE", "http")}
    with pytest.raises(BuildFileError) as caught:
        plan_graph(graph(from_("base", number=7), run("t")), base=base, triggers=lines)
    assert caught.value.location.line == 7
    assert caught.value.message.startswith("in a trigger of the base: invalid port 'http': ")
    found = plan_graph(graph(from_("base"), run("t")), base=ImageConfig(onbuild=("ENV A=1",)), triggers=lines)
    assert dict(found.steps[0].env)["A"] == "1"
    assert found.steps[0].title == "[2/3] RUN t"


def test_a_replaced_stage_is_its_context_and_runs_no_triggers():
    found = graph(from_("base", "tools"), run("false"), named_contexts=["tools"])
    planned = plan_graph(found, base=ImageConfig(onbuild=("RUN x",), user="app"))
    assert planned.steps == ()
    assert planned.config == ImageConfig(user="app")


def test_the_title_of_a_base():
    found = graph(from_("base", "b"), run("t"), from_("b"))
    assert base_title(found.stages[0]) == "[b 1/2] FROM base"


def test_values_that_grow_without_end_are_refused():
    lines = [line("ENV", "A=0123456789"), *[line("ENV", "A=$A$A$A$A")] * 60]
    with pytest.raises(BuildFileError, match="16 MiB"):
        plan(from_("base"), *lines)


def test_ports_that_are_named_without_end_count_once():
    words = [f"{first}-65535/{protocol}" for first in range(2000) for protocol in ("tcp", "udp", "sctp")]
    assert len(plan(from_("base"), line("EXPOSE", *words)).config.exposed_ports) == 3 * 65536


def test_a_base_for_another_platform_is_warned_about():
    planned = plan(from_("base", None, "linux/arm64"))
    assert planned.warnings[0][0] == "base image base is for linux/amd64, not for linux/arm64"
    assert plan(from_("base")).warnings == ()


def test_link_with_a_mode_is_an_ordinary_copy():
    assert plan(from_("base"), copy("a", "/", link=True)).steps[0].link
    assert not plan(from_("base"), copy("a", "/", link=True, chmod="755")).steps[0].link
