"""Batched ray-tracing of systems to noise-free images, on the processor or a graphics card."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .instruments import Instrument, Telescope
from .light import INNER_RADIUS, sersic_amplitude, sersic_brightness_, sersic_exponent
from .mass import MACRO_PARAMETERS, elliptical_radius_form, isothermal_deflection, shear_deflection
from .point_line import PointLine
from .point_masses import PointMasses
from .populations import Systems
from .published_recipe import PublishedRecipe

FloatArray = NDArray[np.float64]

# Pixels worked on at a time. On the processor, arrays of this size stay in its cache and torch does not split
# them between threads; on a graphics card, fewer and larger steps are quicker.
PIXELS_PER_STEP = {"cpu": 32_768, "cuda": 2**22}


def render(
    systems: Systems,
    recipe: PublishedRecipe,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Render noise-free images; each is the same whatever the batch around it.

    Args:
        systems: The systems, of one class.
        recipe: The recipe they were drawn from.
        dtype: Precision, float32 or float64.
        device: Where to compute.

    Returns:
        Images [counts/s/pixel], shape `(batch, 1, height, width)`; neither noise nor `image_multiplier` are
        applied.

    Raises:
        ValueError: If the precision is neither single nor double.

    Source:
        Image-plane ray-tracing of one ray per pixel, then convolution, as in lenstronomy's ImageModel with
        `supersampling_factor=1` (parity: tests/simulation/test_renderer.py).
    """
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype={dtype} is not supported. Use torch.float32 or torch.float64.")
    device = torch.device(device)
    size = recipe.instrument.image_size
    images = torch.empty(len(systems), 1, size, size, dtype=dtype, device=device)
    if not len(systems):
        return images
    kernel = gaussian_kernel(recipe.instrument)
    reach = len(kernel) - 1
    padded_size = size + 2 * reach
    rays = _Rays.of(systems, recipe, dtype, device)
    step = max(1, PIXELS_PER_STEP["cpu" if device.type == "cpu" else "cuda"] // padded_size**2)
    if device.type == "cpu" and size**2 % 32:
        # The elements left over by the processor's vector units are rounded differently: keep them at each
        # image's end.
        step = 1
    # The source's brightness goes into the kernel, which is applied along both axes.
    brightness_root = math.sqrt(rays.flux_at_centre)
    weights = [torch.tensor(weight * brightness_root, dtype=dtype, device=device) for weight in kernel]
    # The same pieces of memory serve every step: fresh ones would cost the processor more than the arithmetic.
    pieces = torch.zeros(
        3, (min(step, len(systems)) * padded_size + 2 * reach) * padded_size, dtype=dtype, device=device
    )
    convolution = None
    for start in range(0, len(systems), step):
        chunk = slice(start, min(start + step, len(systems)))
        if convolution is None or convolution.batch != chunk.stop - start:
            convolution = _Convolution(pieces, weights, chunk.stop - start, size)
        rays.trace_(chunk, convolution.image, convolution.spare)
        convolution.apply(images[chunk, 0])
    return images


def pixel_positions(instrument: Instrument) -> NDArray[np.float64]:
    """Positions of the pixel centres along one axis.

    Args:
        instrument: Gives number and width of the pixels.

    Returns:
        Positions [arcsec], shape `(image_size,)`, symmetric about zero to rounding. The order of operations
        is lenstronomy's, so that a point mass lies on a pixel's centre here exactly if it does there.
    """
    first = -(instrument.image_size - 1) / 2 * instrument.pixel_scale
    return np.arange(instrument.image_size, dtype=np.float64) * instrument.pixel_scale + first


@lru_cache(maxsize=16)
def gaussian_kernel(instrument: Instrument) -> tuple[float, ...]:
    """Half of the one-dimensional point spread function.

    Args:
        instrument: Gives width and truncation.

    Returns:
        Weights of the pixels at distance 0, 1, 2, ...; the whole kernel sums to 1.

    Source:
        As in `scipy.ndimage.gaussian_filter`, which lenstronomy applies to unresolved Gaussians.
    """
    sigma = instrument.gaussian.sigma / instrument.pixel_scale
    radius = int(instrument.gaussian.truncation * sigma + 0.5)
    weights = [math.exp(-0.5 * (pixel / sigma) ** 2) for pixel in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return tuple(weight / total for weight in weights)


def source_amplitude(recipe: PublishedRecipe) -> float:
    """Surface brightness of the source at its half-light radius.

    Args:
        recipe: Gives amplitude or magnitude.

    Returns:
        Surface brightness [counts/s/arcsec^2].

    Raises:
        ValueError: If the recipe gives neither.
    """
    if recipe.source_amplitude is not None:
        return recipe.source_amplitude
    if recipe.source_magnitude is None or not isinstance(recipe.instrument, Telescope):
        raise ValueError(f"recipe {recipe.name} gives neither a source amplitude nor a magnitude with a zero point.")
    flux = recipe.instrument.electrons_per_second(recipe.source_magnitude)
    return sersic_amplitude(flux, recipe.source_radius, recipe.sersic_index)


@dataclass(frozen=True)
class _Rays:
    """Rays of a batch: where they meet the source plane, in coordinates in which the source is round.

    With a squared elliptical radius of a x^2 + b x y + c y^2, the coordinates are p = sqrt(a - b^2 / 4c) x
    and q = sqrt(c) y, and the squared radius is p^2 + (q + skew p)^2, with units such that a Sersic profile
    of index n is exp(-radius^(1/n)). Scales are folded into the deflections, so that they cost nothing per
    pixel.
    """

    smooth: tuple[Tensor, Tensor]
    source: tuple[Tensor, Tensor]
    scale: tuple[float, float]
    axis: FloatArray
    points: PointMasses | None
    line: PointLine | None
    skew: Tensor
    inner_radius: float
    sersic_index: float
    flux_at_centre: float

    @staticmethod
    def of(systems: Systems, recipe: PublishedRecipe, dtype: torch.dtype, device: torch.device) -> "_Rays":
        xx, xy, yy = elliptical_radius_form(recipe.source_ellipticity_1, recipe.source_ellipticity_2)
        exponent = sersic_exponent(recipe.sersic_index)
        unit = recipe.source_radius / exponent**recipe.sersic_index
        scale_x, scale_y = math.sqrt(xx - xy**2 / (4 * yy)) / unit, math.sqrt(yy) / unit
        source = [systems.parameters[name].astype(np.float64) for name in ("source_x", "source_y")]
        axis = pixel_positions(recipe.instrument)
        points = line = None
        if systems.points_in_row:
            length, angle = (
                systems.parameters[f"vortex_{name}"].astype(np.float64) for name in ("half_length", "angle")
            )
            line = PointLine(length, angle, systems.point_einstein_radius[:, 0], systems.point_x.shape[1])
        elif systems.point_x.shape[1]:
            masses = systems.point_x, systems.point_y, systems.point_einstein_radius
            points = PointMasses(axis, *masses, (scale_x, scale_y), dtype, device)
        return _Rays(
            smooth=_smooth_rays(systems, recipe.instrument, (scale_x, scale_y), dtype, device),
            source=(
                _batch_column(source[0] * scale_x, dtype, device),
                _batch_column(source[1] * scale_y, dtype, device),
            ),
            scale=(scale_x, scale_y),
            axis=axis,
            points=points,
            line=line,
            skew=torch.tensor(xy / (2 * yy) * scale_y / scale_x, dtype=dtype, device=device),
            inner_radius=INNER_RADIUS / unit,
            sersic_index=recipe.sersic_index,
            flux_at_centre=source_amplitude(recipe) * math.exp(exponent) * recipe.instrument.pixel_scale**2,
        )

    def trace_(self, chunk: slice, p: Tensor, q: Tensor) -> None:
        """Fill p, shape `(chunk, size, size)`, with each ray's flux in units of the centre's; q is spare."""
        smooth_p, smooth_q = (grid if len(grid) == 1 else grid[chunk] for grid in self.smooth)
        torch.sub(smooth_p, self.source[0][chunk], out=p)
        torch.sub(smooth_q, self.source[1][chunk], out=q)
        if self.line is not None:
            self.line.subtract_deflections_(self.axis, p, q, self.scale, chunk)
        elif self.points is not None:
            self.points.subtract_deflections_(p, q, chunk)
        q.addcmul_(p, self.skew)
        p.mul_(p).addcmul_(q, q)
        sersic_brightness_(p, self.inner_radius, self.sersic_index)


def _batch_column(values: NDArray[np.float64], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device=device, dtype=dtype)[:, None, None]


def _smooth_rays(
    systems: Systems,
    instrument: Instrument,
    scale: tuple[float, float],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Scaled source-plane positions under the smooth lenses, one grid for all if the lenses are the same."""
    macro = np.stack([systems.parameters[name] for name in MACRO_PARAMETERS], axis=1).astype(np.float64)
    if (macro == macro[0]).all():
        return _cached_smooth_rays(instrument, tuple(macro[0].tolist()), scale, dtype, device)
    return _trace_smooth(instrument, macro, scale, dtype, device)


@lru_cache(maxsize=8)
def _cached_smooth_rays(
    instrument: Instrument,
    macro: tuple[float, ...],
    scale: tuple[float, float],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    return _trace_smooth(instrument, np.asarray([macro]), scale, dtype, device)


def _trace_smooth(
    instrument: Instrument,
    macro: NDArray[np.float64],
    scale: tuple[float, float],
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    axis = pixel_positions(instrument)
    x, y = axis[None, None, :], axis[None, :, None]
    radius, ellipticity_1, ellipticity_2, shear_1, shear_2 = macro.T[:, :, None, None]
    isothermal = isothermal_deflection(x, y, radius, ellipticity_1, ellipticity_2)
    shear = shear_deflection(x, y, shear_1, shear_2)
    scaled = (scale[0] * (x - isothermal[0] - shear[0]), scale[1] * (y - isothermal[1] - shear[1]))
    scaled_x, scaled_y = (torch.from_numpy(component).to(device=device, dtype=dtype) for component in scaled)
    return scaled_x, scaled_y


class _Convolution:
    """Convolution with a symmetric separable kernel, the outermost pixels repeated beyond the edge.

    The padded images of a step are one row of numbers, in which a neighbour is a fixed distance away: each operation
    runs through contiguous memory, and what it makes of the padding is not used. Only operations that are rounded alike
    wherever a pixel lies in memory are used: a sum with `alpha` is not. All views are made beforehand.

    Args:
        pieces: Three pieces of memory, shape `(3, numbers)`, filled with finite numbers.
        weights: Kernel's weights at distance 0, 1, 2, ...
        batch: Number of images.
        size: Number of pixels along either axis.
    """

    def __init__(self, pieces: Tensor, weights: Sequence[Tensor], batch: int, size: int) -> None:
        reach, padded_size = len(weights) - 1, size + 2 * (len(weights) - 1)
        numbers, padded = batch * size**2, batch * size * padded_size
        self.batch = batch
        self.image, self.spare = (piece[:numbers].view(batch, size, size) for piece in pieces[:2])
        tall = pieces[1, :padded].view(batch, padded_size, size)
        self._inside = tall[:, reach : reach + size]
        self._above, self._top = tall[:, :reach], tall[:, reach : reach + 1]
        self._below, self._bottom = tall[:, reach + size :], tall[:, reach + size - 1 : reach + size]
        wide = pieces[2, :padded].view(batch, size, padded_size)
        self._middle = wide[:, :, reach : reach + size]
        self._left, self._first = wide[:, :, :reach], wide[:, :, reach : reach + 1]
        self._right, self._last = wide[:, :, reach + size :], wide[:, :, reach + size - 1 : reach + size]
        self._sum = pieces[0, :padded]
        self._sum_of_rows = self._sum.view(batch, padded_size, size)[:, :size]
        self._sum_of_columns = self._sum.view(batch, size, padded_size)[:, :, :size]
        self._terms = []
        for piece, stride in ((pieces[1], size), (pieces[2], 1)):
            starts = [(weights[abs(distance)], (reach + distance) * stride) for distance in range(-reach, reach + 1)]
            self._terms.append([(weight, piece[start : start + padded]) for weight, start in starts])

    def apply(self, out: Tensor) -> None:
        """Convolve what `image` holds.

        Args:
            out: The result, shape `(batch, size, size)`; overwritten.
        """
        self._inside.copy_(self.image)
        self._above.copy_(self._top)
        self._below.copy_(self._bottom)
        self._add_up(self._terms[0])
        self._middle.copy_(self._sum_of_rows)
        self._left.copy_(self._first)
        self._right.copy_(self._last)
        self._add_up(self._terms[1])
        out.copy_(self._sum_of_columns)

    def _add_up(self, terms: Sequence[tuple[Tensor, Tensor]]) -> None:
        torch.mul(terms[0][1], terms[0][0], out=self._sum)
        for weight, values in terms[1:]:
            self._sum.addcmul_(values, weight)
