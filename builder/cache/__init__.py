"""Keys and their parts, look-up, and why a step missed."""
