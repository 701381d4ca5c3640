"""Wording of what is wrong with an artifact."""

from engagelib.errors._classes import ArtifactError


def no_artifact(folder: object, found: str) -> ArtifactError:
    """Word a path that holds no artifact at all."""
    return ArtifactError(
        f"{folder} {found}: expected a folder that save() made. "
        "Hint: check the path; a first save that was cut short leaves nothing to load."
    )


def damaged_artifact(file: object, found: str, expected: str) -> ArtifactError:
    """Word a part of an artifact that is missing, damaged or not what the manifest says."""
    return ArtifactError(
        f"{file} {found}: expected {expected}. "
        "Hint: the artifact was damaged, altered or copied in part; save or copy it again."
    )


def foreign_manifest(file: object) -> ArtifactError:
    """Word a manifest that is JSON, but not of this library."""
    return ArtifactError(
        f"{file} is not a manifest that engagelib wrote: expected its format, kind and arrays. "
        "Hint: the folder belongs to another program, or was put together by hand."
    )


def newer_format(file: object, given: int, known: int, library_version: str) -> ArtifactError:
    """Word an artifact that a later version of the library wrote."""
    return ArtifactError(
        f"{file} has format version {given}, written by engagelib {library_version}: "
        f"expected at most {known}. Hint: upgrade engagelib to load it."
    )


def unfit_parts(
    path: object, version: str, kind: str, fault: str, *, written_by: str, read_by: str
) -> ArtifactError:
    """Word an artifact whose files are sound, and whose parts this version can't put together."""
    return ArtifactError(
        f"{path} (version {version}, written by engagelib {written_by}) can't be loaded by engagelib "
        f"{read_by}: {fault}. Expected the parts that make a {kind!r}. "
        "Hint: load it with the engagelib that wrote it, or fit and save it again."
    )


def foreign_target(folder: object, found: str) -> ArtifactError:
    """Word a place to save to that holds something else."""
    return ArtifactError(
        f"{folder} {found}: expected a new path, an empty folder or a saved artifact. "
        "Hint: give the artifact a folder of its own, such as 'shop.engage'."
    )


def restless_artifact(folder: object, attempts: int) -> ArtifactError:
    """Word an artifact that was replaced each time it was about to be opened."""
    return ArtifactError(
        f"{folder} was replaced {attempts} times while it was being opened: expected a version to stay "
        "for as long as opening it takes. Hint: save less often, or keep more versions."
    )
