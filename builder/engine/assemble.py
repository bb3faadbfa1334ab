"""From the target's result to an image: layers, config, manifest."""

from __future__ import annotations

from collections.abc import Sequence

from builder.engine.moment import moment, seconds_of
from builder.engine.session import Session
from builder.engine.stage import StageResult
from builder.execute.layer import ensure_layer, known_layer
from builder.image.config import ImageConfig, render_config
from builder.image.history import HistoryEntry
from builder.image.manifest import (
    OCI_CONFIG,
    Descriptor,
    Manifest,
    describe,
    render_manifest,
)
from builder.store.images import StoredImage
from builder.store.layers import Layer
from builder.store.store import Store
from builder.value import replace


def final_config(session: Session, result: StageResult) -> ImageConfig:
    """The config with the caller's labels, which win over those of the file and are not expanded."""
    labels = dict(result.config.labels) | dict(session.request.labels)
    return replace(result.config, labels=tuple(labels.items()))


def assemble(session: Session, result: StageResult, *, compression: str = "gzip") -> StoredImage:
    """Make the image of a result: its layers' blobs where they are missing, config and manifest; without a name yet.

    The same result gives the same bytes: times in it are those of its steps' files, or SOURCE_DATE_EPOCH.
    """
    store = session.store
    states = [state.id for state in store.chain(result.state)]
    layers = _layers(store, states, compression)
    created, history = _times(session.graph.epoch, result)
    config = render_config(
        final_config(session, result),
        created=created,
        history=history,
        diff_ids=[layer.diff_id for layer in layers],
    )
    manifest = Manifest(
        config=describe(config, OCI_CONFIG),
        layers=tuple(Descriptor(layer.media_type, layer.digest, layer.size) for layer in layers),
    )
    return store.put_image(
        render_manifest(manifest), config, state=result.state, platform=result.config.platform
    )


def _layers(store: Store, states: Sequence[bytes], compression: str) -> list[Layer]:
    """The layers of states; those that are missing are made side by side."""
    known = {state: known_layer(store, state, compression=compression) for state in states}
    missing = [state for state, layer in known.items() if layer is None]
    if len(missing) > 1:
        # Late: it brings `logging`, which a cached build has no use for.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2, thread_name_prefix="layer") as pool:
            list(pool.map(lambda state: ensure_layer(store, state, compression=compression), missing))
    return [known[state] or ensure_layer(store, state, compression=compression) for state in states]


def _times(epoch: int | None, result: StageResult) -> tuple[str, tuple[HistoryEntry, ...]]:
    """When the image and the lines of its history were made; an epoch takes the place of later times only."""
    if epoch is None:
        return result.created, result.history
    limit = moment(epoch)
    history = tuple(
        replace(entry, created=limit) if seconds_of(entry.created) > epoch else entry
        for entry in result.history
    )
    return limit, history
