"""Text in tables that people open with a spreadsheet program, which runs what begins like a formula."""

_BEGINNINGS_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def spreadsheet_safe(text: str) -> str:
    """Keep a spreadsheet program from taking a text for a formula.

    A name of a file such as `=1+1.npy` gets `./` in front, with which it is still a path of the same file for every
    program. Source: the characters are those of OWASP, CSV injection.

    >>> spreadsheet_safe("=1+1.npy"), spreadsheet_safe("lens-1.npy")
    ('./=1+1.npy', 'lens-1.npy')

    Args:
        text: What a cell is to hold.

    Returns:
        The text, with `./` in front where it begins like a formula.
    """
    return f"./{text}" if text.startswith(_BEGINNINGS_OF_FORMULAS) else text
