"""Build files that are right by construction, and syntax trees written out again."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from builder.buildfile import syntax

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True)
LETTERS = st.sampled_from("abcXYZ019./:-_@+,é日")
# No word begins like a flag.
PLAIN = st.text(LETTERS, min_size=1, max_size=8).map(lambda text: text.lstrip("-") or "x")


@st.composite
def variables(draw, inner=PLAIN):
    name = draw(NAMES)
    form = draw(st.integers(0, 4))
    if form == 0:
        return f"${name}"
    if form == 1:
        return f"${{{name}}}"
    word = draw(inner)
    if "$" not in word:
        word = word.replace("/", "") or "x"
    elif "/" in word and form == 4:
        return f"${name}"
    if form == 2:
        return f"${{{name}{draw(st.sampled_from([':-', '-', ':+', '+', ':?', '?']))}{word}}}"
    if form == 3:
        return f"${{{name}{draw(st.sampled_from(['#', '##', '%', '%%']))}{word}*}}"
    return f"${{{name}{draw(st.sampled_from(['/', '//']))}{word}/{draw(PLAIN)}}}"


PARTS = st.one_of(
    PLAIN,
    variables(),
    variables(inner=variables()),
    PLAIN.map(lambda text: f"'{text} $x'"),
    PLAIN.map(lambda text: f'"{text} it\'s \\" {text}"'),
    variables().map(lambda text: f'"a {text}"'),
    st.sampled_from(["\\$", "\\ ", "\\\\", "\\'", '\\"', "''", '""']),
)
# An escaped blank at the end of a line would continue it.
WORDS = st.lists(PARTS, min_size=1, max_size=3).map(
    lambda parts: "".join([*parts, "x" * (parts[-1] == "\\ ")])
)
# Words that are split at every blank, quoted or not.
BARE = st.lists(st.one_of(PLAIN, variables()), min_size=1, max_size=2).map("".join)
BLANKS = st.sampled_from(
    [" ", "  ", "\t", " \\\n", " \\\n    ", " \\  \n\t", " \\\n# comment\n  ", " \\\n\n  "]
)
SHELL = st.lists(
    st.one_of(PLAIN, st.sampled_from(["&&", "||", "|", ">", "'a b'", '"$x"', "$(y)", "[", "]"])),
    min_size=1,
    max_size=6,
)
STRINGS = st.lists(st.text(LETTERS | st.sampled_from(' "\\\t$'), max_size=8), min_size=1, max_size=4)
BODIES = st.lists(st.text(LETTERS | st.sampled_from(" #\t\"'"), max_size=10), max_size=4)
DELIMITERS = st.sampled_from(["EOF", "END_1", "x"])


@st.composite
def spaced(draw, *parts):
    """Parts with blanks between them, which may continue the line."""
    found = []
    for part in parts:
        text = part if isinstance(part, str) else draw(part)
        found.append(text)
    return "".join(text + draw(BLANKS) for text in found[:-1]) + found[-1]


@st.composite
def keyword(draw, name):
    return draw(st.sampled_from([name, name, name.lower(), name.capitalize()]))


def some(words, low=1, high=3):
    return st.lists(words, min_size=low, max_size=high)


@st.composite
def body(draw, name):
    """A here-document: its lines and its end."""
    lines = [line for line in draw(BODIES) if line != name and line.lstrip("\t") != name]
    return "".join(f"\n{line}" for line in [*lines, name])


@st.composite
def instructions(draw, *, trigger=False):
    kind = draw(
        st.sampled_from(
            [
                "ENV",
                "LABEL",
                "ARG",
                "RUN",
                "RUN",
                "COPY",
                "COPY",
                "ADD",
                "WORKDIR",
                "USER",
                "EXPOSE",
                "VOLUME",
                "CMD",
                "ENTRYPOINT",
                "SHELL",
                "STOPSIGNAL",
                "HEALTHCHECK",
                "ONBUILD",
            ]
        )
    )
    name = draw(keyword(kind))
    words, end = [], ""
    if kind in ("ENV", "LABEL"):
        if draw(st.booleans()):
            words = [
                f"{draw(NAMES)}={draw(st.one_of(st.just(''), WORDS))}" for _ in range(draw(st.integers(1, 3)))
            ]
        else:
            words = [draw(NAMES), draw(WORDS)]
    elif kind == "ARG":
        words = [draw(NAMES) + draw(st.sampled_from(["", "=", "=x"])) for _ in range(draw(st.integers(1, 3)))]
    elif kind == "RUN":
        words = draw(
            some(
                st.sampled_from(
                    ["--network=none", "--mount=type=tmpfs,target=/x", "--mount='type=cache,\"target=/y\"'"]
                ),
                0,
                2,
            )
        )
        words = [word for number, word in enumerate(words) if word not in words[:number]]
        form = draw(st.integers(0, 2))
        if form == 0:
            words += draw(SHELL)
        elif form == 1:
            words.append(json.dumps(draw(STRINGS)))
        else:
            end = draw(DELIMITERS)
            words += [f"cat <<{draw(st.sampled_from(['', '-']))}{end}"]
            end = draw(body(end))
    elif kind in ("COPY", "ADD"):
        words = [f"--chown={draw(BARE)}"] if draw(st.booleans()) else []
        words += ["--link"] if draw(st.booleans()) else []
        form = draw(st.integers(0, 2))
        if form == 0:
            words += [*draw(some(BARE)), "dest/"]
        elif form == 1:
            words.append(
                json.dumps(
                    [text.replace("$", "").replace("\\", "").replace('"', "") for text in draw(STRINGS)]
                    + ["d/"]
                )
            )
        else:
            end = draw(DELIMITERS)
            words += [draw(BARE), f"<<'{end}'", "dest/"]
            end = draw(body(end))
    elif kind in ("WORKDIR", "USER", "STOPSIGNAL"):
        words = [draw(WORDS)]
    elif kind in ("EXPOSE", "VOLUME"):
        words = draw(some(BARE))
    elif kind in ("CMD", "ENTRYPOINT"):
        words = draw(SHELL) if draw(st.booleans()) else [json.dumps(draw(STRINGS))]
    elif kind == "SHELL":
        words = [json.dumps(draw(STRINGS))]
    elif kind == "HEALTHCHECK":
        words = draw(
            st.sampled_from(
                [["NONE"], ["--interval=5s", "--retries=2", "CMD", "true"], ["CMD", '["a", "b"]']]
            )
        )
    elif trigger:
        words = []
        name, words = "RUN", ["true"]
    else:
        return f"{name} {draw(instructions(trigger=True))}"
    return draw(spaced(name, *words)) + draw(st.sampled_from(["", " ", "\t"])) + end


@st.composite
def stages(draw):
    line = draw(spaced(draw(keyword("FROM")), BARE, *(("AS", "st-1") if draw(st.booleans()) else ())))
    return "\n".join(
        [
            line,
            *draw(
                st.lists(
                    st.one_of(instructions(), st.sampled_from(["", "# comment", "   # c", "\t"])), max_size=6
                )
            ),
        ]
    )


@st.composite
def buildfiles(draw):
    """The text of a build file."""
    head = draw(st.sampled_from(["", "# syntax=docker/dockerfile:1\n", "\n", "# hello\n\n", "ARG G=1\n"]))
    text = head + "\n".join(draw(st.lists(stages(), min_size=1, max_size=3)))
    return text + draw(st.sampled_from(["", "\n", "\n\n"]))


# --- trees written out ------------------------------------------------------------------------------


def printed(file):
    """A syntax tree as text."""
    return "".join(f"{one(line)}\n" for line in file.instructions)


def flag(name, value):
    text = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'--{name}="{text}"'


def command(form):
    if isinstance(form, syntax.ExecForm):
        return json.dumps(form.argv)
    return form.text + bodies(form.heredocs)


def bodies(heredocs):
    return "".join(f"\n{doc.body}{doc.name}" for doc in heredocs)


def one(line):
    match line:
        case syntax.From():
            words = [flag("platform", line.platform.text)] if line.platform else []
            words += [line.image.text, *(("AS", line.name) if line.name else ())]
        case syntax.Arg():
            words = [
                item.name if item.default is None else f"{item.name}={item.default.text}"
                for item in line.items
            ]
        case syntax.Env(legacy=True) | syntax.Label(legacy=True):
            words = [line.pairs[0].key.text, line.pairs[0].value.text]
        case syntax.Env() | syntax.Label():
            words = [f"{pair.key.text}={pair.value.text}" for pair in line.pairs]
        case syntax.Run():
            words = []
            for mount in line.mounts:
                fields = [key if word is None else f"{key}={word.text}" for key, word in mount.fields]
                words.append(flag("mount", ",".join(fields)))
            words += [flag("network", line.network)] if line.network else []
            words.append(command(line.command))
        case syntax.Copy():
            words = ["--link"] if line.link else []
            words += [flag("chown", line.chown.text)] if line.chown else []
            paths = [word.text for word in line.sources]
            if line.heredocs:
                paths += [f"<<'{doc.name}'" for doc in line.heredocs]
                words += [*paths, line.destination.text]
            else:
                words.append(json.dumps([*paths, line.destination.text]))
            return " ".join([line.keyword, *words]) + bodies(line.heredocs)
        case syntax.Workdir(path=word) | syntax.User(user=word) | syntax.StopSignal(signal=word):
            words = [word.text]
        case syntax.Expose():
            words = [word.text for word in line.ports]
        case syntax.Volume():
            words = [json.dumps([word.text for word in line.paths])]
        case syntax.Cmd() | syntax.Entrypoint():
            words = [command(line.command)]
        case syntax.Shell():
            words = [json.dumps(line.argv)]
        case syntax.Healthcheck(command=None):
            words = ["NONE"]
        case syntax.Healthcheck():
            words = [f"--interval={line.interval}ns"] if line.interval else []
            words += [f"--retries={line.retries}", "CMD", command(line.command)]
        case syntax.Onbuild():
            words = [line.trigger]
        case _:
            raise AssertionError(line)
    return " ".join([type(line).__name__.upper(), *words])
