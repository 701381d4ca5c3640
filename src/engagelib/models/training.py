"""Training: factors learned by `implicit`, fenced, because some inputs make it end the process."""

from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engagelib import errors

if TYPE_CHECKING:
    from scipy.sparse import csr_array, csr_matrix

_Value = TypeVar("_Value")


def implicit_matrix(cells: "csr_array") -> "csr_matrix":
    """Return cells as `implicit` takes them: rows that are not empty, sorted, float32, indices of one type.

    It does not check them, and reads and writes wherever an index leads it.
    """
    from scipy.sparse import csr_matrix

    filled = cells[np.diff(cells.indptr) > 0]
    index = np.int32 if len(filled.data) <= np.iinfo(np.int32).max else np.int64
    parts = (filled.data.astype(np.float32), filled.indices.astype(index), filled.indptr.astype(index))
    matrix = csr_matrix(parts, shape=filled.shape)
    matrix.sort_indices()
    return matrix


def run_apart(job: Callable[[Callable[..., None]], _Value], name: str, hint: str) -> _Value:
    """Run what trains in a thread of its own, with BLAS on one thread, and word what goes wrong.

    A thread that used OpenMP keeps OpenMP's threads for as long as it lives, and hangs in a fork: here none
    is left afterwards. BLAS on many threads would fight with them, and adds up in another order for another
    number of them.

    Parameters
    ----------
    job
        What is run. It is given a function to call after each epoch, with any arguments, that stops it
        where the caller was interrupted.
    name, hint
        The model's class, for messages, and what may help it to come to an end.

    Raises
    ------
    MissingExtraError
        If `implicit` is not installed.
    ArgumentError
        If training comes to no finite end.
    """
    found: list[_Value] = []
    failure: list[BaseException] = []
    interrupted, ended = Event(), Event()

    def check(*_: Any, **__: Any) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt

    def run() -> None:
        try:
            # First, since limits hold for the libraries alone that are there by then.
            import implicit.cpu.bpr  # noqa: F401
            import scipy.linalg  # noqa: F401
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1, user_api="blas"):
                found.append(job(check))
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    thread = Thread(target=run)
    thread.start()
    try:
        # Not `join`: some versions of Python take a thread for ended once that was interrupted. And not for
        # as long as it takes: not all systems would wake us for an interrupt.
        while not ended.wait(0.1):
            pass
    except BaseException:
        interrupted.set()
        ended.wait()
        raise
    finally:
        thread.join()
    if not failure:
        return found[0]
    (error,) = failure
    if isinstance(error, ImportError):
        raise errors.models.no_implicit(name, str(error)) from error
    if type(error).__name__ == "ModelFitError" or isinstance(error, ValueError):  # LinAlgError is one
        raise errors.models.no_end(name, hint) from error
    raise error
