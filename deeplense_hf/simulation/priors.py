"""Prior distributions of single numbers, as values of a recipe."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Prior(Protocol):
    """A distribution from which a recipe draws one number for a system."""

    def draw(self, generator: np.random.Generator) -> float:
        """Draw a number."""
        ...

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest number that can come out."""
        ...


@dataclass(frozen=True)
class Fixed:
    """Always the same number.

    Args:
        value: The number.

    Raises:
        ValueError: If it is not finite.
    """

    value: float

    def __post_init__(self) -> None:
        _check_limits(self, self.value, self.value)

    def draw(self, generator: np.random.Generator) -> float:
        """Return the number; no random number is used up.

        Args:
            generator: Not used.

        Returns:
            The value.
        """
        return self.value

    @property
    def limits(self) -> tuple[float, float]:
        """The number, twice."""
        return self.value, self.value


@dataclass(frozen=True)
class Uniform:
    """Every number between two limits is as likely.

    Args:
        lowest: Lower limit.
        highest: Upper limit.

    Raises:
        ValueError: If the limits are not finite or run downwards.
    """

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        _check_limits(self, self.lowest, self.highest)

    def draw(self, generator: np.random.Generator) -> float:
        """Draw a number.

        Args:
            generator: Source of random numbers; one is used up.

        Returns:
            A number between the limits.
        """
        return self.lowest + (self.highest - self.lowest) * generator.random()

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest number."""
        return self.lowest, self.highest


@dataclass(frozen=True)
class LogUniform:
    """The logarithm of the number is uniform.

    Args:
        lowest: Lower limit, above zero.
        highest: Upper limit.

    Raises:
        ValueError: If the limits are not positive and finite, or run downwards.
    """

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        _check_limits(self, self.lowest, self.highest)
        if not self.lowest > 0:
            raise ValueError(f"{self}: the lower limit must be above zero.")

    def draw(self, generator: np.random.Generator) -> float:
        """Draw a number.

        Args:
            generator: Source of random numbers; one is used up.

        Returns:
            A number between the limits.
        """
        return self.lowest * (self.highest / self.lowest) ** generator.random()

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest number."""
        return self.lowest, self.highest


@dataclass(frozen=True)
class TruncatedNormal:
    """A normal distribution cut off at two limits.

    Args:
        mean: Mean before it is cut off.
        standard_deviation: Standard deviation before it is cut off.
        lowest: Lower limit.
        highest: Upper limit.

    Raises:
        ValueError: If the limits run downwards, or leave next to nothing of the distribution.
    """

    mean: float
    standard_deviation: float
    lowest: float
    highest: float

    def __post_init__(self) -> None:
        _check_limits(self, self.lowest, self.highest)
        if not self.standard_deviation > 0:
            raise ValueError(f"{self}: the standard deviation must be above zero.")
        root = self.standard_deviation * math.sqrt(2)
        share = (math.erf((self.highest - self.mean) / root) - math.erf((self.lowest - self.mean) / root)) / 2
        if share < 0.01:
            raise ValueError(f"{self}: less than one percent of the distribution lies between the limits.")

    def draw(self, generator: np.random.Generator) -> float:
        """Draw a number.

        Args:
            generator: Source of random numbers; as many are used up as it takes to meet the limits.

        Returns:
            A number between the limits.
        """
        while True:
            value = self.mean + self.standard_deviation * generator.standard_normal()
            if self.lowest <= value <= self.highest:
                return value

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest number."""
        return self.lowest, self.highest


def _check_limits(prior: Prior, lowest: float, highest: float) -> None:
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest <= highest):
        raise ValueError(f"{prior}: the limits must be finite and in rising order.")


def check_within(name: str, prior: Prior, lowest: float, highest: float) -> None:
    """Refuse a prior that can give unphysical numbers.

    Args:
        name: What the number is, for the message.
        prior: The prior.
        lowest: Lowest number allowed.
        highest: Highest number allowed.

    Raises:
        ValueError: If the prior reaches beyond.
    """
    low, high = prior.limits
    if not (lowest <= low and high <= highest):
        raise ValueError(f"{name}={prior} must lie between {lowest:g} and {highest:g}.")


def draw_direction(generator: np.random.Generator, modulus: float) -> tuple[float, float]:
    """Turn a modulus into the two components of an ellipticity or a shear of random orientation.

    Args:
        generator: Source of random numbers; one is used up.
        modulus: Its modulus.

    Returns:
        Modulus times cosine and sine of twice the position angle.
    """
    twice_angle = 2 * math.pi * generator.random()
    return modulus * math.cos(twice_angle), modulus * math.sin(twice_angle)


def draw_in_disc(generator: np.random.Generator, radius: float) -> tuple[float, float]:
    """Draw a point, uniform in area.

    Args:
        generator: Source of random numbers; two are used up.
        radius: Radius of the disc.

    Returns:
        Its position.
    """
    distance, angle = radius * math.sqrt(generator.random()), 2 * math.pi * generator.random()
    return distance * math.cos(angle), distance * math.sin(angle)
