"""Wording of what a batch refuses to write into."""

from collections.abc import Sequence

from engagelib.errors._classes import ArtifactError


def foreign_batch_folder(folder: object, found: str) -> ArtifactError:
    """Word a place for part files that holds something else; overwriting is no way out."""
    return ArtifactError(
        f"{folder} {found}: expected a new path, an empty folder or a batch job of engagelib. "
        "Hint: give the part files a folder of their own."
    )


def other_job(folder: object, differences: Sequence[str]) -> ArtifactError:
    """Word a folder whose parts come from another model or other settings."""
    return ArtifactError(
        f"{folder} holds another job: {'; '.join(differences)}. Expected the same model and settings, "
        "to go on where it stopped. Hint: choose another folder, or pass overwrite=True."
    )


def unsaved_job(folder: object) -> ArtifactError:
    """Word a restart whose model has no version, so that nothing says which model wrote the parts."""
    return ArtifactError(
        f"{folder} holds a job of a recommender that was not saved, so that its parts can't be told from "
        "those of another: expected an empty folder. "
        "Hint: save the recommender before a long run; choose another folder, or pass overwrite=True."
    )


def job_in_place(folder: object) -> ArtifactError:
    """Word a folder with a job in it where resuming was ruled out."""
    return ArtifactError(
        f"{folder} holds a job, and resume=False was given: expected an empty folder. "
        "Hint: choose another folder, or pass overwrite=True."
    )


def busy_batch_folder(folder: object) -> ArtifactError:
    """Word a folder that another process is writing parts into."""
    return ArtifactError(
        f"another process is writing parts into {folder}: expected one run at a time. "
        "Hint: wait for it, or choose another folder."
    )
