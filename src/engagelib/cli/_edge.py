"""The edge of the command line: a user's mistake becomes one line on stderr and an exit code."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from engagelib.errors import ArgumentError, EngageError

INTERRUPTED: Final = 130
"""What shells expect of a process that Ctrl-C ended."""

# The library words its hints in Python; these are the same things as they are typed here.
_AS_TYPED: Final = (
    (re.compile(r'columns=\{"([^"]+)": "your name for it"\}'), r"--columns \1=NAME with your name for it"),
    (re.compile(r'columns=\{"([^"]+)": "([^"]+)"\}'), r"--columns \1=\2"),
    (re.compile(r"which columns= names"), "which --columns names"),
    (re.compile(r'\bunit="(\w+)"'), r"--unit \1"),
    (re.compile(r'\bon_bad="quarantine" sets such rows aside in log\.rejected'),
     "--on-bad quarantine sets such rows aside"),
    (re.compile(r"a datetime, a date, a numpy.datetime64 or a text in ISO 8601"), "a time in ISO 8601"),
    (re.compile(r"the `at` that was given"), "the clock's time or --at"),
    (re.compile(r"\bpass overwrite=True"), "pass --overwrite"),
    (re.compile(r"in which identities= looks"), "in which --namespace looks"),
    (re.compile(r"IdentityMap\(\) without a column takes"), "a log that is read without --namespace takes"),
    (re.compile(r"\btext_ids=True"), "--text-ids"),
    (re.compile(r"log\.report\(\) and log\.rejected"), "`engagelib report`"),
)  # fmt: skip


# Of tables beside the log no option renames columns or tells the unit of times.
_IN_THE_FILE: Final = (
    (re.compile(r'pass columns=\{"([^"]+)": "[^"]+"\}'), r"call that column \1"),
    (re.compile(r'pass unit="\w+"'), "write times in ISO 8601"),
)


class Failure(click.ClickException):
    """A mistake of the user's or a fault in a file, worded already."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = exit_code  # a class variable to click, and one of two codes here


class Commands(click.Group):
    """A group of commands whose errors are one line: exit code 2 for arguments, 1 for data and files."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which one meets them."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for; `--debug` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click ends quietly, for `engagelib ... | head`
            raise
        except (EngageError, OSError) as error:
            if ctx.params["debug"]:
                raise
            exit_code = 2 if isinstance(error, ArgumentError) else 1
            raise Failure(_worded(error), exit_code) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse, run and exit; with `standalone_mode` off, return or raise as click does."""
        try:
            code = super().main(
                args, prog_name, complete_var, standalone_mode=False, windows_expand_args=windows_expand_args,
                **extra,
            )  # fmt: skip
        except click.ClickException as error:
            if not standalone_mode:
                raise
            _print_error(error)
            sys.exit(error.exit_code)
        except click.Abort:
            if not standalone_mode:
                raise
            sys.exit(INTERRUPTED)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """Say of an error which file beside the log it is about."""
    try:
        yield
    except EngageError as error:
        message = f"{path}: {error}"
        for pattern, instead in _IN_THE_FILE:
            message = pattern.sub(instead, message)
        error.args = (message,)
        raise


def _print_error(error: click.ClickException) -> None:
    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help
        click.echo(message, err=True)
        return
    if isinstance(error, click.UsageError) and error.ctx is not None:
        message = f"{message.rstrip('.')}. Try '{error.ctx.command_path} --help'."
    click.echo(f"Error: {' '.join(message.split())}", err=True)


def _worded(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, EngageError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    message = str(error)
    for pattern, typed in _AS_TYPED:
        message = pattern.sub(typed, message)
    return message
