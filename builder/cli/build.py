"""`pybuild build`: `docker buildx build`'s flags → one call of the library."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from builder.cli.options import Parser, add_store, become_root, docker_config, store_path
from builder.cli.outputs import parse_output
from builder.cli.secrets import read_secret
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.engine.result import BuildResult

# Flags of other builders that change nothing here.
_ACCEPTED = ("--builder", "--disable-content-trust", "--rm", "--force-rm", "--compress", "--isolation")
# Flags whose work is not there yet: said when they are used.
_LATER_WITH_VALUE = (
    *("--allow", "--annotation", "--attest", "--cache-from", "--cache-to", "--call", "--cgroup-parent"),
    *("--policy", "--ssh", "--cpu-period", "--cpu-quota", "--cpu-shares", "--cpuset-cpus"),
    *("--cpuset-mems", "--memory", "--memory-swap", "--security-opt"),
)
_LATER = ("--check", "--squash")


def _parser() -> Parser:
    parser = Parser(
        "build",
        "Build an image from a build file and a context folder.",
        "Examples:\n"
        "  pybuild .                                  build ./Buildfile (or Dockerfile) into the store\n"
        "  pybuild -t example/app --push .            build and push\n"
        "  pybuild -o type=oci,dest=image.tar .       write an OCI archive\n"
        "  pybuild -o out/ --target binaries .        write a stage's files to a folder\n",
    )
    add = parser.add_argument
    add("context", metavar="CONTEXT", nargs="?", help="the folder that COPY and ADD take files from")
    what = parser.add_argument_group("what to build")
    what.add_argument("-f", "--file", metavar="FILE", help="the build file; - is standard input")
    what.add_argument("--target", metavar="STAGE", help="the stage to build (default: the last)")
    what.add_argument(
        "--build-arg", metavar="NAME[=VALUE]", action="append", default=[], help="the value of an ARG"
    )
    what.add_argument(
        "--build-context", metavar="NAME=SOURCE", action="append", default=[],
        help="a folder, oci-layout://FOLDER[:TAG] or docker-image://REFERENCE under a name",
    )  # fmt: skip
    what.add_argument("--platform", metavar="OS/ARCH", action="append", default=[], help="what to build for")
    result = parser.add_argument_group("what comes out")
    result.add_argument(
        "-t", "--tag", metavar="NAME[:TAG]", action="append", default=[], help="a name for the image"
    )
    result.add_argument(
        "-o", "--output", metavar="SPEC", action="append", default=[],
        help="type=image|oci|docker|local|tar|registry,dest=PATH, or a folder, or - for a tar on stdout",
    )  # fmt: skip
    result.add_argument(
        "--label", metavar="NAME=VALUE", action="append", default=[], help="a label of the image"
    )
    result.add_argument("--push", action="store_true", help="push the image by each of its names")
    result.add_argument(
        "--load", action="store_true", help="keep the image in the store, beside other outputs"
    )
    result.add_argument("--iidfile", metavar="FILE", help="write the image's id to a file")
    result.add_argument(
        "--metadata-file", metavar="FILE", help="write the result's digests to a file as JSON"
    )
    cache = parser.add_argument_group("cache")
    cache.add_argument(
        "--no-cache", action="store_true", help="look nothing up; results are kept all the same"
    )
    cache.add_argument(
        "--no-cache-filter",
        metavar="STAGE",
        action="append",
        default=[],
        help="look nothing up for these stages",
    )
    cache.add_argument("--pull", action="store_true", help="ask registries what a base's name stands for now")
    steps = parser.add_argument_group("what steps see")
    steps.add_argument("--network", default="default", choices=["default", "none", "host"], help="of RUN")
    steps.add_argument(
        "--add-host", metavar="NAME:IP", action="append", default=[], help="a line for /etc/hosts"
    )
    steps.add_argument("--shm-size", metavar="BYTES", help="of /dev/shm, such as 64m")
    steps.add_argument(
        "--ulimit", metavar="NAME=SOFT[:HARD]", action="append", default=[], help="a limit of RUN"
    )
    steps.add_argument(
        "--secret", metavar="id=ID[,src=FILE|,env=NAME]", action="append", default=[],
        help="a secret for RUN --mount=type=secret; it enters no key, log or layer",
    )  # fmt: skip
    show = parser.add_argument_group("what is shown")
    show.add_argument(
        "--progress",
        default=None,
        choices=["auto", "plain", "tty", "quiet", "rawjson"],
        help="how progress is shown",
    )
    show.add_argument("-q", "--quiet", action="store_true", help="print the image's id and nothing else")
    show.add_argument("--report", metavar="FILE.json", help="write how every step ended, and why it missed")
    show.add_argument("-D", "--debug", action="store_true", help="show where an error came from")
    add_store(parser)
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="steps that work at once (default: one a processor)"
    )
    hidden = "==SUPPRESS=="
    for name in _ACCEPTED:
        add(name, nargs="?", help=hidden)
    for name in _LATER_WITH_VALUE:
        add(name, action="append", default=[], help=hidden)
    for name in _LATER:
        add(name, action="store_true", help=hidden)
    for name in ("--provenance", "--sbom"):
        add(name, nargs="?", const="true", default="false", help=hidden)
    return parser


def run(arguments: list[str]) -> int:
    """Build."""
    options = _parser().parse_args(arguments)
    _refuse_later(options)
    if options.context is None:
        raise UsageError(
            "the context is missing: the folder that COPY takes files from",
            hint="pybuild . builds the current folder",
        )
    if options.debug:
        os.environ["PYBUILD_DEBUG"] = "1"
    arguments_of_build = _arguments(options)
    userxattr = become_root()
    cancelled = threading.Event()
    _stop_on_signals(cancelled)
    import builder
    from builder.cli.progress import open_progress

    with ExitStack() as stack:
        mode = "quiet" if options.quiet else options.progress or os.environ.get("BUILDKIT_PROGRESS") or "auto"
        show = stack.enter_context(open_progress(mode, sys.stderr, report=options.report))
        result = builder.build(
            options.context, on_event=show, cancelled=cancelled, userxattr=userxattr, **arguments_of_build
        )
    _write_results(options, result)
    return 0


def _refuse_later(options: Any) -> None:
    for name in (*_LATER_WITH_VALUE, *_LATER):
        if getattr(options, name[2:].replace("-", "_")):
            raise UsageError(f"{name} is not supported yet")
    for name in ("provenance", "sbom"):
        if getattr(options, name) not in ("false", "0", None):
            raise UsageError(f"--{name} is not supported yet", hint=f"leave it out, or give --{name}=false")
    if len([part for text in options.platform for part in text.split(",")]) > 1:
        raise UsageError("building for several platforms at once is not supported yet")


def _arguments(options: Any) -> dict[str, Any]:
    """The keyword arguments of `builder.build`."""
    to_terminal = sys.stdout.isatty()
    build_args = _pairs("--build-arg", options.build_arg, from_environment=True)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        build_args.setdefault("SOURCE_DATE_EPOCH", epoch)
    platform = options.platform[0] if options.platform else os.environ.get("DOCKER_DEFAULT_PLATFORM")
    return {
        "file": options.file,
        "tags": options.tag,
        "target": options.target,
        "build_args": build_args,
        "build_contexts": _pairs("--build-context", options.build_context),
        "labels": _pairs("--label", options.label, empty=True),
        "outputs": [parse_output(text, to_terminal=to_terminal) for text in options.output],
        "platform": None if platform in (None, "local", "") else platform,
        "no_cache": options.no_cache,
        "no_cache_filter": [name for text in options.no_cache_filter for name in text.split(",")],
        "pull": options.pull,
        "push": options.push,
        "load": options.load,
        "network": options.network,
        "add_hosts": [_host(text) for text in options.add_host],
        "shm_size": _size(options.shm_size) if options.shm_size else None,
        "secrets": dict(read_secret(text) for text in options.secret),
        "ulimits": [_limit(text) for text in options.ulimit],
        "jobs": options.jobs,
        "store": store_path(options.store),
        "docker_config": docker_config(),
        "stdin": sys.stdin.buffer,
        "stdout": sys.stdout.buffer,
    }


def _pairs(
    flag: str, texts: list[str], *, from_environment: bool = False, empty: bool = False
) -> dict[str, str]:
    """`NAME=VALUE` texts; a lone name takes the environment's value, and is left out if there is none."""
    found = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not name:
            raise UsageError(f"{flag} {text!r} has no name")
        if mark or empty:
            found[name] = value
        elif not from_environment:
            raise UsageError(f"{flag} {text!r} has no value", hint=f"write {flag} {name}=…")
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _host(text: str) -> tuple[str, str]:
    name, mark, address = text.partition("=") if "=" in text else text.partition(":")
    address = address.strip("[]")
    if not name or not mark or not address:
        raise UsageError(f"--add-host {text!r} cannot be read", hint="write it as NAME:ADDRESS")
    if address == "host-gateway":
        address = "127.0.0.1"
    import ipaddress

    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UsageError(f"--add-host {text!r}: {address!r} is no address") from None
    return name, address


_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _size(text: str) -> int:
    number = text.rstrip("bBkKmMgGiI")
    unit = text[len(number) :].lower().removesuffix("ib").removesuffix("b") or ""
    if not number.isdecimal() or unit not in _UNITS:
        raise UsageError(f"{text!r} is no size", hint="write it as 64m")
    return int(number) * _UNITS[unit]


def _limit(text: str) -> tuple[str, int, int]:
    name, _, values = text.partition("=")
    soft, mark, hard = values.partition(":")
    try:
        return name, int(soft), int(hard) if mark else int(soft)
    except ValueError:
        raise UsageError(f"--ulimit {text!r} cannot be read", hint="write it as nofile=1024:2048") from None


def _stop_on_signals(cancelled: threading.Event) -> None:
    """The first signal stops the build and lets it clean up, a second one ends the process."""

    def stop(number: int, frame: object) -> None:
        del number, frame
        if cancelled.is_set():
            os._exit(130)
        cancelled.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _write_results(options: Any, result: BuildResult) -> None:
    if options.iidfile:
        _write(options.iidfile, result.image_id)
    if options.metadata_file:
        _write(options.metadata_file, json.dumps(dict(result.metadata), indent=2) + "\n")
    if options.quiet and result.image_id:
        print(result.image_id)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise UsageError(f'cannot write "{path}": {error.strerror}') from None
