"""Publish in a process of its own, and die there: run by test_store.py.

python store_crash_child.py PATH GENERATION die STEP      kill itself before file-system step STEP
python store_crash_child.py PATH GENERATION count 0       print how many steps one publish takes
python store_crash_child.py PATH GENERATION publish N     print "ready", publish N times
"""

import os
import signal
import sys

import numpy as np

from engagelib import store

STEPS = ("open", "mkdir", "rename", "replace", "fsync", "unlink", "rmdir", "close")


def arrays_of(generation, size=1000):
    """Arrays that all tell which publish they are of, one of them empty."""
    return {
        "a": np.full(size, generation, np.int64),
        "b.c": np.full((size, 2), generation, np.float32).T,
        "empty": np.empty((0, 3), np.uint8),
    }


class Steps:
    """Count the calls that change the file system, and die before one of them."""

    def __init__(self, fatal):
        self.fatal = fatal
        self.count = 0

    def step(self):
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, function):
        def stepped(*args, **kwargs):
            self.step()
            return function(*args, **kwargs)

        return stepped

    def watch(self):
        for name in STEPS:
            setattr(os, name, self.before(getattr(os, name)))
        fdopen = os.fdopen

        def watched_fdopen(descriptor, mode):
            stream = fdopen(descriptor, mode)
            return Stream(stream, self) if "w" in mode else stream

        os.fdopen = watched_fdopen


class Stream:
    """A file that counts its writes too."""

    def __init__(self, stream, steps):
        self.stream = stream
        self.steps = steps

    def write(self, data):
        self.steps.step()
        written = self.stream.write(data)
        self.stream.flush()
        return written

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()


def main(path, generation, mode, number):
    if mode == "publish":
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for later in range(number):
            arrays = arrays_of(generation + later, 100_000)
            store.publish(path, "test", arrays, {"generation": generation + later})
        return
    steps = Steps(number)
    steps.watch()
    store.publish(path, "test", arrays_of(generation), {"generation": generation})
    if mode == "count":
        sys.stdout.write(f"{steps.count}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
