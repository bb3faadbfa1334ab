"""The parts of each kind of step's key: everything that may change its result, and nothing else.

Never among them: times of files, secrets, proxy settings, the addresses of added hosts (their names are).
"""

from __future__ import annotations

from collections.abc import Sequence

from builder.cache.key import Part
from builder.graph.steps import CopyStep, FromScratch, MountSpec, RunStep, WorkdirStep


def run_parts(
    step: RunStep,
    parent: bytes,
    *,
    platform: str,
    mounts: Sequence[Part] = (),
    surroundings: Sequence[Part] = (),
) -> tuple[Part, ...]:
    """The parts of a RUN.

    `mounts` are the parts of what its mounts bring in (the caller fingerprints them), `surroundings` those of
    build-wide settings that a process can see: added hosts, limits, the size of /dev/shm.
    """
    from_args = dict(step.args)
    parts = [
        Part("parent", "", parent.hex()),
        Part("instruction", "", "RUN"),
        *(Part("argument", str(number), text) for number, text in enumerate(step.argv)),
        *(
            Part("arg" if from_args.get(name) == value else "env", name, value)
            for name, value in sorted(step.env)
        ),
        Part("user", "", step.user),
        Part("directory", "", step.cwd),
        Part("network", "", step.network),
        Part("security", "", step.security),
        Part("platform", "", platform),
    ]
    parts += [Part("hostname", "", step.hostname)] if step.hostname else []
    parts += [
        Part("script", script.name, script.content.decode("utf-8", "surrogateescape"))
        for script in step.scripts
    ]
    return (*parts, *mounts, *surroundings)


def mount_part(mount: MountSpec, content: str = "") -> Part:
    """The part of one `RUN --mount`; `content` is the fingerprint of what a bind brings in, or what a cache begins with.

    What caches have become, secrets and agents are left out: they may differ from run to run by design.
    """
    inside = isinstance(mount.origin, FromScratch) and mount.source != "/"
    described = [
        f"id={mount.id}" if mount.kind in ("secret", "ssh") else "",
        f"source={mount.source}" if mount.kind == "bind" or content or inside else "",
        f"mode={mount.mode}" if mount.mode is not None else "",
        f"owner={mount.uid}:{mount.gid}",
        f"size={mount.size}" if mount.size else "",
        f"env={mount.env}" if mount.env else "",
        "ro" if mount.read_only else "rw",
        content,
    ]
    return Part("mount", f"{mount.kind} {mount.target}", " ".join(text for text in described if text))


def copy_parts(step: CopyStep, parent: bytes, files: Sequence[Part], *, platform: str) -> tuple[Part, ...]:
    """The parts of a COPY or ADD; `files` describe its sources: fingerprints, or the state they come from."""
    options = {
        "chown": step.chown,
        "chmod": step.chmod,
        "link": "yes" if step.link else None,
        "parents": "yes" if step.parents else None,
        "unpack": None if step.unpack is None else ("yes" if step.unpack else "no"),
        "checksum": step.checksum,
        "keep-git-dir": "yes" if step.keep_git_dir else None,
    }
    return (
        Part("parent", "", parent.hex()),
        Part("instruction", "", step.keyword),
        Part("destination", "", step.destination),
        *(Part("option", name, value) for name, value in options.items() if value is not None),
        *(Part("exclude", str(number), text) for number, text in enumerate(step.exclude)),
        Part("platform", "", platform),
        *(
            Part("inline", file.name, f"{file.mode:o} {file.content.decode('utf-8', 'surrogateescape')}")
            for file in step.inline
        ),
        *files,
    )


def workdir_parts(step: WorkdirStep, parent: bytes) -> tuple[Part, ...]:
    """The parts of a WORKDIR."""
    return (
        Part("parent", "", parent.hex()),
        Part("instruction", "", "WORKDIR"),
        Part("directory", "", step.path),
        Part("user", "", step.user),
    )
