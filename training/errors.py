"""Errors of the training commands. Each message names the bad value and the way out."""


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
