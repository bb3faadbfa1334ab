"""Build file text → syntax tree with spans; words; ignore files."""
