"""Connections of a registry's client, which somebody else can break off."""

from __future__ import annotations

import socket
import weakref
from contextlib import suppress
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class Connections(urllib3.PoolManager):
    """A pool whose requests can be broken off at any moment, by another thread."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._sockets = sockets

        class Plain(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    sockets.add(self.sock)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                if self.sock is not None:
                    sockets.add(self.sock)

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Secure

        self.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def abort(self) -> None:
        """Break off all that goes on: who waits for an answer gets an error at once. Only a connection that is being made
        ends by its timeout.
        """
        for each in list(self._sockets):
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)
