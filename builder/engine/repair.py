"""Layers of an image of the store that are missing or damaged: made anew from their snapshots."""

from __future__ import annotations

from builder.errors import BuilderError, ImageError
from builder.execute.layer import MEDIA_TYPES, ensure_layer
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
        if not store.proofs.sound(layer.digest) and not _made_anew(store, image, number, layer):
            raise ImageError(
                f"the layer {layer.digest.short} of the image is damaged or missing in the store",
                hint="build the image again, or pull it",
            )


def _made_anew(store: Store, image: StoredImage, number: int, layer: Descriptor) -> bool:
    """Whether the files of a layer give it once more, byte for byte."""
    try:
        chain = store.chain(image.state)
        if len(chain) <= number:
            return False
        state = chain[number].id
        own = [known.digest for known in store.layers.of_state(state) if not known.pulled]
        compression = next((name for name, kind in MEDIA_TYPES.items() if kind == layer.media_type), None)
        if compression is None or layer.digest not in own:
            return False
        return ensure_layer(store, state, compression=compression).digest == layer.digest
    except BuilderError:
        return False
