"""Layers of an image of the store that are missing or damaged: made anew from their snapshots."""

from __future__ import annotations

from builder.engine.moment import seconds_of
from builder.errors import BuilderError, ImageError
from builder.execute.layer import MEDIA_TYPES, ensure_layer, made_before
from builder.image.config import parse_document
from builder.image.manifest import Descriptor
from builder.store.images import StoredImage
from builder.store.store import Store


def repair(store: Store, image: StoredImage) -> None:
    """See that the config and all layers of an image are here and what their digests say.

    An `ImageError` tells what cannot be made anew: a layer that was pulled, or one whose files are gone or changed, too.
    """
    store.read_blob(image.config)
    layers = store.manifest_of(image).layers
    for number, layer in enumerate(layers):
        if store.proofs.sound(layer.digest):
            continue
        try:
            _make_anew(store, image, number, layer)
        except BuilderError as error:
            raise ImageError(
                f"the layer {layer.digest.short} of the image is damaged or missing in the store, "
                f"and cannot be made anew: {error.message}",
                hint="build the image again, or pull it",
            ) from error


def _make_anew(store: Store, image: StoredImage, number: int, layer: Descriptor) -> None:
    """Make a layer once more of its files, byte for byte; an error if they do not give it."""
    chain = store.chain(image.state)
    state = chain[number].id if number < len(chain) else b""
    # Where times of files are SOURCE_DATE_EPOCH at the latest, that is when the image was made.
    epoch = max(int(seconds_of(parse_document(store.read_blob(image.config)).created)), 0)
    newest = next(
        (
            bound
            for bound in (-1, epoch)
            if layer.digest in {known.digest for known in made_before(store, state, max_mtime=bound)}
        ),
        None,
    )
    compression = next((name for name, kind in MEDIA_TYPES.items() if kind == layer.media_type), None)
    if compression is None or newest is None:
        raise ImageError("it was not made in this store")
    made = ensure_layer(store, state, compression=compression, max_mtime=newest)
    if made.digest != layer.digest:
        raise ImageError(f"its files give the layer {made.digest.short} now")
