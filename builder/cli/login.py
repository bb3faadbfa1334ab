"""`pybuild login`: keep the password of a registry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from builder.cli.command import Command
from builder.cli.flags import Arguments, Flag
from builder.cli.surroundings import Surroundings
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.registry.auth import Credentials

_LONGEST = 64 << 10


def run(args: Arguments, around: Surroundings) -> int:
    """Ask for what was not given, try it, and keep it where Docker would."""
    from builder.registry.auth import HUB, Credentials, store_credentials

    registry = registry_host(args.words[0]) if args.words else HUB
    username = args.text("--username")
    if args.switch("--password-stdin"):
        if args.text("--password") is not None:
            raise UsageError("--password and --password-stdin exclude each other")
        if not username:
            raise UsageError("--password-stdin needs --username")
        password: str | None = sys.stdin.read(_LONGEST).rstrip("\r\n")
    else:
        password = args.text("--password")
    if not username or password is None:
        username, password = _ask(username, password, around)
    if not username or not password:
        raise UsageError("a name and a password are needed", hint="give -u NAME --password-stdin")
    credentials = Credentials(username, password)
    _try(registry, credentials)
    store_credentials(registry, credentials, around.docker_config())
    around.out.write("Login Succeeded\n")
    return 0


def registry_host(text: str) -> str:
    """The host of `[https://]HOST[/…]`, as people paste it."""
    host = text.removeprefix("https://").removeprefix("http://").partition("/")[0]
    if not host or any(sign.isspace() for sign in host):
        raise UsageError(f'"{text}" is no registry', hint="give a host, such as registry.example:5000")
    return "docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host


def _ask(username: str | None, password: str | None, around: Surroundings) -> tuple[str, str]:
    if not sys.stdin.isatty():
        raise UsageError(
            "a name and a password are needed, and there is no terminal to ask",
            hint="give -u NAME --password-stdin",
        )
    from getpass import getpass

    if not username:
        around.err.write("Username: ")
        around.err.flush()
        username = sys.stdin.readline().strip()
    try:
        return username, getpass("Password: ") if password is None else password
    except EOFError:
        return username, ""


def _try(registry: str, credentials: Credentials) -> None:
    """A `RegistryError` if the registry does not take the credentials (distribution specification, end-1)."""
    from builder.image.reference import Reference
    from builder.registry.client import Client

    client = Client(Reference(registry, "pybuild/login", "latest"), credentials)
    try:
        with client.request("GET", "/v2/"):
            pass
    finally:
        client.close()


COMMAND = Command(
    name="login",
    usage="[REGISTRY]",
    flags=(
        Flag("--username", "NAME", "User name", "-u"),
        Flag("--password-stdin", "", "Read the password from standard input"),
        Flag(
            "--password",
            "PASSWORD",
            "Password; other users of this machine can see it, --password-stdin is safer",
            "-p",
        ),
    ),
    run=run,
    text="Credentials are kept in Docker's config.json (DOCKER_CONFIG), or by the helper that it names.\nREGISTRY is a host; without it Docker Hub.",
    examples=(("pybuild login -u me --password-stdin registry.example < secret", "in a script"),),
    most=1,
)
