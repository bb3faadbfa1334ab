"""Instructions that only change the config or the variables: none of them is a step."""

from __future__ import annotations

from builder.buildfile.syntax import (
    Arg,
    Cmd,
    Command,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Pair,
    Shell,
    StopSignal,
    User,
    Volume,
)
from builder.errors import BuildFileError
from builder.graph import created
from builder.graph.draft import Draft
from builder.graph.places import suggest
from builder.image.config import Health

DEFAULT_SHELL = ("/bin/sh", "-c")


def in_shell(draft: Draft, text: str) -> tuple[str, ...]:
    """The argument vector that runs a text with the SHELL of this place."""
    return (*(draft.config.shell or DEFAULT_SHELL), text)


def apply_arg(draft: Draft, line: Arg) -> None:
    """Declare arguments: the caller's value, else the line's default, else the global value, else none."""
    texts = []
    for item in line.items:
        name = item.name
        value = draft.graph.build_args.get(name)
        if value is None and item.default is not None:
            value = draft.expand(item.default)
        elif value is None:
            value = draft.graph.global_args.get(name)
        draft.scope.set_arg(name, value)
        texts.append(name if value is None else f"{name}={value}")
    draft.record("ARG " + " ".join(texts))


def apply_env(draft: Draft, line: Env) -> None:
    """Set variables; all values see the variables as they were before the line."""
    pairs = _pairs(draft, "ENV", line.pairs)
    env = draft.adding("env")
    for pair, (name, value) in zip(line.pairs, pairs, strict=True):
        if "=" in name:  # a process sees only what is in front of it
            draft.warnings.append((f"a name of ENV has = in it: {name[:80]}", draft.place(pair.key.span)))
        draft.scope.set_env(name, value)
        env[name] = value
    draft.record("ENV " + " ".join(f"{name}={value}" for name, value in pairs))


def apply_label(draft: Draft, line: Label) -> None:
    """Add labels to those of the base."""
    pairs = _pairs(draft, "LABEL", line.pairs)
    draft.adding("labels").update(pairs)
    draft.record("LABEL " + " ".join(f"{name}={value}" for name, value in pairs))


def _pairs(draft: Draft, keyword: str, pairs: tuple[Pair, ...]) -> list[tuple[str, str]]:
    found = []
    for pair in pairs:
        name = draft.expand(pair.key)
        if not name:
            draft.warnings.append(
                (f"a name of {keyword} is empty: {pair.key.text}", draft.place(pair.key.span))
            )
        found.append((name, draft.expand(pair.value)))
    return found


def apply_cmd(draft: Draft, line: Cmd) -> None:
    """Set the default command."""
    argv = _argv(draft, line.command)
    draft.has_cmd = True
    draft.set(cmd=argv, args_escaped=True)
    draft.record("CMD " + created.quoted_list_text(argv))


def apply_entrypoint(draft: Draft, line: Entrypoint) -> None:
    """Set the entry point; a CMD that came with the base belongs to the old one and goes."""
    argv = _argv(draft, line.command)
    draft.set(entrypoint=argv or None)
    if not draft.has_cmd:
        draft.set(cmd=None)
    draft.record("ENTRYPOINT " + created.quoted_list_text(argv))


def _argv(draft: Draft, command: Command) -> tuple[str, ...]:
    return command.argv if isinstance(command, ExecForm) else in_shell(draft, command.text)


def apply_shell(draft: Draft, line: Shell) -> None:
    """Set the shell of shell forms, here and in images built from this one."""
    if not line.argv:
        raise draft.bad(line.span, "SHELL needs at least one word", 'write SHELL ["/bin/sh", "-c"]')
    draft.set(shell=line.argv)
    draft.record("SHELL " + created.list_text(line.argv))


def apply_user(draft: Draft, line: User) -> None:
    """Set the user, verbatim: names are looked up when something runs."""
    user = draft.expand(line.user)
    draft.set(user=user)
    draft.record(f"USER {user}")


def apply_expose(draft: Draft, line: Expose) -> None:
    """Add ports; here alone a value with blanks makes several words."""
    from builder.graph.ports import Ports

    ports = Ports()
    for word in sorted(line.ports, key=lambda word: word.text):
        for text in draft.expand(word).split():
            try:
                ports.add(text)
            except BuildFileError as error:
                raise draft.bad(word.span, error.message, error.hint) from None
    draft.adding("exposed_ports").update(dict.fromkeys(ports.found, ""))
    draft.record("EXPOSE " + created.list_text(ports.found))


def apply_volume(draft: Draft, line: Volume) -> None:
    """Add volumes. The directories are neither made nor kept from change."""
    paths = [draft.expand(word) for word in line.paths]
    for path, word in zip(paths, line.paths, strict=True):
        if not path:
            raise draft.bad(
                word.span, f"a path of VOLUME is empty: {word.text[:80]}", "name a path, such as /data"
            )
    draft.adding("volumes").update(dict.fromkeys(paths, ""))
    draft.record("VOLUME " + created.list_text(paths))


def apply_stop_signal(draft: Draft, line: StopSignal) -> None:
    """Set the signal that ends a container, as written."""
    from builder.graph.signals import NAMES, is_signal

    text = draft.expand(line.signal)
    if not is_signal(text):
        names = [f"SIG{name}" for name in NAMES]
        hint = suggest(text, names, "write a name such as SIGTERM, or a number")
        raise draft.bad(line.signal.span, f"invalid signal: {text[:80]}", hint)
    draft.set(stop_signal=text)
    draft.record(f"STOPSIGNAL {text}")


def apply_healthcheck(draft: Draft, line: Healthcheck) -> None:
    """Replace the health check."""
    if line.command is None:
        health = Health(("NONE",))
    else:
        command = line.command
        test = ("CMD", *command.argv) if isinstance(command, ExecForm) else ("CMD-SHELL", command.text)
        health = Health(
            test, line.interval, line.timeout, line.start_period, line.start_interval, line.retries
        )
    draft.set(health=health)
    draft.record("HEALTHCHECK " + created.health_text(health))


def apply_onbuild(draft: Draft, line: Onbuild) -> None:
    """Store a trigger; it leaves no history, as with BuildKit."""
    draft.set(onbuild=(*draft.config.onbuild, line.trigger))


def apply_maintainer(draft: Draft, line: Maintainer) -> None:
    """Set the author."""
    draft.set(author=line.name)
    draft.record(f"MAINTAINER {line.name}")
