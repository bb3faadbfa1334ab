"""Processes of their own, which go on when a command has ended: nobody waits for what they do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CALL = """
import sys
package, module, name, *arguments = sys.argv[1:]
sys.path.insert(0, package)
import importlib
getattr(importlib.import_module(module), name)(*arguments)
"""


def start(
    module: str,
    name: str,
    *arguments: str,
    stdin: IO[bytes] | None = None,
    keeps: Sequence[int] = (),
) -> bool:
    """Let a process call a function of a module of this package with texts; whether it could be started.

    It has no terminal and no streams but `stdin`, and none of this process's files but `keeps`. It works in `/`, so that it
    keeps no folder in use.
    """
    # Late: few commands are here.
    import subprocess
    import sys
    import threading

    if not sys.executable:
        return False
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CALL, _PACKAGE, module, name, *arguments],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            pass_fds=keeps,
            start_new_session=True,
        )
    except OSError:
        return False
    with suppress(RuntimeError):  # no thread can be started
        # Nobody who goes on longer than it is left with a dead child.
        threading.Thread(target=process.wait, name="background", daemon=True).start()
    return True
