"""`pybuild build --check` and `--call`: what a build file says, without building. They need no store."""

from __future__ import annotations

from typing import Any

from builder.cli import values
from builder.cli.flags import FALSE, TRUE, Arguments
from builder.cli.surroundings import Surroundings
from builder.errors import BuildFileError, UsageError
from builder.lint.outline import Need, Outline, Target
from builder.value import dataclass

_METHODS = ("build", "check", "outline", "targets", "subrequests.describe")
_SAME = {"lint": "check"}
_FORMATS = ("text", "json")
_FOUND = 1
_NOT_PARSED = 2
_DESCRIPTIONS = {
    "frontend.outline": "List all parameters current build target supports",
    "frontend.targets": "List all targets current build supports",
    "frontend.lint": "Lint a Dockerfile",
    "frontend.subrequests.describe": "List available subrequest types",
}


def asked(args: Arguments) -> str | None:
    """The value of `--call`, or of `--print`, its name of old; None if neither is given."""
    found = args.text("--call")
    return args.text("--print") if found is None else found


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be done instead of building (`build`: nothing is), and in which format.

    With `ignore_status` what a check finds does not count for the exit status.
    """

    name: str
    form: str = "text"
    ignore_status: bool = False


def called(args: Arguments) -> Call:
    """Read `--call` and `--check`: `METHOD,format=json,ignorestatus=true`, in any order."""
    given = asked(args)
    names, form, ignore_status = [], "text", False
    for field in values.fields("--call", given or "build"):
        key, mark, value = field.partition("=")
        if not mark:
            names.append(_SAME.get(field, field))
        elif key == "format":
            form = values.choice("--call", value or "text", _FORMATS)
        elif key == "ignorestatus":
            if value not in TRUE and value not in FALSE:
                raise UsageError(f'--call: ignorestatus is true or false, not "{value}"')
            ignore_status = value in TRUE
        else:
            raise UsageError(f'--call: there is no option "{key}"', hint="write --call=check,format=json")
    if len(names) > 1:
        raise UsageError(f"--call: {names[0]} and {names[1]} cannot both be done")
    name = values.choice("--call", names[0] if names else "build", _METHODS)
    if args.switch("--check"):
        if given is not None and name not in ("check", "build"):
            raise UsageError(f"--check and --call={name} cannot both be done")
        name = "check"
    return Call(name, form, ignore_status)


def builds(args: Arguments) -> bool:
    """Whether a command line of `build` asks for a build, not only for what the file says."""
    return called(args).name == "build"


def run_call(args: Arguments, around: Surroundings) -> int:
    """Write what was asked for. 1 if a check finds something, as with Docker; 2 if the file does not parse."""
    call = called(args)
    name, form = call.name, call.form
    if name == "check":
        status = _check(args, around, form)
        return 0 if status == _FOUND and call.ignore_status else status
    if name == "subrequests.describe":
        around.out.write(_describe(form))
    elif name == "targets":
        around.out.write(_targets(args, form))
    else:
        around.out.write(_outline(args, around, form))
    return 0


def _check(args: Arguments, around: Surroundings, form: str) -> int:
    from builder.cli.check import Wanted, check_file, local_context
    from builder.cli.findings import FORMATS

    context, file = local_context(args.words[0], args.text("--file"))
    checked, _ = check_file(
        Wanted(
            context,
            file,
            _build_args(args, around),
            args.text("--target"),
            platform=args.text("--platform"),
            named_contexts=values.contexts(args.texts("--build-context")),
            all_rules=False,
        )
    )
    around.out.write(FORMATS[form](checked))
    if checked.errors:
        return _NOT_PARSED
    return _FOUND if checked.findings else 0


def _build_args(args: Arguments, around: Surroundings) -> dict[str, str]:
    return values.from_environment("--build-arg", args.texts("--build-arg"), around.env)


def _read(args: Arguments) -> tuple[bytes, str]:
    import sys

    from builder.cli.check import local_context
    from builder.engine.inputs import read_build_file
    from builder.engine.request import BuildRequest

    context, file = local_context(args.words[0], args.text("--file"))
    request = BuildRequest(context=context, file=file, stdin=sys.stdin.buffer)
    _, name, text = read_build_file(request)
    return text, name


# --- targets ---


def _targets(args: Arguments, form: str) -> str:
    from builder.buildfile.parse import parse
    from builder.lint.outline import list_targets

    text, name = _read(args)
    targets = list_targets(parse(text, name))
    if not targets:
        raise BuildFileError(f"{name} has no build stage", hint="begin it with a FROM line")
    if form == "json":
        return _json({"targets": [_target_object(target) for target in targets], "sources": [_base64(text)]})
    from builder.cli.table import table

    return table(
        [("TARGET", "DESCRIPTION"), *((_call_target(target), target.description) for target in targets)]
    )


def _call_target(target: Target) -> str:
    if not target.default:
        return target.name
    return f"{target.name} (default)" if target.name else "(default)"


def _target_object(target: Target) -> dict[str, Any]:
    return _filled(
        name=target.name,
        default=target.default,
        description=target.description,
        base=target.base,
        platform=target.platform,
        location=_location(target.lines),
    )


# --- outline ---


def _outline(args: Arguments, around: Surroundings, form: str) -> str:
    from builder.buildfile.parse import parse
    from builder.graph.resolve import resolve_stages
    from builder.image.platform import host_platform, parse_platform
    from builder.lint.outline import make_outline

    text, name = _read(args)
    here = host_platform()
    platform = args.text("--platform")
    outline = make_outline(
        resolve_stages(
            parse(text, name),
            target=args.text("--target"),
            build_args=_build_args(args, around),
            platform=parse_platform(platform) if platform else here,
            build_platform=here,
            named_contexts=tuple(values.contexts(args.texts("--build-context"))),
        )
    )
    return _json(_outline_object(outline, text)) if form == "json" else _outline_text(outline)


def _outline_object(outline: Outline, text: bytes) -> dict[str, Any]:
    return _filled(
        name=outline.name,
        description=outline.description,
        args=[
            {"name": item.name}
            | _filled(description=item.description, value=item.value, location=_location(item.lines))
            for item in outline.args
        ],
        secrets=[_need_object(item) for item in outline.secrets],
        ssh=[_need_object(item) for item in outline.ssh],
        cache=[{"ID": item.name, "location": _location(item.lines)} for item in outline.caches],
        sources=[_base64(text)],
    )


def _need_object(need: Need) -> dict[str, Any]:
    return {"name": need.name} | _filled(required=need.required, location=_location(need.lines))


def _outline_text(outline: Outline) -> str:
    from builder.cli.table import table

    parts = []
    if outline.name or outline.description:
        rows = [("TARGET:", outline.name or "(default)")]
        if outline.description:
            rows.append(("DESCRIPTION:", outline.description))
        parts.append(table(rows))
    if outline.args:
        rows3 = [(item.name, item.value, item.description) for item in outline.args]
        parts.append(table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows3]))
    for title, needs in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if needs:
            rows = [(item.name, "true" if item.required else "") for item in needs]
            parts.append(table([(title, "REQUIRED"), *rows]))
    if outline.caches:
        parts.append(table([("CACHE",), *((item.name,) for item in outline.caches)]))
    return "\n".join(parts)


# --- forms ---


def _describe(form: str) -> str:
    if form == "json":
        names = [{"name": "result.json"}, {"name": "result.txt"}]
        requests = [
            {
                "name": name,
                "version": "1.0.0",
                "type": "rpc",
                "description": text,
                "opts": [],
                "metadata": names,
            }
            for name, text in _DESCRIPTIONS.items()
        ]
        return _json(requests)
    from builder.cli.table import table

    rows = [(name.removeprefix("frontend."), "1.0.0", text) for name, text in _DESCRIPTIONS.items()]
    return table([("NAME", "VERSION", "DESCRIPTION"), *rows])


def _filled(**fields: Any) -> dict[str, Any]:
    """The fields that are not empty, as BuildKit writes them."""
    return {name: value for name, value in fields.items() if value}


def _location(lines: tuple[int, int]) -> dict[str, Any]:
    numbers = range(lines[0], lines[1] + 1)
    return {"ranges": [{"start": {"line": number}, "end": {"line": number}} for number in numbers]}


def _base64(text: bytes) -> str:
    from base64 import b64encode

    return b64encode(text).decode("ascii")


def _json(document: Any) -> str:
    import json

    return json.dumps(document, indent=2) + "\n"
