"""The values of `--secret`: from files and the environment, as Docker looks for them."""

from __future__ import annotations

import os

from builder.cli.outputs import split_fields
from builder.errors import UsageError

_LIMIT = 500 * 1024


def read_secret(text: str) -> tuple[str, bytes]:
    """A secret's id and content.

    `id=X` alone takes the variable X if it is set, else the file X; `src=` names a file, `env=` a variable.
    """
    fields: dict[str, str] = {}
    for field in split_fields(text):
        key, mark, value = field.partition("=")
        key = key.strip().lower()
        if not mark or key not in ("id", "src", "source", "env", "type"):
            raise UsageError(f"--secret has an unknown field {key!r}", hint="write --secret id=ID,src=FILE")
        fields["src" if key == "source" else key] = value
    name = fields.get("id") or os.path.basename(fields.get("src", ""))
    if not name:
        raise UsageError("--secret has no id", hint="write --secret id=ID,src=FILE")
    kind = fields.get("type", "")
    if kind not in ("", "file", "env"):
        raise UsageError(f"--secret of an unknown type {kind!r}", hint="the types are file and env")
    variable = fields.get("env") or (fields.get("src") if kind == "env" else "")
    if kind != "file" and not variable and "src" not in fields and name in os.environ:
        variable = name
    if variable:
        if variable not in os.environ:
            raise UsageError(f"--secret {name}: the variable {variable} is not set")
        return name, _bounded(name, os.environb[os.fsencode(variable)])
    path = fields.get("src") or name
    try:
        with open(path, "rb") as stream:
            return name, _bounded(name, stream.read(_LIMIT + 1))
    except OSError as error:
        raise UsageError(f'--secret {name}: the file "{path}" cannot be read: {error.strerror}') from None


def _bounded(name: str, content: bytes) -> bytes:
    if len(content) > _LIMIT:
        raise UsageError(f"--secret {name} is larger than {_LIMIT} bytes")
    return content
