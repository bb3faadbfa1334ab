"""Checks of build files: what parses and builds, but is likely not what was meant."""
