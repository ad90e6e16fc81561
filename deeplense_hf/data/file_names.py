"""Names of files as text: Linux allows names that are not UTF-8, which tables, cards and most terminals refuse."""


def printable(text: str) -> str:
    r"""Return a text that can be written anywhere, in place of one with undecodable parts of a file's name.

    >>> printable("lens.npy"), printable(b"bad\xff.npy".decode("utf-8", "surrogateescape"))
    ('lens.npy', 'bad\\xff.npy')

    Args:
        text: A name, or a sentence with one in it, as Python decodes names.

    Returns:
        The text, in which a byte that is not UTF-8 is `\xff` or what it was.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # halves of characters, which Windows allows
        return text.encode("utf-8", "backslashreplace").decode()


def name_bytes(text: str) -> bytes:
    """Return what stands for a name in a fingerprint, of every name another.

    Args:
        text: The name, as Python decodes it.

    Returns:
        UTF-8, with undecodable parts as they are.
    """
    return text.encode("utf-8", "surrogatepass")
