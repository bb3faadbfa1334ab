"""The way of the data, as a test: a package imports only packages above it in the design's table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BUILDER = Path(__file__).parent.parent / "builder"

ORDER = (
    *(
        "core",
        "buildfile",
        "image",
        "remote",
        "graph",
        "lint",
        "store",
        "registry",
        "cache",
        "sandbox",
        "execute",
        "output",
    ),
    *("container", "engine", "report", "cli"),
)
"""From the bottom up. `image` stands before `graph`, whose plans end in an image config."""

FREE = frozenset({"errors", "digest", "events", "value"})
DATA = frozenset({"grammar"})
MODULES = sorted(path for path in BUILDER.rglob("*.py") if path.relative_to(BUILDER).parts[0] not in DATA)


def package_of(path: Path) -> str:
    name = path.relative_to(BUILDER).with_suffix("").parts[0]
    return "cli" if name == "__main__" else name  # `python -m builder` is the command


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, at any depth, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def uses(tree: ast.AST, module: str, *names: str) -> Iterator[tuple[int, str]]:
    """Uses of `module.name`, and imports of `name` from `module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == module and node.attr in names:
                yield node.lineno, f"{module}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == module:
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names if name.name in names)


@pytest.fixture(params=MODULES, ids=lambda path: str(path.relative_to(BUILDER)))
def module(request: pytest.FixtureRequest) -> tuple[Path, ast.Module]:
    path: Path = request.param
    return path, ast.parse(path.read_text(encoding="utf-8"))


def test_every_package_has_its_place() -> None:
    found = {path.name for path in BUILDER.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert found <= {*ORDER, *DATA}


def test_imports_go_up_the_table_only(module: tuple[Path, ast.Module]) -> None:
    path, tree = module
    own = package_of(path)
    if own == "__init__":
        return  # the library's front door reaches the engine, late
    allowed = FREE if own in FREE else FREE | set(ORDER[: ORDER.index(own) + 1])
    for number, name in imports(tree):
        parts = name.split(".")
        if parts[0] == "builder" and len(parts) > 1 and parts[1] != "__version__":
            if parts[1] == "grammar" and path.name == "grammar.py":
                continue  # the only reader of the tables
            assert parts[1] in allowed, f"{path.name}:{number} imports {name}"


def test_only_the_core_imports_the_extension(module: tuple[Path, ast.Module]) -> None:
    path, tree = module
    if package_of(path) == "core":
        return
    for number, name in imports(tree):
        assert "_core" not in name.split("."), f"{path.name}:{number} imports {name}"


def test_only_the_command_reads_the_environment_and_ends_the_process(module: tuple[Path, ast.Module]) -> None:
    path, tree = module
    if package_of(path) == "cli":
        return
    found = [
        *uses(tree, "os", "environ", "environb", "getenv", "getenvb"),
        *uses(tree, "sys", "exit", "argv"),
    ]
    assert not found, f"{path.name}: {found}"


def test_no_package_is_called_after_nothing(module: tuple[Path, ast.Module]) -> None:
    path, _ = module
    assert path.stem not in {"util", "utils", "helper", "helpers", "common", "misc"}
