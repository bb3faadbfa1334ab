"""From the target's result to an image: layers, config, manifest."""

from __future__ import annotations

from collections.abc import Sequence

from builder.engine.moment import moment, seconds_of
from builder.engine.session import Session
from builder.engine.stage import StageResult
from builder.events import LayerSize
from builder.execute.layer import ensure_layer, known_layer, promised_layer
from builder.image.config import ImageConfig, render_config
from builder.image.history import HistoryEntry
from builder.image.manifest import (
    OCI_CONFIG,
    Descriptor,
    Manifest,
    describe,
    render_manifest,
)
from builder.image.platform import Platform
from builder.store.images import StoredImage
from builder.store.layers import Layer
from builder.store.store import Store
from builder.value import dataclass, replace


def final_config(session: Session, result: StageResult) -> ImageConfig:
    """The config with the caller's labels, which win over those of the file and are not expanded, and their platform."""
    config = result.config
    labels = dict(config.labels) | dict(session.request.labels)
    config = replace(config, labels=tuple(labels.items()))
    return _on_platform(config, session.graph.platform) if session.request.platform else config


def _on_platform(config: ImageConfig, wanted: Platform) -> ImageConfig:
    """A config for the platform that a caller asks for, whatever its base is for: as with BuildKit the image is what was
    asked for. Of a base for the same processor the variant and the version of the system stay if none is asked for.
    """
    same = (config.os, config.architecture) == (wanted.os, wanted.architecture)
    return replace(
        config,
        os=wanted.os,
        architecture=wanted.architecture,
        variant=config.variant if same and not wanted.variant else wanted.variant,
        os_version=config.os_version if same and not wanted.os_version else wanted.os_version,
    )


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image and its layers, the lowest first."""

    image: StoredImage
    layers: tuple[LayerSize, ...]


def assemble(
    session: Session,
    result: StageResult,
    *,
    compression: str = "gzip",
    rewrite: bool = False,
    lazy: bool = False,
) -> Assembled:
    """Make the image of a result: its layers' blobs where they are missing, config and manifest; without a name yet.

    The same result gives the same bytes: times in it are those of its steps' files, or SOURCE_DATE_EPOCH. With
    `rewrite` no file in the layers that this build made is newer than that either; those of a base stay as they are.
    With `lazy` layers that a remote cache promises are not fetched; an image that lacks some is not kept in the store.
    """
    store = session.store
    states = [state.id for state in store.chain(result.state)]
    epoch = session.graph.epoch
    newest = max(epoch, 0) if rewrite and epoch is not None else -1
    given = states.index(result.base) + 1 if result.base in states else 0
    layers = _layers(store, states[:given], compression, lazy=lazy)
    layers += _layers(store, states[given:], compression, newest, lazy=lazy)
    created, history = _times(epoch, result)
    final = final_config(session, result)
    config = render_config(
        final,
        created=created,
        history=history,
        diff_ids=[layer.diff_id for layer in layers],
    )
    manifest = Manifest(
        config=describe(config, OCI_CONFIG),
        layers=tuple(Descriptor(layer.media_type, layer.digest, layer.size) for layer in layers),
        annotations=_records(session, states),
    )
    image = store.put_image(
        render_manifest(manifest),
        config,
        state=result.state,
        platform=final.platform,
        keep=not lazy or all(store.blobs.has(layer.digest) for layer in layers),
    )
    sizes = tuple(
        LayerSize(state.hex(), str(layer.digest), layer.size, layer.tar_size, layer.pulled)
        for state, layer in zip(states, layers, strict=True)
    )
    return Assembled(image, sizes)


def is_complete(store: Store, image: StoredImage) -> bool:
    """Whether all layers of an image are in the store."""
    return all(store.blobs.has(layer.digest) for layer in store.manifest_of(image).layers)


def _records(session: Session, states: Sequence[bytes]) -> tuple[tuple[str, str], ...]:
    """The annotations with the records of an image's own steps, for `--cache-to type=inline`."""
    export = session.remote.export if session.remote is not None else None
    if export is None or not export.inline:
        return ()
    return export.records.inline_document(export.inline[-1], frozenset(states))


def _layers(
    store: Store, states: Sequence[bytes], compression: str, newest: int = -1, *, lazy: bool = False
) -> list[Layer]:
    """The layers of states; those that are missing are made side by side. `newest` as `max_mtime` of `ensure_layer`."""
    known = {state: known_layer(store, state, compression=compression, max_mtime=newest) for state in states}
    if lazy and newest < 0:
        known = {state: layer or promised_layer(store, state) for state, layer in known.items()}

    def ensure(state: bytes) -> Layer:
        return ensure_layer(store, state, compression=compression, max_mtime=newest)

    missing = [state for state, layer in known.items() if layer is None]
    if len(missing) > 1:
        # Late: it brings `logging`, which a cached build has no use for.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2, thread_name_prefix="layer") as pool:
            list(pool.map(ensure, missing))
    return [known[state] or ensure(state) for state in states]


def _times(epoch: int | None, result: StageResult) -> tuple[str, tuple[HistoryEntry, ...]]:
    """When the image and the lines of its history were made; an epoch takes the place of later times only, and never in
    the history of the base.
    """
    if epoch is None:
        return result.created, result.history
    limit = moment(epoch)
    history = tuple(
        replace(entry, created=limit)
        if number >= result.inherited and seconds_of(entry.created) > epoch
        else entry
        for number, entry in enumerate(result.history)
    )
    return limit, history
