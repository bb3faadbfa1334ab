"""Carry out one step and make a state of what it changed."""
