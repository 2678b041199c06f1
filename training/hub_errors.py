"""What the Hub refuses, as errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import errors

from training.errors import PublishError

AGAIN = "Run the same command again: what has arrived stays, and it goes on from there."


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors while ``what`` is done into PublishError."""
    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        raise PublishError(
            f"{what}: nobody is signed in. Run `hf auth login`, or set HF_TOKEN, with a token that "
            "may write."
        ) from error
    except (errors.HFValidationError, ValueError) as error:
        raise PublishError(f"{what}: {error}") from error
    except (errors.HTTPError, errors.OfflineModeIsEnabled, OSError, RuntimeError) as error:
        raise PublishError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    # An upload's error arrives inside others.
    while not isinstance(error, errors.HfHubHTTPError) and error.__cause__ is not None:
        error = error.__cause__
    if not isinstance(error, errors.HfHubHTTPError):
        said = str(error).strip().splitlines()
        return f"the Hub cannot be reached ({said[0] if said else type(error).__name__}). {AGAIN}"
    status, headers = error.response.status_code, error.response.headers
    if status == 401:
        return "the token is missing or wrong. Run `hf auth login`, or set HF_TOKEN."
    if status == 403:
        return "the token may not write there. Name a repository of yours, or a token that may."
    if status == 404:
        return "there is no such repository or revision, or the token may not see it."
    if status == 429:
        wait = headers.get("Retry-After")
        return f"the Hub asks to wait{f' {wait} s' if wait else ''} (429). {AGAIN}"
    first = str(error).strip().splitlines()[0]
    return f"the Hub answered {status} ({first}). {AGAIN}"
