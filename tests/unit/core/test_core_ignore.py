"""Ignore rules: the facts that moby/patternmatcher's own tests state, and a slow model as an oracle."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builder.core.tree import Ignore, Tree
from builder.errors import CoreError

MATCHES = [
    ("**", "file"), ("**/", "file"), ("**", "dir/file"), ("**/", "dir/file"), ("**/**", "dir/file"),
    ("dir/**", "dir/file"), ("dir/**", "dir/dir2/file"), ("**/dir", "dir"), ("**/dir", "dir/file"),
    ("**/dir2/*", "dir/dir2/file"), ("**/dir2/**", "dir/dir2/dir3/file"), ("**file", "file"),
    ("**file", "dir/file"), ("**/file", "dir/file"), ("**file", "dir/dir/file"), ("**/file", "dir/dir/file"),
    ("**/file*", "dir/dir/file"), ("**/file*", "dir/dir/file.txt"), ("**/file*txt", "dir/dir/file.txt"),
    ("**/file*.txt", "dir/dir/file.txt"), ("**/file*.txt*", "dir/dir/file.txt"),
    ("**/**/*.txt", "dir/dir/file.txt"), ("**/*.txt", "file.txt"), ("**/**/*.txt", "file.txt"),
    ("a**/*.txt", "a/file.txt"), ("a**/*.txt", "a/dir/file.txt"), ("a**/*.txt", "a/dir/dir/file.txt"),
    ("a/*.txt", "a/file.txt"), ("a/*.txt**", "a/file.txt"), ("a[b-d]e", "ace"), ("a[^b-d]e", "aze"),
    (".*", ".foo"), ("abc.def", "abc.def"), ("abc?def", "abcZdef"), ("a\\\\", "a\\"),
    ("**/foo/bar", "foo/bar"), ("**/foo/bar", "dir/foo/bar"), ("**/foo/bar", "dir/dir2/foo/bar"),
    ("abc/**", "abc/def"), ("abc/**", "abc/def/ghi"), ("**/.foo", ".foo"), ("a(b)c/def", "a(b)c/def"),
    ("a.|)$(}+{bc", "a.|)$(}+{bc"), ("a\\*b", "a*b"), ("*", "fileutils.go"), ("*.go", "fileutils.go"),
    ("dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"),
    ("abc", "abc"), ("*c", "abc"), ("a*", "a"), ("a*", "ab/c"), ("a*/b", "abc/b"),
    ("a*b*c*d*e*/f", "axbxcxdxexxx/f"), ("a*b?c*x", "abxbbxdbxebxczzx"), ("ab[^e-g]", "abc"),
    ("a?b", "a☺b"), ("a[^a]b", "a☺b"), ("[a-ζ]*", "α"), ("[\\]a]", "]"), ("[\\-]", "-"), ("[x\\-]", "-"),
    ("[\\-x]", "x"), ("*x", "xxx"), ("\\a*", "ab"), ("a\\d?", "adb"),
]  # fmt: skip
NO_MATCHES = [
    ("**/**/*.txt2", "dir/dir/file.txt"), ("a/*.txt", "a/dir/file.txt"), ("a[b-d]e", "ae"),
    ("a[b-d]e", "aae"), (".*", "foo"), ("abc.def", "abcdef"), ("abc.def", "abcZdef"), ("abc?def", "abcdef"),
    ("abc/**", "abc"),
    ("**/.foo", "bar.foo"), ("a(b)c/def", "a(b)c/xyz"), ("a*/b", "a/c/b"),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f"), ("a*b*c*d*e*/f", "axbxcxdxexxx/fff"),
    ("a*b?c*x", "abxbbxdbxebxczzy"), ("ab[^c]", "abc"), ("a\\*b", "ab"), ("a???b", "a☺b"),
    ("a[^a][^a][^a]b", "a☺b"), ("*[a-ζ]", "A"), ("a?b", "a/b"), ("a*b", "a/b"), ("[x\\-]", "z"),
]  # fmt: skip
BAD = [
    "[b-a]",
    "[]a]",
    "[-]",
    "[x-]",
    "[-x]",
    "\\",
    "[a-b-c]",
    "[",
    "[^",
    "[^bc",
    "a[",
    "[Local-Only]/",
    "!",
    "! ",
]


@pytest.mark.parametrize(("pattern", "path"), MATCHES)
def test_matches(pattern: str, path: str) -> None:
    assert Ignore([pattern]).match(path) == (True, 0)


@pytest.mark.parametrize(("pattern", "path"), NO_MATCHES)
def test_does_not_match(pattern: str, path: str) -> None:
    assert Ignore([pattern]).match(path) == (False, -1)


@pytest.mark.parametrize("pattern", BAD)
def test_bad_patterns_are_named(pattern: str) -> None:
    with pytest.raises(CoreError) as caught:
        Ignore(["fine", pattern])
    assert caught.value.errno == 22
    assert caught.value.path == pattern.strip().rstrip("/")


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["!fileutils.go", "*.go"], "fileutils.go", (True, 1)),
        (["docs", "!docs/README.md"], "docs/README.md", (False, 1)),
        (["docs/", "!docs/README.md"], "docs/README.md", (False, 1)),
        (["docs/*", "!docs/README.md"], "docs/README.md", (False, 1)),
        (["*.go", "!fileutils.go"], "fileutils.go", (False, 1)),
        (["**", "!util/docker/web"], "util/docker/web/foo", (False, 1)),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", (True, 2)),
        (["**", "!dist/*.whl"], "dist/x-1.whl", (False, 1)),
        ([], "any/path", (False, -1)),
        (["", "a"], "a", (True, 1)),
        (["  a/./b/../c/  "], "a/c", (True, 0)),
        (["*"], "", (False, -1)),
        (["\\!a"], "!a", (True, 0)),
    ],
)
def test_the_last_rule_that_matches_decides(
    patterns: list[str], path: str, expected: tuple[bool, int]
) -> None:
    assert Ignore(patterns).match(path) == expected


def _to_regex(pattern: str) -> re.Pattern[str]:
    """patternmatcher's translation, one character after the other."""
    out, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 1
            first = at == 2
            if pattern[at : at + 1] == "/":
                at += 1
            ends_so = first and pattern[2:3] != "/" and not re.search(r"[*?\[\]\\]", pattern[at:])
            if at == len(pattern) or ends_so:
                out += ".*"
            else:
                out += "(?:.*/)?"
        elif char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "\\":
            out += re.escape(pattern[at])
            at += 1
        elif char == "[":
            end = pattern.index("]", at)
            out += "[" + pattern[at:end] + "]"
            at = end + 1
        else:
            out += re.escape(char)
    return re.compile(out, re.DOTALL)


def _model(patterns: list[str], path: str) -> tuple[bool, int]:
    """As `MatchesUsingParentResults` of moby/patternmatcher, from folder to folder; and the last rule with a say."""
    parts = path.split("/")
    passed = [False] * len(patterns)  # which rules count for all in the folder
    left_out, deciding = False, -1
    for depth in range(1, len(parts) + 1):
        left_out, deciding = False, -1
        for index, pattern in enumerate(patterns):
            exception = pattern.startswith("!")
            if not passed[index]:
                regex = _to_regex(pattern.removeprefix("!"))
                matches = bool(regex.fullmatch("/".join(parts[:depth])))
                passed[index] = matches and exception == left_out
                if depth == len(parts) and matches:
                    deciding = index
            else:
                deciding = index
            if passed[index]:
                left_out = not exception
    return left_out, deciding


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["**/*.log", "!logs"], "logs/a.log", (True, 0)),  # the folder was not left out
        (["**/*.log", "!logs/**"], "logs/sub/a.log", (False, 1)),
        (["**/*.log", "!logs*"], "logs/a.log", (True, 0)),
        (["**/*.log", "!logs**"], "logs/sub/a.log", (False, 1)),
        (["logs", "!logs", "**/*.log"], "logs/a.log", (True, 2)),
        (["*", "!logs"], "logs/sub/a.log", (False, 1)),  # it was
        (
            ["*", "!logs/sub", "logs"],
            "logs/sub/a.log",
            (False, 1),
        ),  # the last rule changed nothing for the folder
        (["*", "!logs/sub", "logs/**"], "logs/sub/a.log", (True, 2)),
    ],
)
def test_rules_pass_on_what_they_changed(
    patterns: list[str], path: str, expected: tuple[bool, int], tmp_path: Path
) -> None:
    assert Ignore(patterns).match(path) == expected == _model(patterns, path)
    _write(tmp_path, [path])
    assert (path in _seen(tmp_path, patterns)) is not expected[0]


_pieces = st.sampled_from(
    ["a", "b", "é", ".", "*", "**", "?", "/", "[a]", "[^b]", "[a-é]", "\\*", "/**/", "**/"]
)
_names = st.text(alphabet="abé.*", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))


def _clean(text: str) -> bool:
    return not (
        text.startswith("/") or text.endswith("/") or "//" in text or re.search(r"(^|/)\.\.?(/|$)", text)
    )


_patterns = st.tuples(
    st.sampled_from(["", "", "!"]),
    st.lists(_pieces, min_size=1, max_size=6).map("".join).filter(_clean),
).map("".join)  # fmt: skip
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)


@settings(max_examples=1500)
@given(st.lists(_patterns, max_size=4), _paths)
@example(["a**b"], "axb")
@example(["**a*"], "xa")
@example(["a[^b]a"], "a/a")
@example(["****a"], "b/a")
@example(["***"], "a")
@example(["a**"], "ab/c")
def test_agrees_with_the_model(patterns: list[str], path: str) -> None:
    assert Ignore(patterns).match(path) == _model(patterns, path)


def _write(root: Path, paths: list[str]) -> list[str]:
    """Make the paths as files, as far as they do not collide; all that is there then."""
    for path in paths:
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if not (root / path).exists():
                (root / path).write_text(path)
        except (FileExistsError, NotADirectoryError):
            pass
    return sorted(str(found.relative_to(root)) for found in root.rglob("*"))


def _seen(root: Path, patterns: list[str]) -> set[str]:
    fd = os.open(root, os.O_RDONLY)
    try:
        with Tree(fd, ignore=Ignore(patterns)) as tree:
            return {os.fsdecode(tree.entry(node).path) for node in tree.glob(b"**", double_star=True)} - {""}
    finally:
        os.close(fd)


@settings(max_examples=200)
@given(st.lists(_patterns, max_size=5), st.lists(_paths, min_size=1, max_size=12))
@example(["a", "!a/b"], ["a/b/c", "a/d"])
@example(["*", "!**/a"], ["b/b/b/a", "b/a/b", "c"])
@example(["**", "!a**b"], ["b/a/b", "ax/b", "axb"])
def test_a_walk_leaves_out_what_the_model_leaves_out(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[str], paths: list[str]
) -> None:
    root = tmp_path_factory.mktemp("walk")
    everything = _write(root, paths)
    kept = {path for path in everything if not _model(patterns, path)[0]}
    above = {str(folder) for path in kept for folder in Path(path).parents} - {"."}
    assert _seen(root, patterns) == kept | above


# Rules so long that with 30 of them there is room for few states, and with 34 the rules are matched one by one.
LONG = [f"{'z' * 8000}{number}" for number in range(34)]


@pytest.mark.parametrize("count", [30, 34])
def test_rules_beyond_what_a_walk_remembers(tmp_path: Path, count: int) -> None:
    names = [f"{number * 7919 % 1000:03}" for number in range(500)]
    paths = [f"{name[0]}/é{name[1]}/{name}-é.txt" for name in names]
    patterns = [f"**/*{number // 10}*{number % 10}*t" for number in range(0, 100, 3)]
    patterns += [
        "**/é7",
        "!**/*77*",
        "5/**",
        "!5/**/*5*",
        "[^a]/**/9*",
        "!**/?1[0-4]*[é-ü].tx?",
        "2**3*é*",
        "!2**33*",
    ]
    everything = _write(tmp_path, paths)
    kept = {path for path in everything if not _model(patterns, path)[0]}
    above = {str(folder) for path in kept for folder in Path(path).parents} - {"."}
    assert 20 < len(kept) < len(everything) - 20
    assert _seen(tmp_path, patterns) == kept | above
    assert _seen(tmp_path, [*LONG[:count], *patterns]) == kept | above


def test_a_folder_left_out_is_not_entered(tmp_path: Path) -> None:
    _write(tmp_path, ["node_modules/a/b/c", "src/x"])
    fd = os.open(tmp_path, os.O_RDONLY)
    with Tree(fd, ignore=Ignore(["node_modules", "!*.md"])) as tree:
        tree.fingerprint(0)
        assert tree.stats().directories == 2
    os.close(fd)


def test_an_exception_that_a_later_rule_takes_back_opens_no_folder(tmp_path: Path) -> None:
    _write(tmp_path, ["data/a/b/c", "src/x"])
    fd = os.open(tmp_path, os.O_RDONLY)
    with Tree(fd, ignore=Ignore(["!data/a", "data"])) as tree:
        tree.fingerprint(0)
        assert tree.stats().directories == 2
    os.close(fd)


def test_deep_folders_in_doubt_cost_no_descriptors(tmp_path: Path) -> None:
    """Exceptions make the walk look into folders that are left out: 1,500 of them, one inside the other."""
    depth, here = 1500, os.open(tmp_path, os.O_RDONLY)
    root = os.dup(here)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("keep", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.close(here)
    with Tree(root, ignore=Ignore(["*", "!**/keep"])) as tree:
        assert tree.measure(0)[0] == depth + 2
    with Tree(root, ignore=Ignore(["*", "!**/other"])) as tree:
        assert tree.measure(0)[0] == 1
    os.close(root)
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # too deep for Python's rmtree


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a*" * 60 + "b", "a" * 240),
        ("**/" * 30 + "b", "a/" * 1000 + "a"),
        ("a**" * 60 + "b", "a/" * 1000 + "a"),
        ("*" * 4000, "a" * 250),
        ("[^b]" * 250, "a" * 251),
        ("?*" * 120 + "x", "é" * 120),
    ],
)
def test_no_pattern_is_slow(pattern: str, path: str) -> None:
    rules = Ignore([pattern])
    start = time.process_time()  # of this process alone: the machine may be busy
    for _ in range(3):
        rules.match(path)
    assert time.process_time() - start < 10  # with backtracking: years


def test_a_pattern_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(CoreError, match="too long"):
        Ignore(["a?" * 5000])


def test_rules_outlive_their_handle_while_a_tree_uses_them(tmp_path: Path) -> None:
    _write(tmp_path, ["a/b", "a/c"])
    fd = os.open(tmp_path, os.O_RDONLY)
    rules = Ignore(["a/c"])
    with Tree(fd, ignore=rules) as tree:
        rules.close()
        del rules
        assert tree.measure(0) == (3, 3, 0)
    os.close(fd)


def test_names_that_are_no_text_are_matched_as_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff\xe9b")
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "ab").write_bytes(b"")
    assert _seen(tmp_path, [name]) == {"ab"}
    assert _seen(tmp_path, ["a??b"]) == {"ab"}
    assert _seen(tmp_path, ["a[^x]*b"]) == {"ab"}
