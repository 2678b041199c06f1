"""Errors a user may see. Each message names what is wrong, the bad value, and the way out.

It knows nothing of the rest: every module of mel_demo may raise these, none catches them but the
page and the command line, which show the message and no traceback.
"""


class MelDemoError(Exception):
    """Base of everything that mel_demo reports without a traceback.

    MelDemoError
    ├── ImageError                 the upload cannot be judged
    │   ├── EmptyFileError         it has no bytes
    │   ├── NotAnImageError        its format is none that can be read
    │   ├── ImageTooLargeError     too many bytes or too many pixels
    │   └── TruncatedImageError    it ends early or is damaged
    ├── ManifestError              weights/manifest.json does not fit
    ├── WeightsError               a model's file is missing, changed or not of the agreed form
    └── SettingError               a setting is out of its range, e.g. the target sensitivity
    """


class ImageError(MelDemoError):
    """An upload cannot be judged."""


class EmptyFileError(ImageError):
    """The file has no bytes."""


class NotAnImageError(ImageError):
    """The file is no image, or an image of a format or colour space that cannot be read."""


class ImageTooLargeError(ImageError):
    """The file has more bytes or more pixels than the limits of ``mel_demo.images``."""


class TruncatedImageError(ImageError):
    """The file begins like an image but ends early or is damaged."""


class ManifestError(MelDemoError):
    """weights/manifest.json is missing or has a value that does not fit."""


class WeightsError(MelDemoError):
    """A model's file is missing, is not the one of the manifest, or breaks the agreed form."""


class SettingError(MelDemoError):
    """A setting is out of its range."""
