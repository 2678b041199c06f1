"""Errors of the training commands. Each message names the bad value and the way out."""

import errno


class TrainingError(Exception):
    """Base of what a training command reports without a traceback.

    TrainingError
    ├── DataError      the image folder, metadata, cache or splits are not usable
    ├── RecipeError    a recipe or an option has a value that cannot be used
    ├── RunError       a run folder is missing, in the way, or of another recipe
    ├── ExportError    an exported file is not equal to its source
    └── PublishError   something cannot be published, or the Hub refused it
    """


class DataError(TrainingError):
    """The image folder, its metadata, the cache or the splits are not usable."""


class RecipeError(TrainingError):
    """A recipe or an option has a value that cannot be used."""


class RunError(TrainingError):
    """A run folder is missing, in the way, or was made by another recipe."""


class PublishError(TrainingError):
    """Something is not fit to be published, or the Hub refused it."""


class ExportError(TrainingError):
    """An exported file does not compute what its source computes."""


def in_words(error: Exception) -> str:
    """What a command prints of an error; raises an OSError that no user can mend."""
    if not isinstance(error, OSError):
        return str(error)
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full{where}. What was written before is whole: make room, or choose "
            "another folder, and give the same command again; a run goes on with --resume."
        )
    if not (error.filename and error.strerror):
        raise error
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is a file where a folder is needed: choose another path."
    if isinstance(error, IsADirectoryError):
        return f"{error.filename} is a folder where a file is needed: choose another path."
    return f"{error.filename}: {error.strerror}."
