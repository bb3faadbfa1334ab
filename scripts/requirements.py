"""Print what pyproject.toml asks for, one requirement a line: to build, run and test, or for one extra."""

import sys
import tomllib
from pathlib import Path

document = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
project = document["project"]
extras = project["optional-dependencies"]
everything = [*document["build-system"]["requires"], *project["dependencies"], *extras["test"]]
for requirement in extras[sys.argv[1]] if len(sys.argv) > 1 else everything:
    print(requirement)
