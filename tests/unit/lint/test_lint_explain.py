"""The page of checks: it is current, and its examples show what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.buildfile.ignorefile import read_ignore_file
from builder.buildfile.parse import parse
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.lint.check import apply_rules
from builder.lint.explain import EXPLANATIONS, page
from builder.lint.options import LintOptions, check_options
from builder.lint.rules import RULES
from builder.lint.walk import Facts

PAGE = Path(__file__).parents[3] / "docs" / "checks.md"
AMD64 = Platform("linux", "amd64")
BASES = {"example.org/app:1-arm64": ImageConfig(architecture="arm64"), "example.org/app:1": ImageConfig()}


def found(name: str, text: str) -> set[str]:
    file = parse(text.encode(), "Dockerfile")
    rules = [rule for rule in RULES if rule.default or rule.experimental or rule.name == name]
    ignore = read_ignore_file(EXPLANATIONS[name].ignore.encode())
    facts = Facts(file, LintOptions(platform=AMD64, bases=BASES, ignore=ignore))
    return {finding.rule for finding in apply_rules(rules, facts, check_options(file, {}))}


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m builder.lint.explain > docs/checks.md"


def test_every_rule_is_explained_and_named_once() -> None:
    names = [rule.name for rule in RULES]
    assert sorted(names) == sorted(EXPLANATIONS)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_the_bad_example_shows_this_rule_and_no_other(name: str) -> None:
    assert found(name, EXPLANATIONS[name].bad) == {name}


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_the_good_example_has_nothing_to_find(name: str) -> None:
    assert found(name, EXPLANATIONS[name].good) == set()
