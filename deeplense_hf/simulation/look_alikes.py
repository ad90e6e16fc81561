"""What is taken for a lens and is none: spirals, ellipticals with companions, ring galaxies, mergers.

A look-alike is made of the light that a lens system of the same draw would show: the lens galaxy's, and the lensed
source's with the colours of sources and as bright as if it were magnified. Only where the light lies differs, so that
neither brightness nor colour nor the extent of the galaxy tells the class by itself: the light far outside separates
600 lenses from 600 look-alikes with a ROC AUC of 0.54, 0.46 to 0.62 by kind.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arc_light import ArcLight
from .components import Light
from .galaxy_light import GalaxyLight
from .galaxy_stamps import GalaxyStamps
from .sersic_light import SersicLight

FloatArray = NDArray[np.float64]

LOOK_ALIKES = ("spiral", "elliptical_with_companions", "ring", "merger")

_CLUMPS = 4
_SOURCE_CORE = 1 / 1.678
"""Scale length of an exponential disc in units of its half-light radius."""
_WELL_RESOLVED = 0.15
"""Share of the real galaxies, the widest, in which arms can be seen."""
_SMALLEST_RADIUS = 0.02
"""[arcsec]"""


@dataclass(frozen=True)
class Ingredients:
    """The light that a look-alike is made of, and the size of what it pretends to be.

    Attributes:
        einstein_radius: Of the lens that it is taken for [arcsec].
        galaxy_radius: Half-light radius of the lens galaxy [arcsec].
        sersic_index: Of the lens galaxy.
        ellipticity_1: Of the lens galaxy's light.
        ellipticity_2: Of the lens galaxy's light.
        galaxy_flux: Of the lens galaxy [electrons/s], shape `(bands,)`.
        arc_flux: Of the lensed source, magnified [electrons/s], shape `(bands,)`.
    """

    einstein_radius: float
    galaxy_radius: float
    sersic_index: float
    ellipticity_1: float
    ellipticity_2: float
    galaxy_flux: FloatArray
    arc_flux: FloatArray


@dataclass(frozen=True)
class SersicPart:
    """One Sersic profile of one system; see `SersicLight`."""

    flux: FloatArray
    half_light_radius: float
    x: float = 0.0
    y: float = 0.0
    sersic_index: float = 1.0
    ellipticity_1: float = 0.0
    ellipticity_2: float = 0.0


@dataclass(frozen=True)
class GalaxyPart:
    """One real galaxy of one system; see `GalaxyLight`."""

    flux: FloatArray
    number: int
    half_light_radius: float
    angle: float
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class ArcPart:
    """One ring, arc or set of spiral arms of one system; see `ArcLight`."""

    flux: FloatArray
    radius: float
    width: float
    x: float = 0.0
    y: float = 0.0
    ellipticity_1: float = 0.0
    ellipticity_2: float = 0.0
    arms: float = 1.0
    angle: float = 0.0
    concentration: float = 0.0
    winding: float = 0.0
    clump_strength: FloatArray = field(default_factory=lambda: np.zeros(_CLUMPS))
    clump_waves_phi: FloatArray = field(default_factory=lambda: np.zeros(_CLUMPS))
    clump_waves_u: FloatArray = field(default_factory=lambda: np.zeros(_CLUMPS))
    clump_phase: FloatArray = field(default_factory=lambda: np.zeros(_CLUMPS))


Part = SersicPart | GalaxyPart | ArcPart


@dataclass(frozen=True)
class LookAlike:
    """A drawn look-alike.

    Attributes:
        kind: One of `LOOK_ALIKES`.
        parts: Its lights; their fluxes add up to those of the ingredients.
    """

    kind: str
    parts: tuple[Part, ...]


def magnified_flux(
    flux: FloatArray, source_x: float, source_y: float, source_radius: float, einstein_radius: float
) -> FloatArray:
    """Flux that a source would have behind a round lens.

    Args:
        flux: Without lens [electrons/s], shape `(bands,)`.
        source_x: Position relative to the lens [arcsec].
        source_y: Position relative to the lens [arcsec].
        source_radius: Half-light radius [arcsec].
        einstein_radius: [arcsec]

    Returns:
        Flux of all images together [electrons/s].

    Source:
        Singular isothermal sphere: 2 / beta inside the Einstein radius, 1 + 1 / beta outside, with beta in Einstein
        radii; Schneider, Ehlers & Falco (1992), eq. 8.35. The source's width keeps it finite, such that it is right for
        an exponential disc behind the very centre.
    """
    beta = math.hypot(source_x, source_y, _SOURCE_CORE * source_radius) / einstein_radius
    return flux * (2 / beta if beta < 1 else 1 + 1 / beta)


def draw_look_alike(
    generator: np.random.Generator,
    ingredients: Ingredients,
    *,
    stamps: GalaxyStamps | None = None,
    shares: Mapping[str, float] | None = None,
) -> LookAlike:
    """Draw a look-alike with its centre at the origin.

    Args:
        generator: Random numbers of this system.
        ingredients: What it is made of.
        stamps: Real galaxies for companions, mergers and spirals; without them these are analytic.
        shares: How often each kind comes, by its name; all equally often if None.

    Returns:
        The look-alike.

    Raises:
        ValueError: If a kind is unknown or the shares are not positive numbers.
    """
    shares = dict.fromkeys(LOOK_ALIKES, 1.0) if shares is None else shares
    total = sum(shares.values())
    if (
        not set(shares) <= set(LOOK_ALIKES)
        or not all(share >= 0 for share in shares.values())
        or not 0 < total < math.inf
    ):
        raise ValueError(f"shares={dict(shares)} must be numbers of 0 or more for some of {', '.join(LOOK_ALIKES)}.")
    place = generator.random() * total
    edges = np.cumsum(list(shares.values()))
    kind = list(shares)[min(int(np.searchsorted(edges, place, side="right")), len(shares) - 1)]
    draw = {
        "spiral": _draw_spiral,
        "elliptical_with_companions": _draw_companions,
        "ring": _draw_ring,
        "merger": _draw_merger,
    }[kind]
    return LookAlike(kind, tuple(draw(generator, ingredients, stamps)))


def look_alike_lights(look_alikes: Sequence[LookAlike], bands: int, stamps: GalaxyStamps | None = None) -> list[Light]:
    """Make the lights of a batch; a system that lacks a part has zero flux there.

    Args:
        look_alikes: One per system.
        bands: Number of bands.
        stamps: The galaxies that they were drawn with.

    Returns:
        As many lights as the system with the most parts of a sort needs.

    Raises:
        ValueError: If real galaxies were drawn and no stamps are given.
    """
    lights: list[Light] = []
    for sort, light in ((SersicPart, SersicLight), (ArcPart, ArcLight), (GalaxyPart, GalaxyLight)):
        parts = [[part for part in system.parts if isinstance(part, sort)] for system in look_alikes]
        for slot in range(max((len(row) for row in parts), default=0)):
            chosen = [row[slot] if slot < len(row) else None for row in parts]
            columns = _stack(
                [part for part in chosen if part is not None], [part is not None for part in chosen], bands
            )
            if sort is GalaxyPart:
                if stamps is None:
                    raise ValueError("the look-alikes hold real galaxies; pass the stamps that they were drawn with.")
                columns |= {"stamps": stamps, "number": columns["number"].astype(np.int64)}
            lights.append(light(**columns))
    return lights


def _stack(parts: Sequence[Any], present: Sequence[bool], bands: int) -> dict[str, Any]:
    """Arrays over the batch of parts of one sort, zero where absent."""
    where = np.flatnonzero(present)
    columns = {}
    for attribute in fields(parts[0]):
        values = np.stack([np.asarray(getattr(part, attribute.name), dtype=np.float64) for part in parts])
        columns[attribute.name] = np.zeros((len(present), *values.shape[1:]))
        columns[attribute.name][where] = values
    if columns["flux"].shape[1] != bands:
        raise ValueError(f"the look-alikes have {columns['flux'].shape[1]} bands, {bands} are wanted.")
    return columns


def _draw_spiral(generator: np.random.Generator, ingredients: Ingredients, stamps: GalaxyStamps | None) -> list[Part]:
    """A bulge, a disc and arms that cross the Einstein radius, or a real galaxy around the bulge."""
    galaxy, arcs, radius = ingredients.galaxy_flux, ingredients.arc_flux, ingredients.einstein_radius
    bulge_share = generator.uniform(0.45, 0.85)
    axial_ratio, angle = generator.uniform(0.55, 1.0), generator.uniform(0, np.pi)
    ellipticity = ellipticity_of(axial_ratio, angle)
    bulge = SersicPart(
        # as concentrated and as extended as the lens galaxy, whose wings would otherwise tell
        bulge_share * galaxy, ingredients.galaxy_radius * generator.uniform(0.7, 1.2),
        sersic_index=ingredients.sersic_index,
        ellipticity_1=0.4 * ellipticity[0], ellipticity_2=0.4 * ellipticity[1],
    )  # fmt: skip
    disc_radius = radius * generator.uniform(0.9, 1.5)
    if stamps is not None and generator.random() < 0.35:
        disc_flux = (1 - bulge_share) * galaxy + arcs
        number = _draw_wide_galaxy(generator, stamps)
        return [bulge, GalaxyPart(disc_flux, number, 0.7 * disc_radius, generator.uniform(0, 2 * np.pi))]
    # most of the old stars lie smoothly in the disc; some follow the arms
    following = generator.uniform(0.02, 0.2) * (1 - bulge_share)
    disc = SersicPart(
        (1 - bulge_share - following) * galaxy, disc_radius, ellipticity_1=ellipticity[0], ellipticity_2=ellipticity[1]
    )
    pitch = np.radians(generator.uniform(8, 30)) * generator.choice([-1, 1])
    arms = ArcPart(
        arcs + following * galaxy, radius * generator.uniform(0.75, 1.1), generator.uniform(0.25, 0.45),
        ellipticity_1=ellipticity[0], ellipticity_2=ellipticity[1],
        arms=float(generator.choice([1, 2, 2, 2, 2, 3, 4])), angle=generator.uniform(0, 2 * np.pi),
        concentration=generator.uniform(1.0, 3.5), winding=1 / math.tan(pitch),
        **_draw_clumps(generator, generator.uniform(0.25, 0.55)),
    )  # fmt: skip
    return [bulge, disc, arms]


def _draw_companions(
    generator: np.random.Generator, ingredients: Ingredients, stamps: GalaxyStamps | None
) -> list[Part]:
    """An elliptical with blue companions where a double, an arc and its counter-image or a quad would have images."""
    places = _COMPANION_PLACES[int(generator.choice(len(_COMPANION_PLACES), p=_COMPANION_SHARES))]
    turn, handed = generator.uniform(0, 2 * np.pi), generator.choice([-1, 1])
    weights = []
    parts: list[Part] = [_elliptical(ingredients, ingredients.galaxy_flux)]
    shapes = []
    for distance, direction, brightness in places:
        angle = turn + handed * (np.radians(direction) + generator.normal(0, 0.15))
        away = ingredients.einstein_radius * distance * np.exp(generator.normal(0, 0.08))
        weights.append(brightness * np.exp(generator.normal(0, 0.35)))
        shapes.append((away * math.cos(angle), away * math.sin(angle), angle))
    for (x, y, angle), weight in zip(shapes, np.array(weights) / sum(weights), strict=True):
        flux = weight * ingredients.arc_flux
        size = ingredients.einstein_radius * 0.16 * np.exp(generator.normal(0, 0.35))
        if stamps is not None and generator.random() < 0.6:
            number = int(generator.integers(len(stamps)))
            parts.append(GalaxyPart(flux, number, size, generator.uniform(0, 2 * np.pi), x, y))
            continue
        # every second one happens to lie along the circle, as an arc would
        along = angle + np.pi / 2 + generator.normal(0, 0.25)
        position_angle = along if generator.random() < 0.5 else generator.uniform(0, np.pi)
        ellipticity = ellipticity_of(generator.uniform(0.25, 0.8), position_angle)
        parts.append(SersicPart(flux, size, x, y, generator.uniform(0.7, 1.8), *ellipticity))
    return parts


_COMPANION_PLACES: tuple[tuple[tuple[float, float, float], ...], ...] = (
    ((1.25, 0, 1.0),),
    ((1.35, 0, 1.0), (0.7, 180, 0.35)),
    ((1.2, 0, 1.0), (0.9, 170, 0.6)),
    ((1.05, -35, 1.0), (1.1, 0, 1.0), (1.0, 35, 0.8), (0.8, 180, 0.4)),
    ((1.1, 0, 1.0), (0.95, 90, 0.7), (1.1, 180, 0.9), (0.9, 270, 0.6)),
    ((1.15, 0, 1.0), (1.05, 55, 0.9), (0.85, 200, 0.5)),
)
"""Distance [Einstein radii], direction [degree] and relative brightness of companions, as of one, two, two, four (a
fold), four (a cross) and three images."""
_COMPANION_SHARES = (0.15, 0.25, 0.15, 0.15, 0.15, 0.15)


def _draw_ring(generator: np.random.Generator, ingredients: Ingredients, stamps: GalaxyStamps | None) -> list[Part]:
    """A ring galaxy: a core and a blue ring that need not share their centre, with knots of star formation."""
    galaxy, radius = ingredients.galaxy_flux, ingredients.einstein_radius
    ring_radius = radius * generator.uniform(0.75, 1.15)
    ellipticity = ellipticity_of(generator.uniform(0.6, 1.0), generator.uniform(0, np.pi))
    offset, direction = 0.12 * radius * math.sqrt(generator.random()), generator.uniform(0, 2 * np.pi)
    following = generator.uniform(0.0, 0.03)
    ring = ArcPart(
        ingredients.arc_flux + following * galaxy, ring_radius, generator.uniform(0.08, 0.22),
        offset * math.cos(direction), offset * math.sin(direction), *ellipticity,
        # one side is brighter
        angle=generator.uniform(0, 2 * np.pi), concentration=generator.uniform(0.0, 0.8),
        **_draw_clumps(generator, generator.uniform(0.15, 0.45)),
    )  # fmt: skip
    return [_elliptical(ingredients, (1 - following) * galaxy, generator.uniform(0.8, 1.25)), ring]


def _draw_merger(generator: np.random.Generator, ingredients: Ingredients, stamps: GalaxyStamps | None) -> list[Part]:
    """Two or three galaxies that overlap, and a tidal arc of stars and young stars."""
    radius, arcs = ingredients.einstein_radius, ingredients.arc_flux
    others = 1 + int(generator.random() < 0.3)
    shares = np.array([1.0, *generator.uniform(0.12, 0.5, size=others)])
    shares /= shares.sum()
    young = generator.uniform(0.2, 0.5)
    parts: list[Part] = [_elliptical(ingredients, shares[0] * ingredients.galaxy_flux, generator.uniform(0.8, 1.25))]
    for share in shares[1:].tolist():
        away, direction = radius * generator.uniform(0.5, 1.2), generator.uniform(0, 2 * np.pi)
        x, y = away * math.cos(direction), away * math.sin(direction)
        flux = share * ingredients.galaxy_flux + young / others * arcs
        size = ingredients.galaxy_radius * math.sqrt(share) * generator.uniform(0.8, 1.4)
        if stamps is not None and generator.random() < 0.6:
            number = _draw_wide_galaxy(generator, stamps)
            parts.append(GalaxyPart(flux, number, size, generator.uniform(0, 2 * np.pi), x, y))
        else:
            ellipticity = ellipticity_of(generator.uniform(0.4, 0.95), generator.uniform(0, np.pi))
            parts.append(SersicPart(flux, size, x, y, generator.uniform(1.0, 2.5), *ellipticity))
    direction = generator.uniform(0, 2 * np.pi)
    # the arc bends about a point beside the galaxy, more or less as one about the lens would
    offset = radius * generator.uniform(0.0, 0.5)
    arc = ArcPart(
        (1 - young) * arcs, radius * generator.uniform(0.8, 1.3), generator.uniform(0.08, 0.2),
        offset * math.cos(direction), offset * math.sin(direction),
        *ellipticity_of(generator.uniform(0.6, 1.0), generator.uniform(0, np.pi)),
        angle=direction + generator.normal(0, 0.8), concentration=generator.uniform(1.5, 8.0),
        winding=generator.normal(0, 1.0), **_draw_clumps(generator, generator.uniform(0.05, 0.3)),
    )  # fmt: skip
    return [*parts, arc]


def _elliptical(ingredients: Ingredients, flux: FloatArray, size: float = 1.0) -> SersicPart:
    """The lens galaxy, of another flux and size."""
    return SersicPart(
        flux, max(size * ingredients.galaxy_radius, _SMALLEST_RADIUS), sersic_index=ingredients.sersic_index,
        ellipticity_1=ingredients.ellipticity_1, ellipticity_2=ingredients.ellipticity_2,
    )  # fmt: skip


def _draw_wide_galaxy(generator: np.random.Generator, stamps: GalaxyStamps) -> int:
    """One of the widest galaxies as observed: those resolved best."""
    order = np.argsort(-stamps.half_light_radii, kind="stable")
    return int(order[generator.integers(math.ceil(_WELL_RESOLVED * len(order)))])


def _draw_clumps(generator: np.random.Generator, strength: float) -> dict[str, Any]:
    """Waves that add up to one brighter side and knots."""
    waves = np.concatenate([generator.integers(1, 3, size=1), generator.integers(3, 12, size=_CLUMPS - 1)])
    return {
        "clump_strength": strength * generator.uniform(0.4, 1.3, size=_CLUMPS),
        "clump_waves_phi": waves * generator.choice([-1.0, 1.0], size=_CLUMPS),
        "clump_waves_u": generator.normal(0, 0.7 * waves),
        "clump_phase": generator.uniform(0, 2 * np.pi, size=_CLUMPS),
    }


def ellipticity_of(axial_ratio: float, angle: float) -> tuple[float, float]:
    """Return both components of an ellipticity.

    Args:
        axial_ratio: Minor over major axis q, above 0 and at most 1.
        angle: Of the major axis from the x axis [rad].

    Returns:
        (1 - q) / (1 + q) times cosine and sine of twice the angle.
    """
    modulus = (1 - axial_ratio) / (1 + axial_ratio)
    return modulus * math.cos(2 * angle), modulus * math.sin(2 * angle)
