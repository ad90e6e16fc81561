"""What it means when memory is short or a computation fails, in one sentence."""

FAILURES = (RuntimeError, MemoryError)
"""What torch and numpy raise then; that a GPU has no memory left is a `RuntimeError` too."""
_OF_MEMORY = ("allocate", "out of memory")


def what_failed(error: BaseException) -> str:
    """Say what a failed computation lacks.

    Args:
        error: One of `FAILURES`.

    Returns:
        A sentence with torch's or numpy's own first line, of which further ones are for programmers.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = " ".join(lines[0].split()).rstrip(".")
    if isinstance(error, MemoryError) or any(words in first.lower() for words in _OF_MEMORY):
        return f"there is not enough memory ({first}); use smaller images, a smaller batch size or a smaller model."
    return f"the computation failed ({first})."


def ends_all(error: BaseException) -> bool:
    """Tell whether nothing can be computed any more in this process.

    Args:
        error: One of `FAILURES`.

    Returns:
        Whether it is an accelerator's own: after one of these it refuses all that follows.
    """
    # by its name, since torch is not loaded for it
    return type(error).__name__ == "AcceleratorError"
