"""RUN: from the line to the process that is to run."""

from __future__ import annotations

import re

from builder.buildfile.syntax import ExecForm, Run, ShellForm
from builder.graph import created
from builder.graph.configs import in_shell
from builder.graph.draft import Draft
from builder.graph.mounts import MountPlace, plan_mounts
from builder.graph.paths import join_path
from builder.graph.places import narrow, suggest
from builder.graph.steps import DeviceSpec, InlineFile, MountSpec, RunStep
from builder.graph.titles import MASK, heredoc_summary

NETWORKS = ("default", "none", "host")
SECURITY_MODES = ("sandbox", "insecure")
SCRIPTS = "/dev/pipes"

_AGENT = "SSH_AUTH_SOCK"


def _devices(draft: Draft, line: Run) -> tuple[DeviceSpec, ...]:
    if not line.devices:
        return ()
    from builder.graph.devices import plan_devices

    return plan_devices(draft, line)


def plan_run(draft: Draft, line: Run) -> None:
    """Add the step of a RUN line. Raises `BuildFileError` for wrong flags and mounts."""
    network = _choice(draft, line, "network", line.network, NETWORKS)
    security = _choice(draft, line, "security", line.security, SECURITY_MODES)
    scripts: tuple[InlineFile, ...] = ()
    summary = ""
    if isinstance(line.command, ExecForm):
        argv = line.command.argv
        if not argv:
            where = narrow(draft.graph.file, line.span, "[")
            raise draft.bad(where, "RUN [] runs nothing", 'write RUN ["program", "argument"]')
    else:
        text, scripts, summary = _shell_text(line.command)
        argv = in_shell(draft, text)
    for word in argv:
        if not word.isascii() and (wrong := re.search("[\ud800-\udfff]", word)):
            raise draft.bad(
                narrow(draft.graph.file, line.span, wrong[0]),
                "the command is not valid UTF-8",
                "save the build file as UTF-8, or write a byte as printf does: '\\351'",
            )
    place = MountPlace(
        file=draft.graph.file,
        working_dir=draft.working_dir,
        namespace=draft.graph.build_args.get("BUILDKIT_CACHE_MOUNT_NS", ""),
        expand=draft.expand,
        origin=lambda name: draft.origin(name, line.span),
    )
    mounts = plan_mounts(line.mounts, place)
    masks = {mount.env: MASK for mount in mounts if mount.env}
    env = draft.scope.environment()
    known = {name for name, _ in env}
    step = RunStep(
        title=draft.title(line, masks, summary),
        span=draft.place(line.span),
        argv=argv,
        env=(*env, *_agent_variable(mounts, known)),
        args=draft.scope.arguments(),
        hidden_env=tuple(item for item in draft.hidden_env if item[0] not in known),
        cwd=join_path("/", draft.working_dir),
        user=draft.config.user,
        scripts=scripts,
        mounts=mounts,
        network=draft.network if network == "default" else network,
        security=security,
        devices=_devices(draft, line),
        hostname=draft.graph.build_args.get("BUILDKIT_SANDBOX_HOSTNAME", ""),
    )
    draft.add(step, created.run_text(argv, draft.scope.recorded_arguments()))


def _choice(draft: Draft, line: Run, flag: str, value: str | None, choices: tuple[str, ...]) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        hint = suggest(value, list(choices), f"use one of {', '.join(choices)}")
        raise draft.bad(line.span, f"unsupported value --{flag}={value[:80]}", hint)
    return value


def _shell_text(command: ShellForm) -> tuple[str, tuple[InlineFile, ...], str]:
    """What the shell is to run, the scripts that it needs as files, and an addition to the title.

    A line that is nothing but a heredoc is a script: its body goes to the shell, or, with `#!` at its
    begin, into a file that the shell starts. In any other line the shell reads the heredocs itself.
    """
    if not command.heredocs:
        return command.text, (), ""
    first = command.heredocs[0]
    if len(command.heredocs) == 1 and _is_alone(command.text):
        summary = heredoc_summary(first)
        if first.body.startswith("#!"):
            script = InlineFile(first.name, first.body.encode("utf-8", "surrogateescape"), 0o755)
            return f"{SCRIPTS}/{first.name}", (script,), summary
        return first.body, (), summary
    bodies = "".join(f"\n{heredoc.raw or heredoc.body}{heredoc.name}" for heredoc in command.heredocs)
    return command.text + bodies, (), ""


def _is_alone(text: str) -> bool:
    # Late: a build file without heredocs does not need it.
    from builder.buildfile.heredocs import opening

    return opening(text.strip()) is not None


def _agent_variable(mounts: tuple[MountSpec, ...], known: set[str]) -> tuple[tuple[str, str], ...]:
    """The variable that says where the first ssh agent is, unless the build file sets it."""
    agents = [mount.target for mount in mounts if mount.kind == "ssh"]
    return ((_AGENT, agents[0]),) if agents and _AGENT not in known else ()
