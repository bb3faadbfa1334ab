"""The values of `--output` and of flags like it: comma-separated fields (RFC 4180)."""

from __future__ import annotations

from builder.engine.request import Output
from builder.errors import UsageError


def split_fields(text: str) -> list[str]:
    """The fields of one line: a field in double quotes may hold commas."""
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise UsageError(f"cannot read {text!r}: {error}") from None


def parse_output(text: str, *, to_terminal: bool) -> Output:
    """`type=oci,dest=out.tar`, a folder's path, or `-` for a tar on standard output."""
    if text == "-":
        output = Output("tar", "-")
    elif "=" not in text:
        output = Output("local", text)
    else:
        fields: dict[str, str] = {}
        for field in split_fields(text):
            key, mark, value = field.partition("=")
            if not mark:
                raise UsageError(f"cannot read --output {text!r}: {field!r} has no =")
            fields[key.strip().lower()] = value
        kind = fields.pop("type", "")
        if not kind:
            raise UsageError(
                f"--output {text!r} has no type", hint="write type=oci,dest=FILE, or name a folder"
            )
        output = Output(kind, fields.pop("dest", None), fields)
        if output.dest is None and kind in ("oci", "docker", "tar"):
            output = Output(kind, "-", fields)
    if output.dest == "-" and to_terminal:
        raise UsageError(
            "an archive is not written to a terminal", hint="redirect the output, or give dest=FILE"
        )
    return output
