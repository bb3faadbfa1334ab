"""Paths inside an image, as text: nothing here looks at a disk."""

from __future__ import annotations

import posixpath


def clean_path(path: str) -> str:
    """A path without `.`, `..`, `//` and a slash at its end; links are not looked at."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned  # POSIX lets two slashes mean something else


def join_path(folder: str, path: str) -> str:
    """`path`, seen from `folder`, absolute and clean."""
    return clean_path(posixpath.join("/", folder, path))


def names_folder(path: str) -> bool:
    """Whether a destination is written so that it can only be a folder."""
    return path in ("", ".", "..") or path.endswith(("/", "/.", "/.."))
