"""Checks of the numbers that commands take, before any work."""


def check_positive(name: str, value: int, example: int) -> None:
    """Refuse a number of things that is none.

    Args:
        name: The option.
        value: Its value.
        example: One that works.

    Raises:
        ValueError: If it is below 1.
    """
    if value < 1:
        raise ValueError(f"{name}={value} is not positive; use for example {example}.")


def check_seed(seed: int) -> None:
    """Refuse a seed that random numbers cannot begin with.

    Args:
        seed: Its value.

    Raises:
        ValueError: If it is negative.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} is negative; use 0 or a positive integer.")
