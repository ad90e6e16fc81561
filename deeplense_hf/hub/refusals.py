"""What the Hub refuses, and that it does not answer, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

MOVED_ON = "{repo_id}: somebody else pushed in the meantime; run the same command again."
"""What is said where a branch is not any more as it was compared with."""
_NO_TOKEN = "no token for the Hugging Face Hub; run 'hf auth login' or set HF_TOKEN, with a token that may write."


@contextmanager
def one_sentence(repo_id: str) -> Iterator[None]:
    """Say in one sentence what the Hub refused or that it did not answer; tokens never show.

    Args:
        repo_id: Name of the repository.

    Yields:
        Nothing.

    Raises:
        OSError: In place of what the client raises.
    """
    try:
        yield
    except Exception as error:
        sentence = _sentence(repo_id, error)
        if sentence is None:
            raise
        raise OSError(sentence) from None


def _sentence(repo_id: str, error: Exception) -> str | None:
    """Return what an error of the client means; None of one that is not the client's or speaks for itself."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    fixed: dict[type[Exception], str] = {
        HFValidationError: f"repo_id='{repo_id}' is not a name on the Hub; write owner/name.",
        LocalTokenNotFoundError: _NO_TOKEN,
        OfflineModeIsEnabled: "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it to push.",
        RevisionNotFoundError: (
            f"{repo_id} has no branch, tag or commit of that name; look there and give another --revision."
        ),
        UnicodeEncodeError: "the token in HF_TOKEN is none, since it is not plain ASCII; set it again.",
    }
    # the more special first, since some are kinds of others
    for kind, sentence in fixed.items():
        if isinstance(error, kind):
            return sentence
    if isinstance(error, HfHubHTTPError):
        return _refusal(repo_id, error)
    if _is_lost(error):
        return (
            f"{repo_id}: the connection to the Hub was lost or never made ({type(error.__cause__ or error).__name__}); "
            "run the same command again to go on, what was sent by then is kept."
        )
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        # whatever happens while a large file is sent, the client puts this around it
        return _broken_upload(repo_id, error, error.__cause__)
    return None


def _is_lost(error: Exception) -> bool:
    """Whether the Hub did not answer."""
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    # the first says of a download that it is not in the cache, where the Hub did not answer
    return isinstance(error, LocalEntryNotFoundError | HTTPError | ConnectionError | TimeoutError)


def _broken_upload(repo_id: str, error: Exception, cause: Exception) -> str:
    """Return what stopped a file on its way; of the storage's refusals none is about the user's rights."""
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status is None and _is_lost(cause):
        return str(_sentence(repo_id, cause))
    reason = f"the storage answered {status}" if status else " ".join(str(cause).split()) or type(cause).__name__
    what = " ".join(str(error).split()).rstrip(".")
    return f"{repo_id}: {what} ({reason}); run the same command again to go on, what was sent by then is kept."


def _refusal(repo_id: str, error: Exception) -> str:
    """Return what a refusal means."""
    from huggingface_hub import get_token

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        if get_token() is None:
            return _NO_TOKEN
        return "the Hub does not accept the token; run 'hf auth login' again or set another HF_TOKEN."
    if status == 403:
        return f"{repo_id}: the token may not write there; use one with write access, or a name that is yours."
    if status == 404:
        return f"{repo_id} is not on the Hub, or not for this token."
    if status == 412:
        return MOVED_ON.format(repo_id=repo_id)
    server_message = getattr(error, "server_message", None) or type(error).__name__
    return f"{repo_id}: the Hub answered {status} ({' '.join(str(server_message).split())}); try again later."
