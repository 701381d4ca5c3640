"""`python -m engagelib.cli` is the same as `engagelib`."""

from engagelib.cli import main

main(prog_name="engagelib")
