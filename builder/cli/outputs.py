"""`--output`: where results go, in the syntax of `docker buildx build`."""

from __future__ import annotations

from builder.cli.values import fields
from builder.engine.request import Output
from builder.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builder.cli.reports import ReportFile

_ARCHIVES = frozenset({"oci", "docker", "tar"})


def parse_output(text: str) -> Output:
    """Read one `--output`: `type=oci,dest=out.tar`, a folder, or `-` for a tar of the files on standard output.

    As in buildx an `oci` or `tar` output without `dest` goes to standard output, and a `docker` one into the store.
    """
    parts = fields("--output", text)
    if len(parts) == 1 and "=" not in parts[0]:
        if not parts[0]:
            raise UsageError("--output is empty", hint="for example --output type=oci,dest=image.tar")
        return Output("tar", "-") if parts[0] == "-" else Output("local", parts[0])
    values: dict[str, str] = {}
    for part in parts:
        key, mark, value = part.partition("=")
        if not mark:
            raise UsageError(
                f'--output: "{part}" is not KEY=VALUE', hint="for example --output type=oci,dest=image.tar"
            )
        values[key.strip().lower()] = value
    kind = values.pop("type", "")
    dest = values.pop("dest", None) or None
    if not kind:
        raise UsageError("--output needs a type", hint="for example --output type=oci,dest=image.tar")
    if dest is None and kind == "docker":
        return Output("image", None, values)
    if dest is None and kind in _ARCHIVES and values.get("tar") != "false":
        dest = "-"
    return Output(kind, dest, values)


def check_standard_output(
    outputs: tuple[Output, ...], *, is_terminal: bool, reports: tuple[ReportFile, ...] = ()
) -> bool:
    """Whether an output or report goes to standard output; a `UsageError` if that cannot be meant."""
    count = sum(output.dest == "-" for output in outputs)
    told = sum(report.dest == "-" for report in reports)
    if count + told > 1:
        raise UsageError("only one output can go to standard output", hint="give the others dest=FILE")
    if count and is_terminal:
        raise UsageError(
            "an archive is not written to a terminal", hint="redirect standard output, or give dest=FILE"
        )
    return bool(count + told)
