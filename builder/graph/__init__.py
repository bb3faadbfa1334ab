"""Syntax tree → stages and steps: ARG and ENV scopes, `--target`, dependencies."""
