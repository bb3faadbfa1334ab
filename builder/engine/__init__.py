"""Strings the packages together: one build from request to result."""
