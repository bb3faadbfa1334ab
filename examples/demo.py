"""The demo: a layered web application, built, built again, edited, and built once more.

    python examples/demo.py [PYBUILD…]

Shows the cache report of each build, why the last one built anything, and which layers a server that has the old image would have
to fetch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent


def say(text: str) -> None:
    print(f"\n\033[1m── {text}\033[0m" if sys.stdout.isatty() else f"\n── {text}", flush=True)


def layers(command: list[str], image: str) -> list[dict[str, object]]:
    """The layers of an image in the store, bottom first."""
    text = subprocess.run([*command, "inspect", image], check=True, capture_output=True, text=True).stdout
    document = json.loads(text)
    return list((document[0] if isinstance(document, list) else document)["Layers"])


def main() -> int:
    command = sys.argv[1:] or ["pybuild"]
    with tempfile.TemporaryDirectory(prefix="pybuild-demo-") as name:
        work = Path(name) / "layered-web"
        shutil.copytree(EXAMPLES / "layered-web", work)

        def build(part: str) -> None:
            line = ["build", "--progress", "plain", "-t", f"example/{part}", str(work / part)]
            print("$ pybuild", *line[:-1], f"layered-web/{part}", flush=True)
            subprocess.run([*command, *line], check=True)

        say("A base image for the examples, made of Debian's busybox-static")
        subprocess.run([str(EXAMPLES / "bases/busybox"), *command], check=True)
        say("A base image of layers A, B and C; a web server on top of it; an application on top of that")
        for part in ("base", "webserver", "app"):
            build(part)
        before = layers(command, "example/app")

        say("The same again: every step is a hit")
        build("app")

        say("The application's page is edited")
        page = work / "app/site/index.html"
        page.write_text(page.read_text().replace("Hello from", "Greetings from"))
        build("app")
        after = layers(command, "example/app")

        say("Why was it built? A plan, had it been asked before, would have said the same")
        print("$ pybuild explain --diff", flush=True)
        subprocess.run([*command, "explain", "--diff"], check=True)

        say("What a server that has the old image has to fetch")
        known = {layer["digest"] for layer in before}
        for layer in after:
            verb = "has   " if layer["digest"] in known else "fetch "
            print(f"  {verb} {layer['digest']}  {layer['size']:>9,} bytes")
        new = [layer for layer in after if layer["digest"] not in known]
        print(f"  {len(new)} of {len(after)} layers: {sum(int(str(layer['size'])) for layer in new):,} bytes")

        say("And it runs: a container from the new image")
        subprocess.run([*command, "run", "example/app", "cat", "/srv/www/index.html"], check=True)
    return 0 if len(new) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
