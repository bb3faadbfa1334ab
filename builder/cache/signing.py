"""Signatures of remote caches (ed25519): who may say what a step led to.

The whole document of records is signed, with the scope that it is for: nobody can take single records out of it, add
some, or offer it as that of another scope. An older document that was signed once stays valid: its records are as true as
they were.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

from builder.errors import ImageError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE = "io.pybuild.cache.signature"
"""The annotation of a manifest that holds the signature."""

_CONTEXT = b"pybuild cache records 1\n"
_LIMIT = 64 << 10


def sign(document: bytes, key: Ed25519PrivateKey) -> str:
    """The signature of a document, as text."""
    return base64.b64encode(key.sign(_CONTEXT + document)).decode()


def name_of(key: Ed25519PublicKey) -> str:
    """What a public key is called where it is remembered: the beginning of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def signer_of(document: bytes, signature: str, keys: list[Ed25519PublicKey]) -> str:
    """The name of the one of some keys that signed a document; empty if none did."""
    from cryptography.exceptions import InvalidSignature

    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return ""
    for key in keys:
        try:
            key.verify(raw, _CONTEXT + document)
        except InvalidSignature:
            continue
        return name_of(key)
    return ""


def read_private(path: str) -> Ed25519PrivateKey:
    """The key to sign with: a PEM file, as `pybuild cache keygen` or openssl make them. A `UsageError` if it is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = _load(path, private=True)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f'"{path}" is no ed25519 key', hint="make one with: pybuild cache keygen NAME")
    return key


def read_public(path: str) -> Ed25519PublicKey:
    """A key to trust: the public PEM file. A `UsageError` if it is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = _load(path, private=False)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f'"{path}" is no public ed25519 key', hint="give the .pub file of the key")
    return key


def make_keys() -> tuple[bytes, bytes]:
    """A new key to sign with and the one that others trust, each as PEM."""
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def _load(path: str, *, private: bool) -> Any:
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    try:
        with open(path, "rb") as stream:
            data = stream.read(_LIMIT)
    except OSError as error:
        raise UsageError(f'the key "{path}" cannot be read: {error.strerror}') from None
    try:
        return load_pem_private_key(data, None) if private else load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise UsageError(
            "signatures of caches need the package cryptography", hint="pip install 'pybuild-oci[sign]'"
        ) from None


def check(document: bytes, annotations: dict[str, str], keys: list[Ed25519PublicKey]) -> str:
    """The name of the trusted key that signed a document; an `ImageError` if none did."""
    signature = annotations.get(SIGNATURE, "")
    if not signature:
        raise ImageError("it is not signed, and only signed entries are trusted")
    signer = signer_of(document, signature, keys)
    if not signer:
        raise ImageError("it is signed by no key that is trusted")
    return signer
