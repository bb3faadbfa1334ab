"""Print what pyproject.toml asks for, to build, run and test: one requirement a line."""

import tomllib
from pathlib import Path

document = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
project = document["project"]
for requirement in (
    *document["build-system"]["requires"],
    *project["dependencies"],
    *project["optional-dependencies"]["test"],
):
    print(requirement)
