"""Handles of the core: what they hold is freed once, and under no call."""

from __future__ import annotations

from builder.core.binding import Handle, ffi


def test_nothing_is_freed_while_a_call_of_another_thread_is_at_it() -> None:
    freed: list[int] = []
    found = ffi.new("void **", ffi.cast("void *", 1))
    held = Handle(found, lambda pointer: freed.append(int(ffi.cast("uintptr_t", pointer))))
    argument = held.handle  # as a call has it until it comes back
    held.close()
    assert freed == []
    del argument
    assert freed == [1]
    held.close()
    assert freed == [1]
