"""Small images of real galaxies, to be lensed or to be looked at beside lenses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
SPLIT_SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True, eq=False)
class GalaxyStamps:
    """Images of galaxies without background and neighbours. Two are equal if their identifiers are.

    Attributes:
        images: Surface brightness in any unit, float32, 0 or more, zero at the edges, shape
            `(n, bands, height, width)`, bands ordered by wavelength.
        names: Name of each galaxy, no two alike.
        pixel_scale: Width of a pixel [arcsec] as observed.
        identifier: Says which galaxies these are; part of the keys of caches.

    Raises:
        ValueError: If a shape, a name or a pixel is not as said, or a galaxy is empty in some band.
    """

    images: NDArray[np.float32]
    names: tuple[str, ...]
    pixel_scale: float
    identifier: str

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.float32 or not len(self.images):
            raise ValueError(
                f"{self.identifier}: images of shape {self.images.shape} and type {self.images.dtype} are no stamps; "
                "allowed are one or more in float32, (n, bands, height, width)."
            )
        if len(set(self.names)) != len(self.images) or len(self.names) != len(self.images):
            raise ValueError(
                f"{self.identifier}: {len(set(self.names))} different names for {len(self.images)} galaxies; "
                "give each its own."
            )
        if not self.pixel_scale > 0:
            raise ValueError(f"{self.identifier}: pixel_scale={self.pixel_scale} arcsec must be positive.")
        sums = self.images.sum(axis=(2, 3), dtype=np.float64)
        if not (np.isfinite(sums).all() and (self.images >= 0).all() and (sums > 0).all()):
            raise ValueError(
                f"{self.identifier}: every band of every galaxy must be finite, non-negative and not empty."
            )
        self.images.setflags(write=False)

    def __len__(self) -> int:
        return len(self.images)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GalaxyStamps) and self.identifier == other.identifier

    def __hash__(self) -> int:
        return hash(self.identifier)

    @property
    def bands(self) -> int:
        """Number of bands."""
        return self.images.shape[1]

    @cached_property
    def half_light_radii(self) -> NDArray[np.float64]:
        """Radius of the circle about the stamp's centre that holds half of the light [stamp pixels], shape `(n,)`."""
        height, width = self.images.shape[2:]
        y, x = np.mgrid[:height, :width]
        radius = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2).ravel()
        order = np.argsort(radius, kind="stable")
        light = self.images.mean(axis=1, dtype=np.float64).reshape(len(self), -1)[:, order]
        share = np.cumsum(light, axis=1)
        share /= share[:, -1:]
        radii = [float(np.interp(0.5, row, radius[order])) for row in share]
        return np.maximum(radii, 0.5)

    @cached_property
    def band_fluxes(self) -> NDArray[np.float64]:
        """Share of each band in the light of each galaxy, shape `(n, bands)`; rows sum to 1."""
        sums = self.images.sum(axis=(2, 3), dtype=np.float64)
        shares: NDArray[np.float64] = sums / sums.sum(axis=1, keepdims=True)
        return shares

    def select(self, numbers: Sequence[int] | NDArray[np.int64], label: str) -> "GalaxyStamps":
        """Return some of the galaxies.

        Args:
            numbers: Which, at least one.
            label: Appended to the identifier; it must say which galaxies were chosen.

        Returns:
            The chosen galaxies.

        Raises:
            ValueError: If none is chosen.
        """
        chosen = np.asarray(numbers, dtype=np.int64)
        if not len(chosen):
            raise ValueError(f"{self.identifier}/{label}: no galaxy is left of {len(self)}; give more galaxies.")
        names = tuple(self.names[number] for number in chosen.tolist())
        return GalaxyStamps(self.images[chosen], names, self.pixel_scale, f"{self.identifier}/{label}")

    def subset(self, split: str, seed: int = 0) -> "GalaxyStamps":
        """Return the galaxies of one split, so that no galaxy is seen in training and in testing.

        Args:
            split: One of `SPLITS`.
            seed: Another seed deals other galaxies to the splits.

        Returns:
            The galaxies of that split.

        Raises:
            ValueError: If the split is unknown or has no galaxy.
        """
        return self.select(stamps_of_split(self.names, split, seed), f"{split}-{seed}")


def stamps_of_split(names: Sequence[str], split: str, seed: int = 0) -> NDArray[np.int64]:
    """Choose the galaxies of a split by their names alone.

    A galaxy stays in its split when others are added or the order changes.

    Args:
        names: Names of all galaxies.
        split: One of `SPLITS`, with shares `SPLIT_SHARES`.
        seed: Another seed deals other galaxies to the splits.

    Returns:
        Numbers of the galaxies, rising, possibly none.

    Raises:
        ValueError: If the split is unknown.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is unknown; allowed are {', '.join(SPLITS)}.")
    edges = np.cumsum((0.0, *SPLIT_SHARES))
    number = SPLITS.index(split)
    places = np.array([_place(name, seed) for name in names])
    return np.flatnonzero((places >= edges[number]) & (places < edges[number + 1] + (number == len(SPLITS) - 1)))


def content_identifier(source: str, images: NDArray[np.float32], names: Sequence[str]) -> str:
    """Make an identifier that changes with the galaxies.

    Args:
        source: Where they come from.
        images: The stamps.
        names: Their names.

    Returns:
        The source and a hash.
    """
    digest = hashlib.sha256(np.ascontiguousarray(images).tobytes())
    digest.update("\0".join(names).encode())
    return f"{source}-{digest.hexdigest()[:16]}"


def _place(name: str, seed: int) -> float:
    """Place of a name between 0 and 1, as if drawn at random."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
