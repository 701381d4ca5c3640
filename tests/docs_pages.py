"""Runs the pages of the documentation: Python blocks and commands in order, in one namespace and folder.

A `text` block right after a `python` block is what that block prints; in a `console` block a command stands
after "$ ", and below it what it prints. Lines that say "..." stand for any lines. Blocks marked `py` need
what is not here, such as a published file, and are not run. As a program it runs all pages and writes what
they print now into those whose outputs differ; given a page and a folder, it runs that page alone in that
folder, and its `py` blocks too.
"""

import contextlib
import io
import math
import re
import shlex
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner
from threadpoolctl import threadpool_limits

from engagelib.cli import main

DOCS = Path(__file__).parent.parent / "docs"
ELIDED = "..."
_FENCE = re.compile(
    r"^(?P<ticks>`{3,})(?P<kind>[^\n`]*)\n(?P<text>.*?)^(?P=ticks)$", re.MULTILINE | re.DOTALL
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass
class Step:
    """A Python block or a command, what it shall print, and where that stands in the page.

    `code_at` counts the characters before the code, `shown_at` gives those before and up to the end of the
    output; None where nothing is said of the output.
    """

    kind: str
    code: str
    line: int
    shown: str | None = None
    shown_at: tuple[int, int] | None = None


@dataclass
class Faults:
    """What went otherwise than a page says, and the page as it would have to be."""

    texts: list[str] = field(default_factory=list)
    page: str = ""
    n_lines: int = 0
    n_in_form: int = 0


def pages():
    """List the pages, those in folders too."""
    return sorted(DOCS.rglob("*.md"))


def steps_of(page, *, python=("python",)):
    """Find the steps of a page, given as text; a block in a list would not be found, and is refused.

    `python` lists the marks of Python blocks.
    """
    assert not re.search(r"^[ >]+```", page, re.MULTILINE), "a block is indented"
    steps, end = [], None
    for found in _FENCE.finditer(page):
        kind, text, start = found["kind"], found["text"], found.start("text")
        line = page.count("\n", 0, start)
        if kind in python:
            steps.append(Step("python", text, line))
        elif kind == "console":
            steps += _commands(text, start, line)
        elif kind == "text" and end is not None and not page[end : found.start()].strip():
            steps[-1].shown, steps[-1].shown_at = text, found.span("text")
        end = found.end() if kind in python else None
    return steps


def _commands(text, start, line):
    pieces = re.split(r"^(\$ (?:.*\\\n)*.*\n)", text, flags=re.MULTILINE)
    assert not pieces[0], f"line {line + 1}: a console block begins with a command"
    place = start
    for command, shown in zip(pieces[1::2], pieces[2::2], strict=True):
        place += len(command)
        yield Step("console", command[2:].replace("\\\n", " "), line, shown, (place, place + len(shown)))
        place += len(shown)
        line += command.count("\n") + shown.count("\n")


def run_page(page, name, *, python=("python",)):
    """Run the steps of a page in the working folder, and compare what they print."""
    namespace, faults, end = {"__name__": "__main__"}, Faults(), 0
    for step in steps_of(page, python=python):
        # Several processes test at a time, and more threads than processors wait for each other.
        with threadpool_limits(1):
            got = _run_python(step, name, namespace) if step.kind == "python" else _run_command(step, name)
        if step.shown is None:
            continue
        shown = forms(step.shown)
        faults.n_lines += shown.total()
        faults.n_in_form += (shown & forms(got)).total()
        if agree(step.shown, got):
            continue
        faults.texts.append(
            f"{name}, line {step.line + 1}: {step.code}\nprints\n\n{got}\nand not\n\n{step.shown}"
        )
        faults.page += page[end : step.shown_at[0]] + elided(step.shown, got)
        end = step.shown_at[1]
    faults.page += page[end:]
    return faults


def _run_python(step, name, namespace):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        # Lines are counted from the top of the page, so that tracebacks point there.
        exec(compile("\n" * step.line + step.code, name, "exec"), namespace)
    return printed.getvalue()


def _run_command(step, name):
    program, *arguments = shlex.split(step.code, comments=True)
    assert program == "engagelib", f"{name}, line {step.line + 1}: {program} is not run here; use sh"
    result = CliRunner().invoke(main, arguments, prog_name="engagelib")
    if result.exit_code:
        raise AssertionError(
            f"{name}, line {step.line + 1}: {step.code}{result.output}"
        ) from result.exception
    return result.output


def agree(shown, got):
    """Say whether an output is the one that is shown: spaces count once, fractions may differ by 0.1%."""
    parts = [[]]
    for line in shown.strip().splitlines():
        if line.strip() == ELIDED:
            parts.append([])
        else:
            parts[-1].append(line)
    lines = got.strip().splitlines()
    if len(parts) == 1:
        return _alike(parts[0], lines)
    first, *middle, last = parts
    if len(first) + len(last) > len(lines) or not _alike(first, lines[: len(first)]):
        return False
    if not _alike(last, lines[len(lines) - len(last) :]):
        return False
    place, stop = len(first), len(lines) - len(last)
    for part in middle:
        while place + len(part) <= stop and not _alike(part, lines[place : place + len(part)]):
            place += 1
        place += len(part)
        if place > stop:
            return False
    return True


def forms(text):
    """Count the lines of an output by their form: digits are alike, runs of spaces and of dashes are one."""
    lines = (line.strip() for line in text.strip().splitlines())
    masked = (re.sub(r"-{2,}", "--", re.sub(r"\d", "0", " ".join(line.split()))) for line in lines if line)
    return Counter(line for line in masked if line != ELIDED)


def _alike(shown, got):
    return len(shown) == len(got) and all(map(_alike_lines, shown, got))


def _alike_lines(shown, got):
    shown, got = (re.sub(r"-{2,}", "--", " ".join(line.split())) for line in (shown, got))
    if _NUMBER.sub("0", shown) != _NUMBER.sub("0", got):
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(got), strict=True)
    return all(
        one == other
        or ("." in one and math.isclose(*(float(n.replace(",", "")) for n in (one, other)), rel_tol=1e-3))
        for one, other in pairs
    )


def elided(shown, got):
    """Return an output with lines left out where they are left out in the one that is shown now."""
    lines = shown.splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if line.strip() == ELIDED]
    if not places:
        return got
    indent = lines[places[0]]
    got_lines = got.splitlines(keepends=True)
    n_after = len(lines) - places[-1] - 1
    return "".join([*got_lines[: places[0]], indent, *got_lines[len(got_lines) - n_after :]])


def renew():
    """Write what the pages print now into those whose outputs differ; return the pages that fail."""
    failed = []
    for path in pages():
        page, name = path.read_text("utf-8"), path.relative_to(DOCS).as_posix()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            try:
                faults = run_page(page, name)
            except Exception:
                sys.stdout.write(f"{name} fails\n{traceback.format_exc(limit=-1)}")
                failed.append(name)
                continue
        if faults.texts:
            path.write_text(faults.page, "utf-8")
            sys.stdout.write(f"{name}: {len(faults.texts)} outputs renewed\n")
    return failed


def renew_in(page, folder):
    """Write what a page prints now, `py` blocks included, into it; they find their files in `folder`."""
    path = Path(page).resolve()
    with contextlib.chdir(folder):
        faults = run_page(path.read_text("utf-8"), path.name, python=("python", "py"))
    if faults.texts:
        path.write_text(faults.page, "utf-8")
    sys.stdout.write(f"{path.name}: {len(faults.texts)} outputs renewed\n")


if __name__ == "__main__":
    sys.exit(renew_in(*sys.argv[1:]) if sys.argv[1:] else bool(renew()))
