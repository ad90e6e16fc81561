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
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    try:
        yield
    except HFValidationError:
        raise OSError(f"repo_id='{repo_id}' is not a name on the Hub; write owner/name.") from None
    except LocalTokenNotFoundError:
        raise OSError(_NO_TOKEN) from None
    except OfflineModeIsEnabled:
        raise OSError("HF_HUB_OFFLINE is set, so the Hub is not asked; unset it to push.") from None
    except RevisionNotFoundError:
        raise OSError(
            f"{repo_id} has no branch, tag or commit of that name; look there and give another --revision."
        ) from None
    except UnicodeEncodeError:
        raise OSError("the token in HF_TOKEN is none, since it is not plain ASCII; set it again.") from None
    except HfHubHTTPError as error:
        raise OSError(_refusal(repo_id, error)) from None
    except (LocalEntryNotFoundError, HTTPError, ConnectionError, TimeoutError) as error:
        # the first says of a download that it is not in the cache, where the Hub did not answer
        raise OSError(
            f"{repo_id}: the connection to the Hub was lost or never made ({type(error.__cause__ or error).__name__}); "
            "run the same command again to go on, what was sent by then is kept."
        ) from None


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
