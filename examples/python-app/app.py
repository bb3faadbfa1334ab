"""Tells which word of a list is the longest or shortest."""

import sys
from pathlib import Path

words = Path(__file__).with_name("words.txt").read_text().split()
choose = min if "--shortest" in sys.argv[1:] else max
print(choose(words, key=len))
