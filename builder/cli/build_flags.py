"""The flags of `pybuild build`: those of `docker buildx build` with their syntax, and a few of its own."""

from __future__ import annotations

from collections.abc import Iterator

from builder.cli.command import ISOLATION, STORE
from builder.cli.flags import FALSE, TRUE, Arguments, Flag
from builder.errors import UsageError
from builder.value import replace

_WHAT, _RESULT, _STEPS = "What to build", "Results", "How steps run"
_CACHE, _SHOWN, _OTHER = "Cache", "Progress and reports", "Other"

FLAGS = (
    Flag("--file", "FILE", "Build file; - is standard input (default: Buildfile, Dockerfile or Containerfile of CONTEXT)", "-f", group=_WHAT, blank=True),
    Flag("--target", "STAGE", "Stage to build (default: the last)", group=_WHAT),
    Flag("--build-arg", "NAME[=VALUE]", "Value of an ARG; without =VALUE that of the environment", many=True, group=_WHAT),
    Flag("--build-context", "NAME=SOURCE", "Folder, URL, git repository, oci-layout://FOLDER[:TAG] or docker-image://NAME that FROM and --from call NAME", many=True, group=_WHAT, blank=True),
    Flag("--platform", "OS/ARCH", "Platform to build for, one at a time (default: DOCKER_DEFAULT_PLATFORM, or this machine's)", many=True, once=True, group=_WHAT),
    Flag("--pull", "", "Ask registries what the names of bases stand for now", group=_WHAT),
    Flag("--tag", "NAME[:TAG]", "Name for the image", "-t", many=True, group=_RESULT),
    Flag("--output", "SPEC", "Where the result goes: type=image|oci|docker|local|tar|registry,dest=PATH, a folder, or - (default: the store)", "-o", many=True, group=_RESULT, blank=True),
    Flag("--push", "", "Push the image by each of its names", group=_RESULT),
    Flag("--load", "", "Keep the image in the store, beside other outputs", group=_RESULT),
    Flag("--label", "NAME=VALUE", "Label of the image; wins over LABEL", many=True, group=_RESULT),
    Flag("--reproducible", "", "The same files give the same image anywhere: times are SOURCE_DATE_EPOCH (default: 1980), files of contexts have the modes that git keeps", group=_RESULT),
    Flag("--iidfile", "FILE", "Write the image's id to a file", group=_RESULT),
    Flag("--metadata-file", "FILE", "Write names and digests of the result to a file, as JSON", group=_RESULT),
    Flag("--network", "MODE", "Network of RUN: default and host are this machine's, none is an empty one", group=_STEPS),
    Flag("--allow", "ENTITLEMENT", "Consent to RUN --network=host: network.host", many=True, group=_STEPS, blank=True),
    Flag("--add-host", "NAME:ADDRESS", "Line for /etc/hosts", many=True, group=_STEPS),
    Flag("--shm-size", "SIZE", "Size of /dev/shm, such as 64m", group=_STEPS),
    Flag("--ulimit", "NAME=SOFT[:HARD]", "Limit of processes, such as nofile=1024:4096", many=True, group=_STEPS),
    Flag("--secret", "id=ID[,src=FILE|,env=NAME]", "Secret for RUN --mount=type=secret; it enters no key, log or layer", many=True, group=_STEPS, blank=True),
    Flag("--jobs", "N", "Steps that may run at once (default: the number of processors)", group=_STEPS),
    replace(ISOLATION, group=_STEPS),
    Flag("--no-cache", "", "Look nothing up in the cache; results are kept all the same", group=_CACHE),
    Flag("--no-cache-filter", "STAGE|STEP,…", "Stages and steps (build/2, or the text of a line) for which nothing is looked up", many=True, group=_CACHE),
    Flag("--cache-from", "SPEC", "Remote cache to read: type=registry|local|s3, or the name of a cache or of an image with an inline cache", many=True, group=_CACHE, blank=True),
    Flag("--cache-to", "SPEC", "Remote cache to write: type=registry|local|inline|s3, mode=min|max; see docs/cache.md", many=True, group=_CACHE, blank=True),
    Flag("--progress", "MODE", "auto, plain, tty, quiet, none or rawjson (default: BUILDKIT_PROGRESS, or auto)", group=_SHOWN),
    Flag("--quiet", "", "Print only the image's id, on standard output", "-q", group=_SHOWN),
    Flag("--check", "", "Do not build: check the build file by BuildKit's rules, as --call=check does", group=_WHAT),
    Flag("--call", "METHOD[,format=json]", "Instead of building: check, or show the outline (arguments, secrets) of the target, or the targets", group=_WHAT),
    Flag("--report", "FILE|SPEC", "Write how every step ended and why it missed: FILE.json, .md, .xml (JUnit) or .html, or type=json|markdown|junit|html|github[,dest=FILE]", many=True, group=_SHOWN),
    Flag("--require", "CONDITION", "End with status 3 unless the result meets it: hit-rate>=0.8, hit:STAGE/STEP, time<60s, size<200MB", many=True, group=_SHOWN),
    replace(STORE, group=_OTHER),
    Flag("--store-limit", "SIZE", "Keep the store below SIZE, such as 20g (default: PYBUILD_STORE_LIMIT, or the store's own limit)", group=_OTHER),
    Flag("--print", "METHOD[,format=json]"),  # what --call was called before
    # Accepted because scripts have them; they mean nothing here.
    Flag("--builder", "NAME"),
    Flag("--debug", "", short="-D"),
    Flag("--rm"),
    Flag("--force-rm"),
    Flag("--compress"),
    Flag("--disable-content-trust"),
    # Those of `NOT_YET`.
    Flag("--annotation", "NAME=VALUE", many=True, blank=True),
    Flag("--attest", "SPEC", many=True),
    Flag("--cgroup-parent", "NAME", blank=True),
    Flag("--cpu-period", "N"),
    Flag("--cpu-quota", "N"),
    Flag("--cpu-shares", "N", short="-c"),
    Flag("--cpuset-cpus", "LIST"),
    Flag("--cpuset-mems", "LIST"),
    Flag("--detach"),
    Flag("--invoke", "SPEC", blank=True),
    Flag("--memory", "SIZE", short="-m"),
    Flag("--memory-swap", "SIZE"),
    Flag("--on", "CONDITION", blank=True),
    Flag("--policy", "SPEC", many=True),
    Flag("--provenance", "SPEC", blank=True),
    Flag("--ref", "FILE", blank=True),
    Flag("--resource", "SPEC", many=True),
    Flag("--root", "FOLDER", blank=True),
    Flag("--sbom", "SPEC", blank=True),
    Flag("--security-opt", "SPEC", many=True),
    Flag("--server-config", "FILE", blank=True),
    Flag("--squash"),
    Flag("--ssh", "SPEC", many=True, blank=True),
)  # fmt: skip

NOT_YET = {
    "--annotation": "annotations",
    "--attest": "attestations",
    "--cgroup-parent": "limits by control groups",
    "--cpu-period": "limits by control groups",
    "--cpu-quota": "limits by control groups",
    "--cpu-shares": "limits by control groups",
    "--cpuset-cpus": "limits by control groups",
    "--cpuset-mems": "limits by control groups",
    "--detach": "there is no server that a build could go on in",
    "--invoke": "a debugger",
    "--memory": "limits by control groups",
    "--memory-swap": "limits by control groups",
    "--on": "a debugger",
    "--policy": "source policies",
    "--provenance": "provenance",
    "--ref": "there is no server that keeps builds by their references",
    "--resource": "limits by control groups",
    "--root": "there is no server",
    "--sbom": "a bill of materials",
    "--security-opt": "security options",
    "--server-config": "there is no server",
    "--squash": "squashing layers",
    "--ssh": "ssh agents",
}
"""Flags whose work this version cannot do, and what they ask for."""

_ATTESTATIONS = ("--provenance", "--sbom")


def refuse_later(args: Arguments) -> None:
    """A `UsageError` for what this version cannot do: a flag never does nothing in silence."""
    for flag in _unsupported(args):
        raise UsageError(f"{flag} is not supported yet ({NOT_YET[flag]})", hint="leave the flag out")
    for entitlement in args.texts("--allow"):
        if entitlement != "network.host":
            raise UsageError(f"--allow {entitlement} is not supported yet", hint="leave the flag out")


def _disabled(spec: str) -> bool:
    """Whether a specification of an attestation says that there shall be none."""
    fields = [field.partition("=") for field in spec.split(",")]
    return any(key.strip().lower() == "disabled" and value in TRUE for key, _, value in fields)


def _unsupported(args: Arguments) -> Iterator[str]:
    for flag in args.given():
        if flag in _ATTESTATIONS and (args.text(flag) in FALSE or _disabled(args.text(flag) or "")):
            continue
        if flag == "--attest" and all(map(_disabled, args.texts(flag))):
            continue
        if flag in NOT_YET:
            yield flag
