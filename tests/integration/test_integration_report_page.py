"""The HTML report in a browser: by keyboard, in light and dark, wide and narrow, and without a word to anybody.

PYBUILD_PICTURES=FOLDER in the environment of the tests leaves pictures of the page there, to be looked at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser

from tests.conftest import PYBUILD, ROOT

PICTURES = os.environ.get("PYBUILD_PICTURES", "")
TAB, ENTER = 9, 13


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert shutil.which("chromium"), "install the Debian package chromium (scripts/packages.txt)"
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def page(bases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a third build, in which two steps missed; their titles would like to be more than text."""
    folder = tmp_path_factory.mktemp("page")
    context = folder / "context"
    context.mkdir()
    (context / "Buildfile").write_text(
        "FROM base AS tools\nCOPY tool /tool\nRUN say made > /made\n"
        "FROM base AS app\nCOPY . /src\n"
        "RUN say '</script><img src=http://127.0.0.1:9/x onerror=alert(1)>' > /b\n"
        "COPY --from=tools /made /made\n"
    )
    (context / "tool").write_text("t")
    (context / ".dockerignore").write_text("Buildfile\n")
    path = folder / "report.html"
    line = ["build", "-t", "shop/app:1", "--build-context", f"base=oci-layout://{bases / 'base'}"]
    line += ["--require", "time<9m", "--store", str(folder / "store"), "--report", str(path), str(context)]
    for text in ("1", "2", "3"):
        (context / "version.txt").write_text(text)
        subprocess.run([*PYBUILD, *line], check=True, capture_output=True, cwd=ROOT)
    return path


def test_it_asks_nobody_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    for width in (1280, 390):
        for dark in (False, True):
            browser.requests.clear()
            browser.console.clear()
            browser.open(page, width=width, height=900, dark=dark)
            assert browser.requests == [page.as_uri()]
            assert browser.console == []
            # Nothing sticks out to the right.
            assert browser.value("document.documentElement.scrollWidth") == width
            if PICTURES:
                browser.picture(Path(PICTURES) / f"report-{width}-{'dark' if dark else 'light'}.png")


def test_what_it_shows(browser: Browser, page: Path) -> None:
    browser.open(page)
    text = browser.value("document.body.innerText")
    for part in (
        "shop/app:1",
        "version.txt (content)",
        "The last 3 builds",
        "[app 2/4] COPY . /src",
        "FROM base",
    ):
        assert part in text, part
    assert "<img src=http://127.0.0.1:9/x onerror=alert(1)>" in text
    assert browser.value("document.images.length") == 0
    missed = browser.value("[...document.querySelectorAll('.misses > li h3')].map(one => one.textContent)")
    assert [title.split("] ")[1][:4] for title in missed] == ["COPY", "RUN ", "COPY"]
    assert browser.value("document.querySelectorAll('.node').length") == 2
    assert browser.value("document.querySelectorAll('.row').length") == browser.value(
        "document.querySelectorAll('.steps > li').length"
    )


def test_light_and_dark_can_be_read(browser: Browser, page: Path) -> None:
    """WCAG's contrast of 4.5 for all text that stands on the page, in both."""
    script = """(() => {
      const light = (rgb) => { const [r, g, b] = rgb.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
        return .2126 * r + .7152 * g + .0722 * b };
      const ground = (node) => { for (; node; node = node.parentElement) { const c = getComputedStyle(node).backgroundColor; if (!/, 0\\)$|transparent/.test(c)) return c } return 'rgb(255,255,255)' };
      const bad = [];
      for (const node of document.querySelectorAll('p, h1, h2, h3, dt, dd, li, td, th, a, span, button, em, b, summary')) {
        if (![...node.childNodes].some(one => one.nodeType === 3 && one.data.trim()) || !node.checkVisibility()) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
        const contrast = (a + .05) / (b + .05);
        if (contrast < 4.5) bad.push(`${node.className || node.tagName} ${contrast.toFixed(2)} ${node.textContent.trim().slice(0, 20)}`);
      }
      return [...new Set(bad)] })()"""
    grounds = []
    for dark in (False, True):
        browser.open(page, dark=dark)
        grounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))
        assert browser.value(script) == []
    assert grounds[0] != grounds[1]


def test_it_is_used_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    focus = "(() => { const one = document.activeElement; return one.id || one.getAttribute('href') || one.className || one.tagName })()"
    seen = []
    for _ in range(60):
        browser.press("Tab", TAB)
        seen.append(browser.value(focus))
        if browser.value("document.activeElement.closest('.steps') !== null"):
            break
    # In the order of the page: past the heads, misses, bars, graph, layers, the numbers of the trend, the filter.
    order = ["#main", "#step-", "graph", "SUMMARY", "BUTTON"]
    places = [next(index for index, one in enumerate(seen) if one.startswith(wanted)) for wanted in order]
    assert places == sorted(places), seen
    tops = browser.value(
        "[...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')].filter(one => one.checkVisibility())"
        ".map(one => one.closest('section')).map(one => [...document.querySelectorAll('section')].indexOf(one))"
    )
    assert tops[1:] == sorted(tops[1:])
    # What has the focus shows it.
    assert browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    # A step opens by Enter.
    assert not browser.value("document.activeElement.parentElement.open")
    browser.press("Enter", ENTER)
    assert browser.value("document.activeElement.parentElement.open")


def test_the_filter_and_the_links(browser: Browser, page: Path) -> None:
    browser.open(page)
    shown = "[...document.querySelectorAll('.steps > li')].filter(one => one.checkVisibility()).length"
    whole = browser.value(shown)
    browser.value("document.querySelectorAll('.filters button')[1].click()")
    assert browser.value(shown) == 3
    assert (
        browser.value("document.querySelectorAll('.filters button')[1].getAttribute('aria-pressed')")
        == "true"
    )
    # A bar leads to its step, also to one that the filter hides.
    browser.value("document.querySelector('.row').click()")
    browser.value("new Promise(done => setTimeout(done, 50))")
    assert browser.value(shown) == 4
    assert browser.value("document.activeElement.closest('.steps > li').id") == "step-1"
    browser.value("document.querySelectorAll('.filters button')[0].click()")
    assert browser.value(shown) == whole


def test_it_works_without_scripts(browser: Browser, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        tree = browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
        filters = browser.call("DOM.querySelector", nodeId=tree, selector=".filters[hidden]")
        steps = browser.call("DOM.querySelectorAll", nodeId=tree, selector=".steps > li:not([hidden])")
        assert filters["nodeId"] and len(steps["nodeIds"]) >= 7
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
