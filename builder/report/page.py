"""The template of the HTML page: translated by Jinja when the program is built, so that no report has to.

It imports nothing that is made by the build.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jinja2 import Environment, Template

TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")
PAGE = "report.html"
TRANSLATED = "translated.bin"
"""What `templates/build.py` makes of it: a line that says what of, and Python's code."""
FILTERS = ("human", "took", "line", "plain", "word", "percent", "moment", "flaky")
"""The functions that it calls."""


def environment(filters: Mapping[str, Callable[..., object]]) -> Environment:
    """What the template is read with, and carried out with."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    assert set(filters) == set(FILTERS)
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= filters
    return made


def template(filters: Mapping[str, Callable[..., object]], *, anew: bool = False) -> Template:
    """The page's template: as it was translated when the program was built, or else (`anew`) now, which takes long."""
    from jinja2 import Template

    made = environment(filters)
    code = b"" if anew else translated()
    if not code:
        return made.get_template(PAGE)
    import marshal

    # A file of this package, like any other code of it.
    return Template.from_code(made, marshal.loads(code), made.globals)  # noqa: S302


def translated() -> bytes:
    """The translation, empty if there is none that fits."""
    try:
        with open(os.path.join(TEMPLATES, TRANSLATED), "rb") as stream:
            head, _, code = stream.read().partition(b"\n")
    except OSError:
        return b""
    return code if head == made_of() else b""


def translate() -> None:
    """Write the translation."""
    import marshal

    with open(os.path.join(TEMPLATES, PAGE), encoding="utf-8") as stream:
        code = environment(dict.fromkeys(FILTERS, str)).compile(stream.read(), PAGE, PAGE)
    with open(os.path.join(TEMPLATES, TRANSLATED), "wb") as made:
        made.write(made_of() + b"\n" + marshal.dumps(code))


def made_of() -> bytes:
    """What a translation belongs to: a version of Python, one of Jinja, and the template's digest."""
    import jinja2

    with open(os.path.join(TEMPLATES, PAGE), "rb") as stream:
        digest = sha256(stream.read()).hexdigest()
    return f"{sys.hexversion} {getattr(jinja2, '__version__', '')} {digest}".encode()
