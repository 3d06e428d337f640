"""Threads across tiles: each walks whole tiles, so that none waits for another within one."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")


CALMING = (32 << 20) - (1 << 16)
"""Bytes to allocate and free once, so that tiles get their memory back from the last tile.

glibc returns freed memory to the system beyond a threshold, and each tile would pay for its
pages anew; but it raises the threshold to the largest block freed, up to 32 MiB.
"""


class Workers:
    """A pool of threads, made when it is first needed and again after a fork.

    Parameters
    ----------
    set_up : callable, optional
        Called in each thread before it works. Without it the calling thread is one of those that
        work: it runs already, on a core of its own.
    started : callable, optional
        Called with the number of threads in the thread that made them.
    """

    def __init__(
        self,
        set_up: Callable[[], None] | None = None,
        started: Callable[[int], None] | None = None,
    ) -> None:
        self._set_up = set_up
        self._started = started
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[int, ThreadPoolExecutor] | None = None

    def map(
        self,
        function: Callable[[Any], T],
        items: Iterable[Any],
        count: int,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> list[T]:
        """`function` of each item, in order, by `count` threads, each within `around()`."""
        work = list(items)
        if count < 2 or len(work) < 2:
            with around():
                return [function(item) for item in work]
        found: list[Any] = [None] * len(work)
        # who is done with an item takes the next; handing them out one by one costs more
        turns = deque(range(len(work)))

        def take_turns() -> None:
            with around():
                while True:
                    try:
                        turn = turns.popleft()
                    except IndexError:
                        return
                    try:
                        found[turn] = function(work[turn])
                    except BaseException:
                        turns.clear()
                        raise

        others = self._begin(take_turns, count, len(work))
        joins = self._set_up is None or not others
        try:
            if joins:
                take_turns()
        finally:
            if joins:
                # who has not begun has nothing left to do
                others = [other for other in others if not other.cancel()]
            wait(others)
        for other in others:
            other.result()
        return found

    def _begin(self, task: Callable[[], None], count: int, items: int) -> list[Future[None]]:
        """Give a task to so many threads, the caller counted if it works too, or to fewer."""
        own, begun = int(self._set_up is None), list[Future[None]]()
        pool = self._pool(count - own)
        if pool is None:
            return begun
        # a pool takes nothing more once the main thread has ended, or a larger one has its place
        with suppress(RuntimeError):
            # in the caller's context, which NumPy's way of handling errors is part of
            begun.extend(
                pool.submit(copy_context().run, task) for _ in range(min(count, items) - own)
            )
        return begun

    def _pool(self, count: int) -> ThreadPoolExecutor | None:
        """A pool of at least so many threads: the largest that was asked for; None without any."""
        with self._lock:
            size, pool = self._held or (0, None)
            if pool is None or size < count:
                larger = self._start(count)
                if larger is None:
                    return pool
                if pool is not None:
                    # what it was given is done, and who is about to give more works alone
                    pool.shutdown(wait=False)
                self._held = count, larger
                return larger
            return pool

    def _start(self, count: int) -> ThreadPoolExecutor | None:
        """A pool whose threads are all running and set up; None if they cannot be started."""
        try:
            from concurrent.futures import ThreadPoolExecutor
        except RuntimeError:
            # once the main thread has ended
            return None
        pool = ThreadPoolExecutor(count, thread_name_prefix="xploss")
        together = threading.Barrier(count)

        def begin(_: int) -> None:
            try:
                if self._set_up is not None:
                    self._set_up()
            except BaseException:
                together.abort()
                raise
            with suppress(threading.BrokenBarrierError):
                together.wait()

        ready: Iterable[None] | None = None
        try:
            ready = pool.map(begin, range(count))
            list(ready)
        except BaseException as error:
            # those that have started wait for the one that cannot
            together.abort()
            pool.shutdown(wait=False)
            if ready is None and isinstance(error, RuntimeError):
                return None
            raise
        if self._started is not None:
            self._started(count)
        return pool


def default_count() -> int:
    """The threads of a walk in NumPy: XPLOSS_NUM_THREADS, or the processors of this process."""
    given = os.environ.get("XPLOSS_NUM_THREADS", "")
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise ValueError(
                f"XPLOSS_NUM_THREADS is {given!r}; expected a whole number of at least 1"
            )
        return int(given)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
