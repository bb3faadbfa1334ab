"""Events → progress and reports."""
