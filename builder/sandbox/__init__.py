"""Run one process in an isolated root file system."""
