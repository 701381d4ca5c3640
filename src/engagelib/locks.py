"""Locks for writers that a process may fork under: readers take none, a child begins with a free one."""

import os
import threading
from types import TracebackType
from typing import Any
from weakref import WeakSet


class WriterLock:
    """A lock among the writers of one object; use it in a `with` block.

    Another thread may hold it at the moment of a fork. That thread does not exist in the child, where nobody
    would ever release it: so each child gets a free one. What a lock guards must be replaced in single steps,
    so that a child can't find it half done. A copy or a pickle of the object is another object with a lock of
    its own.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return WriterLock, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> "WriterLock":
        return WriterLock()

    def __copy__(self) -> "WriterLock":
        return WriterLock()


_LOCKS: "WeakSet[WriterLock]" = WeakSet()


def _free_all() -> None:
    for lock in _LOCKS:
        lock._lock = threading.RLock()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_free_all)
