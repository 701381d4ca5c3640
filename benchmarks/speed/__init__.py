"""Speed beside peers: each contender in a process of its own, on the same data, in one run.

`python -m benchmarks.speed --size medium --json FILE`
"""
