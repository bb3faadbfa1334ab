"""moto's S3 server on a free port of this machine, with a bucket `cache` and a list of all requests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Bucket:
    """A running server: its URL and `METHOD path` of every request so far."""

    url: str
    client: Any
    requests: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """The names of all objects."""
        return [item["Key"] for item in self.client.list_objects_v2(Bucket="cache").get("Contents", [])]


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if '"' in text:
            self.lines.append(text.split('"')[1].removesuffix(" HTTP/1.1"))


@contextmanager
def run_s3() -> Iterator[Bucket]:
    import boto3
    from moto.server import ThreadedMotoServer

    lines: list[str] = []
    log, handler = logging.getLogger("werkzeug"), _Lines(lines)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=True)
    server.start()
    client = None
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "someone", "aws_secret_access_key": "quite-secret"}
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="cache")
        yield Bucket(url, client, lines)
    finally:
        if client is not None:
            client.close()
        server.stop()
        log.removeHandler(handler)
        log.setLevel(level)
