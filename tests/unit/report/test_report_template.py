"""The page's template, translated when the program was built."""

from __future__ import annotations

import pytest
from test_report_layers import REPORT

from builder.report import html, page


def test_it_is_there_and_belongs_to_this_template() -> None:
    assert page.translated(), "make setup makes it"


def test_it_gives_the_same_page(monkeypatch: pytest.MonkeyPatch) -> None:
    made = html.render_html(REPORT)
    monkeypatch.setattr(html, "template", lambda filters: page.template(filters, anew=True))
    assert html.render_html(REPORT) == made


@pytest.mark.parametrize("state", ["gone", "of another template"])
def test_without_it_pages_are_made_all_the_same(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    made = html.render_html(REPORT)
    if state == "gone":
        monkeypatch.setattr(page, "TRANSLATED", "no-such.bin")
    else:
        monkeypatch.setattr(page, "made_of", lambda: b"another")
    assert not page.translated()
    assert html.render_html(REPORT) == made
