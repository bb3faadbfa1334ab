"""Where in a build file the words of an error stand."""

import pytest

from builder.buildfile.parse import parse
from builder.graph.places import closer, locate, narrow


@pytest.mark.parametrize(
    ("line", "text", "column"),
    [
        ("COPY p /", "p", 6),
        ('COPY ["p", "/"]', "p", 8),
        ("COPY --chown=o one/o o /x/", "o", 14),
        ("COPY one/o /x/", "o", 6),
        ("COPY --from=Base x /y", "base", 13),
        ("COPY --link a $y /z", "y", 16),
        ("COPY a /z", "y", 1),  # no letter of COPY
        ("RUN []", "[", 5),
    ],
)
def test_a_text_is_a_word_rather_than_a_part_of_one(line, text, column):
    file = parse(f"FROM scratch\n{line}\n".encode(), "Buildfile")
    assert narrow(file, file.instructions[1].span, text).column == column


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("ADD --chmod=600 \\\n  https://a/x /y", (3, 3, 11)),
        ("ADD $HOST/x /y", (2, 5, 7)),
        ("ADD a $HOST/x /y", (2, 7, 7)),
        ("ADD $HOST/a $HOST/x /y", (2, 1, 22)),  # who knows which
    ],
)
def test_a_source_is_found_by_its_text_or_as_the_only_one_with_a_variable(line, columns):
    file = parse(f"FROM scratch\n{line}\n".encode(), "Buildfile")
    place = closer(file, locate(file, file.instructions[1].span), ("https://a/x",))
    assert (place.line, place.column, place.width) == columns
