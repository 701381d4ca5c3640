"""Commands about what is there: `verify` checks the files of a saved model, and `show-versions`."""

from pathlib import Path

import click

from engagelib.cli._asking import FOLDER
from engagelib.cli._show import stage


@click.command()
@click.argument("model", type=FOLDER)
def verify(model: Path) -> None:
    """Read every byte of MODEL and compare it with the sums that it was saved with."""
    from engagelib.store import verify_artifact
    from engagelib.tables import Table

    with stage(f"Reading {model}"):
        found = verify_artifact(model)
    rows = (
        ("path", str(model)),
        ("kind", found.kind),
        ("version", found.version),
        ("written by", f"engagelib {found.library_version}"),
        ("arrays", f"{len(found.arrays):,}"),
        ("bytes", f"{found.size_bytes:,}"),
        ("state", "ok"),
    )
    click.echo(str(Table(("what", "value"), rows)))


@click.command("show-versions")
def show_versions() -> None:
    """Print what is installed and which scoring implementation is active."""
    from engagelib import versions

    click.echo(str(versions.show_versions()))
