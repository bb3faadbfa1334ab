"""`pybuild login`: credentials for a registry, checked and kept where Docker keeps them."""

from __future__ import annotations

import sys

from builder.cli.options import Parser, docker_config
from builder.errors import UsageError
from builder.image.reference import DEFAULT_REGISTRY, Reference


def run(arguments: list[str]) -> int:
    """Check credentials with the registry, then keep them."""
    parser = Parser("login", "Check the credentials for a registry and keep them in Docker's config.json.")
    parser.add_argument("registry", metavar="REGISTRY", nargs="?", default=DEFAULT_REGISTRY)
    parser.add_argument("-u", "--username", metavar="NAME")
    parser.add_argument("-p", "--password", metavar="TEXT", help="better: --password-stdin")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    options = parser.parse_args(arguments)
    username, password = options.username, options.password
    if options.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif password is None and sys.stdin.isatty():
        import getpass

        username = username or input("Username: ")
        password = getpass.getpass()
    if not username or not password:
        raise UsageError("login needs a name and a password", hint="give -u NAME and --password-stdin")
    from builder.registry.auth import Credentials, store_credentials
    from builder.registry.client import Client

    credentials = Credentials(username, password)
    client = Client(Reference(options.registry, "", None), credentials)
    try:
        with client.request("GET", client.base.split("/v2/")[0] + "/v2/"):
            pass
    finally:
        client.close()
    store_credentials(options.registry, credentials, docker_config())
    print("Login Succeeded")
    return 0
