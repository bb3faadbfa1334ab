"""Images by reference: from the store if they are there, else pulled from their registry."""

from __future__ import annotations

from builder.engine.reporter import StepReporter
from builder.engine.session import Session
from builder.errors import ImageError, RegistryError
from builder.image.platform import Platform
from builder.store.images import StoredImage


def fetch_image(session: Session, reference: str, platform: Platform, reporter: StepReporter) -> StoredImage:
    """The image that a reference names, for a platform.

    With `--pull` the registry is always asked what the name stands for now; layers that the store has are never
    fetched again.
    """
    store = session.store
    if not session.request.pull:
        image = store.find_image(reference, platform=platform)
        if image is not None:
            if store.use_image(image):
                return image
            session.events.warn(
                f"files of the image {reference} are missing from the store: it is fetched again"
            )
    remote = session.remote
    if remote is not None and remote.sources:
        # A remote cache may make all of its layers needless.
        return remote.base(reference, platform)
    # Late: a build whose images are at hand needs no HTTP.
    from builder.engine.images import pull_image

    try:
        return pull_image(
            store,
            reference,
            platform=platform,
            docker_config=session.request.docker_config,
            auth_config=session.request.auth_config,
            on_progress=reporter.progress,
            cancelled=session.cancelled,
        )
    except (ImageError, RegistryError) as error:
        other = store.find_image(reference)
        if other is not None and other.platform != str(platform.normalised()):
            error.hint = f"the store has {reference} for {other.platform} only, and not for {platform}"
        raise
