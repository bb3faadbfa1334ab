"""Containers started from images."""
