"""Checks what was built: everything that the package is made of is in the wheel, and the wheel is in use.

`check_wheel.py DIST TREE` compares the wheel and the source archive in a folder with the tree that they were
built from; `check_wheel.py --installed` makes sure that what is imported here is an installed package.
"""

import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

MUST_HAVE = ("py.typed", "datasets/online_retail/events.parquet", "datasets/online_retail/items.parquet")
NOT_PACKED = (".cpp", ".hpp", ".so")
KERNEL = ("engagelib", "scoring", "native")
LICENCES = ("LICENSE", "ATTRIBUTION.md")


def check_archive(dist, tree):
    """Make sure that the source archive has what it shall have at the top, and nothing else."""
    (archive,) = Path(dist).glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = packed.getnames()
    there = {PurePosixPath(name).parts[1] for name in names if len(PurePosixPath(name).parts) > 1}
    if built := [name for name in names if name.endswith((".so", ".pyd"))]:
        sys.exit(f"{archive.name}: compiled files in the source archive: {', '.join(built)}")
    settings = tomllib.loads((Path(tree) / "pyproject.toml").read_text("utf-8"))
    wanted = set(settings["tool"]["scikit-build"]["sdist"]["include"])
    strangers = sorted(there - wanted - {"PKG-INFO", "pyproject.toml", ".gitignore"})
    if missing := sorted(wanted - there):
        sys.exit(f"{archive.name}: missing from the source archive: {', '.join(missing)}")
    if strangers:
        sys.exit(f"{archive.name}: in the source archive, but not asked for: {', '.join(strangers)}")
    sys.stdout.write(f"{archive.name}: {', '.join(sorted(there))}\n")


def check_wheel(dist, tree):
    """Compare the names and bytes in the wheel with the files of the package."""
    (wheel,) = Path(dist).glob("*.whl")
    source = Path(tree) / "src" / "engagelib"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist()}
    in_tree = {
        f"engagelib/{path.relative_to(source).as_posix()}": path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in NOT_PACKED
    }
    differing = sorted(name for name, content in in_tree.items() if packed.get(name) != content)
    missing = sorted({f"engagelib/{name}" for name in MUST_HAVE} - packed.keys())
    info = {PurePosixPath(name).parts for name in packed if name not in in_tree}
    built = [parts for parts in info if parts[:-1] == KERNEL and parts[-1].startswith("_kernel.")]
    strangers = sorted("/".join(parts) for parts in info - set(built) if not parts[0].endswith(".dist-info"))
    licences = {parts[-1] for parts in info if parts[1] == "licenses"}
    unlicensed = sorted(set(LICENCES) - licences)
    faults = {
        "not in the wheel, or different there": differing,
        "missing from the wheel": missing,
        "native kernels, where one was to be built": [] if len(built) == 1 else [str(len(built))],
        "in the wheel, but not in the source tree": strangers,
        "licence files missing": unlicensed,
    }
    for fault, names in faults.items():
        if names:
            sys.exit(f"{wheel.name}: {fault}: {', '.join(names)}")
    sys.stdout.write(f"{wheel.name}: {len(in_tree)} files of the package, {len(licences)} licence files\n")


def check_installed():
    """Make sure that the tests will import the wheel, and not a source tree."""
    import engagelib

    place = Path(engagelib.__file__)
    if "site-packages" not in place.parts or Path("src").exists():
        sys.exit(f"engagelib is imported from {place}: expected an installed package and no folder src here.")
    sys.stdout.write(f"engagelib {engagelib.__version__} is imported from {place.parent}\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--installed"]:
        check_installed()
    else:
        check_archive(*sys.argv[1:])
        check_wheel(*sys.argv[1:])
