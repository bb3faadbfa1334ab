"""Work with a registry that ends as soon as somebody asks for it, whatever the other side does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from builder.errors import BuilderError, Cancelled
from builder.registry.client import Client

_EVERY = 0.05


@contextmanager
def broken_off_by(cancelled: threading.Event | None, client: Client) -> Iterator[None]:
    """Meanwhile the requests of a client, in whatever thread, are broken off once an event is set; who waits gets `Cancelled`."""
    over = threading.Event()

    def watch(stop: threading.Event) -> None:
        while not over.wait(_EVERY):
            if stop.is_set():
                client.abort()  # again and again: a connection may just have been made

    if cancelled is not None:
        threading.Thread(target=watch, args=(cancelled,), name="broken-off", daemon=True).start()
    try:
        yield
    except BuilderError as error:
        if cancelled is not None and cancelled.is_set():
            raise Cancelled("the build was stopped") from error
        raise
    finally:
        over.set()
