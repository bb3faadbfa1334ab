"""Our syntax tree in the shape of the official Go parser's, which the package `dockerfile` brings along.

Its version is BuildKit 0.12.5. Since then, four things have changed in BuildKit, in which we follow the newer one:
here-documents may have a blank before their name, a JSON array must be all there is, the escape character of the
file holds for quotes in flags, too, and comments above lines are kept.
"""

from __future__ import annotations

from builder.buildfile import syntax
from builder.buildfile.durations import parse_duration

BOOLEANS = ("link", "parents", "keep-git-dir", "unpack")
TIMES = ("interval", "timeout", "start-period", "start-interval")


def keyword(line):
    """The keyword in capitals."""
    return line.keyword if isinstance(line, syntax.Copy) else type(line).__name__.upper()


def command(form):
    """Whether it is JSON, and the values."""
    if isinstance(form, syntax.ExecForm):
        return True, form.argv
    return False, (form.text,) if form.text else ()


def values(line):
    """Whether a line is JSON (None: our tree does not tell), and the oracle's list of values."""
    match line:
        case syntax.From(image=image, name=name):
            return False, (image.text, "as", name) if name else (image.text,)
        case syntax.Arg(items=items):
            return False, tuple(
                item.name if item.default is None else f"{item.name}={item.default.text}" for item in items
            )
        case syntax.Env(pairs=pairs) | syntax.Label(pairs=pairs):
            return False, tuple(word.text for pair in pairs for word in (pair.key, pair.value))
        case syntax.Run(command=form) | syntax.Cmd(command=form) | syntax.Entrypoint(command=form):
            return command(form)
        case syntax.Shell(argv=argv):
            return True, argv
        case syntax.Copy(sources=sources, destination=destination):
            return None, tuple(word.text for word in (*sources, destination))
        case syntax.Expose(ports=ports):
            return False, tuple(word.text for word in ports)
        case syntax.Volume(paths=paths):
            return None, tuple(word.text for word in paths)
        case syntax.Healthcheck(command=None):
            return False, ("NONE",)
        case syntax.Healthcheck(command=form):
            is_json, argv = command(form)
            return is_json, ("CMD", *argv)
        case syntax.Workdir(path=word) | syntax.User(user=word) | syntax.StopSignal(signal=word):
            return False, (word.text,)
        case syntax.Maintainer(name=name):
            return False, (name,)
        case syntax.Onbuild(instruction=inner):
            return values(inner)
    raise AssertionError(line)


def flags(line):
    """The flags of a line, sorted; booleans and times have one spelling."""
    found = []
    match line:
        case syntax.From(platform=platform):
            found += [f"--platform={platform.text}"] if platform else []
        case syntax.Run():
            for mount in line.mounts:
                texts = [key if word is None else f"{key}={word.text}" for key, word in mount.fields]
                found.append(
                    "--mount=" + ",".join(f'"{text}"' if "," in text else text for text in texts).lower()
                )
            found += [
                f"--{name}={value}" for name in ("network", "security") if (value := getattr(line, name))
            ]
            found += [f"--device={device}" for device in line.devices]
        case syntax.Copy():
            for name in ("chown", "chmod", "checksum"):
                word = getattr(line, name)
                found += [f"--{name}={word.text}"] if word else []
            found += [f"--from={line.from_}"] if line.from_ is not None else []
            found += [f"--exclude={pattern}" for pattern in line.exclude]
            for name in BOOLEANS:
                if getattr(line, name.replace("-", "_")):
                    found.append(f"--{name}=true")
        case syntax.Healthcheck():
            for name in (*TIMES, "retries"):
                value = getattr(line, name.replace("-", "_"))
                found += [f"--{name}={value}"] if value else []
    return sorted(found)


def same_flags(written, keyword):
    """The oracle's flags in the one spelling that `flags` gives."""
    found = []
    for flag in written:
        name, mark, value = flag.removeprefix("--").partition("=")
        if name in BOOLEANS:
            value = "true" if not mark else value.lower()
            if value == "false":
                continue
        elif name in TIMES:
            value = str(parse_duration(value)) if value else "0"
        if name == "retries":
            value = str(int(value or "0"))
        if keyword == "HEALTHCHECK" and int(value or "0") == 0:
            continue
        # Our tree has the keys of mounts in small letters.
        found.append(f"--{name}={value.lower() if name == 'mount' else value}")
    return sorted(found) if keyword not in ("ARG", "STOPSIGNAL") else []


def heredocs(line):
    """Names and bodies, tabs stripped."""
    line = line.instruction if isinstance(line, syntax.Onbuild) else line
    match line:
        case syntax.Copy(heredocs=found) | syntax.Run(command=syntax.ShellForm(heredocs=found)):
            return [(heredoc.name, heredoc.strip_tabs, heredoc.body) for heredoc in found]
    return []
