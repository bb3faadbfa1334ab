"""The values of `--secret`: from files and the environment, as Docker looks for them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from builder.cli.values import fields
from builder.errors import UsageError

_LIMIT = 500 * 1024
_KEYS = {"id": "id", "src": "src", "source": "src", "env": "env", "type": "type"}
_EXAMPLE = "for example --secret id=token,src=token.txt"


def read_secret(text: str, env: Mapping[str, str]) -> tuple[str, bytes]:
    """A secret's id and content.

    `id=X` alone takes the variable X if it is set, else the file X; `src=` names a file, or with `type=env` a
    variable; `env=` names a variable.
    """
    given: dict[str, str] = {}
    for field in fields("--secret", text):
        key, mark, value = field.partition("=")
        known = _KEYS.get(key.strip().lower())
        if not mark or known is None:
            raise UsageError(f'--secret: unknown field "{field}"', hint=_EXAMPLE)
        given[known] = value
    name = given.get("id") or os.path.basename(given.get("src", ""))
    kind = given.get("type", "")
    if not name:
        raise UsageError("--secret has no id", hint=_EXAMPLE)
    if kind not in ("", "file", "env"):
        raise UsageError(f'--secret {name}: there is no type "{kind}"', hint="the types are file and env")
    variable = given.get("env") or (given.get("src", name) if kind == "env" else "")
    if not variable and not kind and "src" not in given and name in env:
        variable = name
    if variable:
        if variable not in env:
            raise UsageError(f"--secret {name}: the variable {variable} is not set")
        return name, _bounded(name, os.fsencode(env[variable]))
    path = given.get("src") or name
    try:
        with open(path, "rb") as stream:
            return name, _bounded(name, stream.read(_LIMIT + 1))
    except OSError as error:
        raise UsageError(f'--secret {name}: the file "{path}" cannot be read: {error.strerror}') from None


def _bounded(name: str, content: bytes) -> bytes:
    if len(content) > _LIMIT:
        raise UsageError(f"--secret {name} is larger than {_LIMIT} bytes")
    return content
