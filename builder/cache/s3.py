"""A remote cache in a bucket of S3, or of what speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from builder.cache.spec import CacheSpec
from builder.digest import Digest, digest_of
from builder.errors import ImageError
from builder.image.compression import CHUNK
from builder.image.manifest import OCI_MANIFEST, Descriptor
from builder.remote.addresses import without_password

_DOCUMENT_LIMIT = 4 << 20


class S3Place:
    """See `builder.cache.place.Place`. Credentials that the spec does not name are found as boto3 finds them."""

    def __init__(self, spec: CacheSpec) -> None:
        from boto3.session import Session
        from botocore.config import Config

        self._bucket = spec.get("bucket")
        prefix = spec.get("prefix")
        name = spec.get("name") or "buildcache"
        self._blobs = prefix + (spec.get("blobs_prefix") or "blobs/")
        self._manifest = prefix + (spec.get("manifests_prefix") or "manifests/") + name
        if spec.scope:
            self._manifest += f"-{spec.scope}"
        self.repository: tuple[str, str] | None = None
        self.what = f"the bucket {self._bucket}"
        config = Config(
            connect_timeout=spec.timeout,
            read_timeout=spec.timeout,
            retries={"max_attempts": 1, "mode": "standard"},
            s3={"addressing_style": "path" if spec.get("use_path_style") == "true" else "auto"},
            # Digests of our own say whether bytes are right; older stores know no others.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session = Session(
            aws_access_key_id=spec.get("access_key_id") or None,
            aws_secret_access_key=spec.get("secret_access_key") or None,
            aws_session_token=spec.get("session_token") or None,
            region_name=spec.get("region") or None,
        )
        self._client: Any = session.client("s3", endpoint_url=spec.get("endpoint_url") or None, config=config)

    def manifest(self) -> tuple[Descriptor, bytes]:
        """The object of the cache's name."""
        data = b""
        for chunk in self._get(self._manifest):
            data += chunk
            if len(data) > _DOCUMENT_LIMIT:
                raise ImageError(f"the manifest in {self.what} is larger than {_DOCUMENT_LIMIT >> 20} MiB")
        return Descriptor(OCI_MANIFEST, digest_of(data), len(data)), data

    def read(self, descriptor: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob's object."""
        return self._get(self._blob(descriptor.digest))

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.head_object(Bucket=self._bucket, Key=self._blob(digest))
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                return False
            raise self._failed(error) from None
        except BotoCoreError as error:
            raise self._failed(error) from None
        return True

    def put(self, descriptor: Descriptor, opener: Callable[[], BinaryIO]) -> None:
        """Send a blob, a large one in parts."""
        from boto3.exceptions import Boto3Error
        from boto3.s3.transfer import TransferConfig
        from botocore.exceptions import BotoCoreError, ClientError

        # Threads of boto3 would keep the process from ending; other blobs are sent beside this one.
        alone = TransferConfig(use_threads=False)
        with opener() as stream:
            try:
                self._client.upload_fileobj(stream, self._bucket, self._blob(descriptor.digest), Config=alone)
            except (BotoCoreError, ClientError, Boto3Error) as error:
                raise self._failed(error) from None

    def put_manifest(self, document: bytes) -> None:
        """Write the object of the cache's name."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._manifest, Body=document, ContentType=OCI_MANIFEST
            )
        except (BotoCoreError, ClientError) as error:
            raise self._failed(error) from None

    def abort(self) -> None:
        """Nothing: what goes on ends by its timeout, and nobody waits for it (`builder.cache.breakable`)."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _blob(self, digest: Digest) -> str:
        return f"{self._blobs}{digest}"

    def _get(self, key: str) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"]
            try:
                yield from body.iter_chunks(CHUNK)
            finally:
                body.close()
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> ImageError:
        """What S3 said, in a line and without anything secret: errors of boto3 name the operation and the code."""
        from botocore.exceptions import ClientError

        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))[:60]
            missing = code in ("NoSuchKey", "404")
            return ImageError(
                f"{self.what} has no such cache" if missing else f"{self.what} answers: {code or 'an error'}"
            )
        said = without_password(str(error))[:200]  # some name the address
        return ImageError(f"{self.what} cannot be reached: {type(error).__name__}: {said}")
