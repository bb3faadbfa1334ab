"""Outputs: bring the result where the caller wants it."""

from __future__ import annotations

import os

from builder.digest import parse_digest
from builder.engine.assemble import Assembled, assemble, is_complete
from builder.engine.reporter import StepReporter
from builder.engine.request import Output
from builder.engine.session import Session
from builder.engine.stage import StageResult
from builder.errors import BuilderError, CacheLostError, Cancelled, DamageError, UsageError
from builder.events import Outcome
from builder.store.images import StoredImage

IMAGE_TYPES = frozenset({"image", "oci", "docker", "registry"})
_PLACED = ("local", "oci", "docker", "tar")
_KNOWN_ATTRIBUTES = {
    "image": {"name", "push", "compression", "store", "oci-mediatypes", "rewrite-timestamp"},
    "registry": {"name", "compression", "oci-mediatypes", "rewrite-timestamp"},
    "oci": {"name", "tar", "compression", "oci-mediatypes", "rewrite-timestamp"},
    "docker": {"name", "compression", "rewrite-timestamp"},
    "local": set(),
    "tar": set(),
    "cacheonly": set(),
}
COMPRESSIONS = ("gzip", "zstd", "uncompressed")


def check_outputs(outputs: tuple[Output, ...], tags: tuple[str, ...] = ()) -> None:
    """Refuse what cannot be delivered, and names that no image can have, before anything is built."""
    if tags:
        _check_names(tags)
    for output in outputs:
        known = _KNOWN_ATTRIBUTES.get(output.type)
        if known is None:
            raise UsageError(
                f'there is no output type "{output.type}"', hint=f"use one of {', '.join(_KNOWN_ATTRIBUTES)}"
            )
        for name in output.attributes:
            if name not in known:
                raise _no_attribute(output.type, name, known)
        compression = output.attributes.get("compression", "gzip")
        if compression not in COMPRESSIONS:
            raise UsageError(
                f'there is no compression "{compression}"', hint=f"use one of {', '.join(COMPRESSIONS)}"
            )
        folder = output.type == "local" or output.attributes.get("tar") == "false"
        if output.type in _PLACED and not output.dest:
            given = "".join(f",{name}={value}" for name, value in output.attributes.items())
            raise UsageError(
                f"the output type {output.type} needs dest=",
                hint=f"write -o type={output.type}{given},dest=PATH",
            )
        if output.dest and output.type not in _PLACED:
            raise UsageError(
                f"the output type {output.type} takes no dest",
                hint=f"for a file write -o type=oci,dest={output.dest}, for a folder -o type=local,dest={output.dest}",
            )
        if folder and output.dest == "-":
            raise UsageError("a folder cannot be written to standard output")
        if output.type in IMAGE_TYPES and not tags:
            names = _named(output)
            _check_names(names)
            if not names and (output.type == "registry" or output.attributes.get("push") == "true"):
                raise UsageError("an image without a name cannot be pushed", hint="name it with -t")


def _check_names(names: tuple[str, ...]) -> None:
    from builder.image.reference import parse_name

    for name in names:
        parse_name(name)


def _no_attribute(kind: str, name: str, known: set[str]) -> UsageError:
    # Late: only a mistake needs it.
    from difflib import get_close_matches

    listed = [*(["dest"] if kind in _PLACED else []), *sorted(known)]
    near = get_close_matches(name, listed, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(listed) or 'nothing'}"
    return UsageError(f'the output type {kind} does not take "{name}"', hint=hint)


def deliver(session: Session, result: StageResult, outputs: tuple[Output, ...]) -> Assembled | None:
    """Write every output in turn; the image of the first that is one, None if none is."""
    first: Assembled | None = None
    images: dict[tuple[str, bool, bool], Assembled] = {}
    for output in outputs:
        if output.type == "cacheonly":
            continue
        reporter = session.events.start(f"exporting to {_describe(output)}", "")
        try:
            session.check()
            made = None
            if output.type in IMAGE_TYPES:
                compression = compression_of(output)
                # A registry may have layers that are not here; everything else needs them.
                form = (compression, _rewrites(session, output), output.type == "registry")
                made = images.get(form) or assemble(
                    session, result, compression=compression, rewrite=form[1], lazy=form[2]
                )
                images[form] = made
                first = first or made
            _write(session, result, output, made, reporter)
        except BuilderError as error:
            outcome = Outcome.CANCELLED if isinstance(error, (CacheLostError, Cancelled)) else Outcome.FAILED
            reporter.finish(outcome, error=error.message)
            raise
        except OSError as error:
            reporter.finish(Outcome.FAILED, error=str(error))
            raise BuilderError(f"cannot write the output to {_describe(output)}: {error.strerror}") from error
        reporter.finish(Outcome.DONE)
    return first


def compression_of(output: Output) -> str:
    """How the layers of an output are packed."""
    return output.attributes.get("compression", "gzip")


def newest_of(session: Session, output: Output) -> int:
    """What times of files in the layers of an output are at the latest, in seconds since 1970; -1: there is no such bound."""
    epoch = session.graph.epoch
    return max(epoch, 0) if epoch is not None and _wants_rewriting(session, output) else -1


def _wants_rewriting(session: Session, output: Output) -> bool:
    asked = output.attributes.get("rewrite-timestamp", "false").lower() in ("true", "1")
    return asked or session.request.reproducible


def _rewrites(session: Session, output: Output) -> bool:
    """Whether times of files in the layers are SOURCE_DATE_EPOCH at the latest."""
    wanted = _wants_rewriting(session, output)
    if wanted and session.graph.epoch is None:  # a reproducible build has one
        session.events.warn("rewrite-timestamp does nothing without SOURCE_DATE_EPOCH")
    return wanted


def _describe(output: Output) -> str:
    where = {"-": " on standard output", None: ""}.get(output.dest, f" {output.dest}")
    return f"{output.type}{where}"


def _names(session: Session, output: Output) -> tuple[str, ...]:
    return session.request.tags or _named(output)


def _named(output: Output) -> tuple[str, ...]:
    """The names that an output gives its image itself."""
    return tuple(name for name in output.attributes.get("name", "").split(",") if name)


def _write(
    session: Session, result: StageResult, output: Output, made: Assembled | None, reporter: StepReporter
) -> None:
    if made is None:
        _write_files(session, result, output)
        return
    image = made.image
    names = _names(session, output)
    if output.type in ("image", "registry"):
        _prove(session, made, whole=output.type == "image")
        for name in names if is_complete(session.store, image) else ():
            session.store.images.tag(image, name)
        if output.type == "registry" or output.attributes.get("push") == "true":
            _push(session, image, names, reporter)
    elif output.type == "oci" and output.attributes.get("tar") == "false":
        from builder.store.archives import write_layout

        assert output.dest is not None
        _prove(session, made)
        write_layout(session.store, image, output.dest, names=names, check=session.check)
    else:
        _write_archive(session, output, made, names)


def _prove(session: Session, made: Assembled, *, whole: bool = True) -> None:
    """See that the layers of an image which are here are what they were; if not, the build begins again without them.

    With `whole` all must be here: who writes a cache may just have dropped one.
    """
    digests = [parse_digest(layer.digest) for layer in made.layers]
    damaged = session.store.proofs.drop_damaged(digests)
    if whole and not damaged:
        damaged = [digest for digest in digests if not session.store.blobs.has(digest)]
    if damaged:
        raise DamageError(
            f"the layer {damaged[0].short} in the store is damaged",
            hint="see whether the disk is sound, and build again",
        )


def _write_archive(session: Session, output: Output, made: Assembled, names: tuple[str, ...]) -> None:
    assert output.dest is not None
    image = made.image
    content = " ".join((output.type, str(image.manifest), *names))
    if session.store.outputs.holds(output.dest, content):
        return
    _prove(session, made)
    from builder.output.destination import open_destination
    from builder.store.archives import save_archive

    with open_destination(output.dest, session.request.stdout) as stream:
        save_archive(session.store, [(image, names)], stream, form=output.type, check=session.check)
    session.store.outputs.put(output.dest, content)


def _push(session: Session, image: StoredImage, names: tuple[str, ...], reporter: StepReporter) -> None:
    from builder.engine.images import push_image

    for name in names:
        push_image(
            session.store,
            image,
            name,
            docker_config=session.request.docker_config,
            auth_config=session.request.auth_config,
            on_progress=reporter.progress,
            cancelled=session.cancelled,
        )


def _write_files(session: Session, result: StageResult, output: Output) -> None:
    """The root file system itself, as a folder or a tar."""
    assert output.dest is not None
    epoch = session.graph.epoch
    from builder.execute.rootfs import open_state

    root = open_state(session.store, result.state)
    try:
        if output.type == "local":
            from builder.output.folder import write_folder

            write_folder(root, output.dest, keep_owner=os.geteuid() == 0 and not session.store.userxattr)
        else:
            from builder.output.destination import open_destination
            from builder.output.tarball import write_rootfs_tar

            with open_destination(output.dest, session.request.stdout) as stream:
                write_rootfs_tar(root, stream, max_mtime=-1 if epoch is None else epoch, check=session.check)
    finally:
        if root >= 0:
            os.close(root)
