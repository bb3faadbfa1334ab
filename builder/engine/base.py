"""What a stage begins with: nothing, a folder, or an image from a layout, the store or a registry."""

from __future__ import annotations

from builder.cache.key import SCRATCH
from builder.engine.fetch import fetch_image
from builder.engine.reasons import Above, why_another_base, why_not_here
from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.errors import UsageError
from builder.events import Outcome, Reason
from builder.graph.stages import Stage
from builder.image.config import ConfigDocument, ImageConfig, empty_config, parse_document
from builder.image.history import HistoryEntry, align_history
from builder.image.platform import Platform
from builder.store.images import StoredImage
from builder.value import dataclass


@dataclass(frozen=True, slots=True)
class Base:
    """Files (a state), config and history to begin with.

    `created` is RFC 3339 text or empty; `image` names an image's manifest, None for anything else. `image_state` is the state
    of the image that all this stands on, whose entries in the history are the first `inherited`. `above` is what steps on
    it stand on, for their explanations.
    """

    state: bytes
    config: ImageConfig
    history: tuple[HistoryEntry, ...] = ()
    created: str = ""
    image: str | None = None
    image_state: bytes = SCRATCH
    inherited: int = 0
    above: tuple[Above, ...] = ()


def scratch_base(platform: Platform) -> Base:
    """The base of `FROM scratch`: no files, and a config with nothing but the default PATH."""
    return Base(SCRATCH, empty_config(platform))


def image_base(session: Session, image: StoredImage) -> Base:
    """The base that an image of the store is."""
    document = image_document(session, image)
    history = align_history(document.history, len(document.diff_ids))
    return Base(
        image.state,
        document.config,
        history,
        document.created,
        str(image.manifest),
        image_state=image.state,
        inherited=len(history),
    )


def image_document(session: Session, image: StoredImage) -> ConfigDocument:
    """The config of an image of the store."""
    return parse_document(session.store.read_blob(image.config))


def context_image(
    session: Session, name: str, platform: Platform, reporter: StepReporter
) -> StoredImage | None:
    """The image that a named context is, None for one that is a folder."""
    inputs = session.inputs
    if name in inputs.folders:
        return None
    if name in inputs.layouts:
        from builder.store.importing import import_image
        from builder.store.layouts import LayoutSource

        return import_image(
            session.store,
            LayoutSource(inputs.layouts[name]),
            platform=platform,
            on_progress=reporter.local_progress,
        )
    if name in inputs.images:
        return fetch_image(session, inputs.images[name], platform, reporter)
    raise UsageError(f'there is no build context "{name}"')


def named_image(session: Session, reference: str, platform: Platform, reporter: StepReporter) -> StoredImage:
    """The image of a reference: from the store, or else pulled."""
    return fetch_image(session, reference, platform, reporter)


def report_base(session: Session, reporter: StepReporter, stage: Stage, base: Base, *, known: bool) -> Above:
    """Tell how a base was come by: a hit if the store had all of it; and how it differs from what it was."""
    digest = base.image or ""
    another = why_another_base(session, reporter.slot, reporter.title, stage.name or "", digest)
    reporter.digest = digest
    if known:
        reporter.finish(Outcome.HIT, state=base.state, reasons=another)
    else:
        new = Reason(
            "changed", f"base {digest}".rstrip(), why_not_here(session, reporter.slot, reporter.title, digest)
        )
        reporter.finish(Outcome.MISS, state=base.state, reasons=another or (new,))
    return Above(reporter.number, reporter.title, base.state, changed=bool(another))
