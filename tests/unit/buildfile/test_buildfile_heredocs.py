"""Here-documents: which words open one, where it ends, and what is in it."""

import pytest
from reading import errors, file, line, lines, shape, texts

from builder.buildfile.heredocs import opening, openings


def names(text):
    return [one.name for one in openings(text)]


@pytest.mark.parametrize(
    ("word", "name", "expand", "tabs"),
    [
        ("<<EOF", "EOF", True, False),
        ("<<-EOF", "EOF", True, True),
        ('<<"EOF"', "EOF", False, False),
        ("<<'EOF'", "EOF", False, False),
        ('<<E"O"F', "EOF", False, False),
        ("<<-'E'OF", "EOF", False, True),
        ('<<"E F"', "E F", False, False),
        ("<<\\EOF", "EOF", True, False),  # only quotes count, unlike in a shell
        ("3<<EOF", "EOF", True, False),
        ("<< EOF", "EOF", True, False),
        ("<<\tEOF", "EOF", True, False),
        ("<<$X", "$X", True, False),
        ("<<end.of-file_1", "end.of-file_1", True, False),
        ("<<é", "é", True, False),
    ],
)
def test_openings(word, name, expand, tabs):
    found = opening(word)
    assert (found.name, found.expand, found.strip_tabs) == (name, expand, tabs)


@pytest.mark.parametrize(
    "word", ["<<", "<<-", "<<<x", "<<a<b", "a<<b", "x", '<<""', "<<'a", "<EOF", '"<<EOF"', "<<a b"]
)
def test_other_words(word):
    assert opening(word) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN cat <<A", ["A"]),
        ("RUN cat <<A >x <<B", ["A", "B"]),
        ("RUN cat << A", ["A"]),
        ("RUN <<A<<B", []),
        ("RUN echo $((1<<2))", []),
        ("RUN echo $(( 1<<2 ))", ["2"]),  # BuildKit's words end at blanks whatever is around
        ("RUN cat <<<hi", []),
        ('RUN echo "<<EOF"', []),
        ("RUN echo '<<EOF'", []),
        ('RUN echo "a\\"" <<EOF', ["EOF"]),
        ('RUN echo \\" <<EOF', ["EOF"]),
        ("RUN echo it's <<EOF", []),  # a quote is open: BuildKit sees no words at all
        ("RUN echo ${x:-<<A} <<B", ["B"]),
        ("RUN echo ${x^^} <<B", []),
        ("RUN echo ${x:0:2} <<B", ["B"]),
        ("RUN echo ${x:#y} <<B", []),
        ("RUN echo ${x} $y <<B", ["B"]),
        ("RUN a<<EOF", []),
    ],
)
def test_which_words_of_a_line(text, expected):
    assert names(text) == expected


def docs(text):
    one = line(text)
    one = getattr(one, "instruction", one)
    found = one.heredocs if hasattr(one, "heredocs") else one.command.heredocs
    return [(doc.name, doc.body) for doc in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN <<EOF\na\nb\nEOF", [("EOF", "a\nb\n")]),
        ("RUN <<EOF\nEOF", [("EOF", "")]),
        ("RUN <<EOF\n EOF\nEOF \n\tEOF\nEOF", [("EOF", " EOF\nEOF \n\tEOF\n")]),
        ("RUN <<-EOF\n\t\ta\n\t b\n\tEOF", [("EOF", "a\n b\n")]),
        ("RUN <<A <<B\n1\nA\n2\nB", [("A", "1\n"), ("B", "2\n")]),
        ("RUN <<A <<A\n1\nA\n2\nA", [("A", "1\n"), ("A", "2\n")]),
        ("RUN <<EOF\n# kept\n\nb \\\nEOF", [("EOF", "# kept\n\nb \\\n")]),
        ("RUN cat \\\n <<EOF \\\n >x\na\nEOF", [("EOF", "a\n")]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", [("EOF", "a\r\n")]),
        ("RUN\t<<EOF\na\nEOF", [("EOF", "a\n")]),
        ("run <<EOF\na\nEOF", [("EOF", "a\n")]),
        ("ONBUILD RUN <<EOF\na\nEOF", [("EOF", "a\n")]),
        ("onbuild  copy <<EOF /x\na\nEOF", [("EOF", "a\n")]),
        ("RUN --network=none <<EOF\na\nEOF", [("EOF", "a\n")]),
        ("RUN --mount=type=tmpfs,target='/a b' <<EOF\na\nEOF", [("EOF", "a\n")]),
        ("ADD <<EOF /x\na\nEOF", [("EOF", "a\n")]),
    ],
)
def test_bodies(text, expected):
    assert docs(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ENV A=<<EOF",
        "CMD cat <<EOF",
        "LABEL a=<<EOF",
        'RUN ["cat", "<<EOF"]',
        'COPY ["<<EOF", "/x"]',
        "ENTRYPOINT <<EOF",
    ],
)
def test_where_there_are_none(text):
    assert len(lines(f"{text}\nUSER x")) == 2


def test_sources_of_copy():
    one = line("COPY a <<b c <<d /x/\n1\nb\n2\nd")
    assert texts(one.sources) == ["a", "c"]
    assert [(doc.name, doc.body) for doc in one.heredocs] == [("b", "1\n"), ("d", "2\n")]
    assert one.destination.text == "/x/"


def body(text):
    return shape(line(f"COPY <<EOF /x\n{text}\nEOF").heredocs[0].word.parts)


def test_bodies_of_copy_are_expanded_and_keep_their_quotes():
    assert body("a $x \"$y\" '$z'") == ["a ", ("x", ""), ' "', ("y", ""), "\" '", ("z", ""), "'\n"]
    assert body("\\$x \\\\ \\a") == ["$x \\ a\n"]
    assert body('${x:-it\'s "q"}') == [("x", ":-", ['it\'s "q"']), "\n"]
    assert line("COPY <<'EOF' /x\n$x\nEOF").heredocs[0].word is None
    assert line("RUN <<EOF\n$x ${\nEOF").command.heredocs[0].word is None


def test_bodies_always_use_the_backslash():
    found = file("# escape=`\nFROM b\nCOPY <<EOF /x\n\\$x `$y\nEOF\n").instructions[1]
    assert shape(found.heredocs[0].word.parts) == ["$x `", ("y", ""), "\n"]


def test_spans():
    one = lines("RUN <<EOF\na\nEOF\nUSER x")[0]
    assert (one.span.line, one.span.end_line) == (2, 4)
    doc = one.command.heredocs[0]
    assert (doc.span.line, doc.span.end_line) == (3, 4)


def test_a_trigger_keeps_its_body_as_written():
    one = line("ONBUILD COPY <<-EOF /x\n\ta\n\tEOF")
    assert one.trigger == "COPY <<-EOF /x\n\ta\nEOF"
    assert one.instruction.heredocs[0].body == "a\n"


def test_mistakes():
    assert errors("RUN cat <<A <<B\nA\nx") == [(1, 13, 3, "unterminated heredoc: the end B is missing")]
    assert errors("COPY a <<EOF\nEOF") == [(1, 8, 5, "a heredoc cannot be the destination")]
    assert errors("COPY <<-EOF /x\n\ta\n\t\tb ${\n\tEOF") == [
        (3, 5, 2, "bad substitution: ${ needs the name of a variable")
    ]
