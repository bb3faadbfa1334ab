"""What counts as blank in a build file: Unicode's white space, which is not quite what Python takes for it."""

from __future__ import annotations

BLANKS = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Stripped around lines and arguments; quoted words end at them. Python adds four control characters."""

PLAIN_BLANKS = "\t\v\f\r "
"""What keywords and plain words end at: a no-break space is part of them."""

ANY_BLANK = f"[{BLANKS}]"
PLAIN_WORD = f"[^{PLAIN_BLANKS}]+"
"""For regular expressions."""
