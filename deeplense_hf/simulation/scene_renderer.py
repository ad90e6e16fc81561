"""From scenes to noise-free images: rays through the lens, light at both ends, a pixel's mean, the telescope's blur."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from .components import Deflector, Light
from .finding_recipe import FindingRecipe
from .instruments import Instrument
from .point_spread import PointSpread, pixel_kernel
from .scene_recipe import SceneRecipe
from .scenes import Scenes
from .smooth_lens import SmoothLens

# Rays traced at a time on a graphics card. A processor takes one system at a time, so that arrays stay in its cache
# and an image is rounded alike in every batch.
RAYS_PER_STEP_CUDA = 2**24


@dataclass(frozen=True)
class Layers:
    """Noise-free images of a batch, taken apart.

    Args:
        source: Lensed extended source, shape `(batch, bands, height, width)` [electrons/s/pixel].
        points: Lensed points of light, in the same shape and unit.
        foreground: All light that is not lensed, in the same shape and unit.
    """

    source: Tensor
    points: Tensor
    foreground: Tensor

    @property
    def lensed(self) -> Tensor:
        """All light from behind the lens."""
        return self.source + self.points


def render_scenes(
    scenes: Scenes,
    recipe: SceneRecipe | FindingRecipe,
    *,
    substructure: bool = True,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Layers:
    """Render noise-free images; each is the same whatever the batch around it.

    Args:
        scenes: The scenes, of one class.
        recipe: The recipe they were drawn from.
        substructure: False replaces each lens by the smooth one of the same mass.
        dtype: Precision, float32 or float64.
        device: Where to compute.

    Returns:
        Lensed source, points and foreground, each blurred by the bands' point spread functions.

    Raises:
        ValueError: If the precision is neither single nor double.

    Source:
        Image-plane ray-tracing, the mean of `supersampling`^2 rays a pixel, convolution at the pixels' resolution: as
        lenstronomy's ImageModel with `supersampling_convolution=False` (tests/simulation/test_scene_renderer.py).
    """
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype={dtype} is not supported. Use torch.float32 or torch.float64.")
    device = torch.device(device)
    size, bands = recipe.instrument.image_size, recipe.num_bands
    layers = [torch.empty(len(scenes), bands, size, size, dtype=dtype, device=device) for _ in range(2)]
    for rows in _steps(len(scenes), recipe, device):
        x, y = _grid(scenes, recipe, rows, dtype, device)
        source_x, source_y = _trace(scenes, x, y, rows, substructure)
        for layer, lights, positions in (
            (layers[0], scenes.source, (source_x, source_y)),
            (layers[1], scenes.foreground, (x, y)),
        ):
            layer[rows] = _observed(lights, positions, rows, recipe, layer[rows])
    points = scenes.points if substructure else scenes.points_without_substructure
    no_points = torch.zeros((), dtype=dtype, device=device).expand_as(layers[0])
    blurred_points = no_points if points is None else points.image(recipe.bands).to(layers[0])
    return Layers(layers[0], blurred_points, layers[1])


def _steps(count: int, recipe: SceneRecipe | FindingRecipe, device: torch.device) -> Iterator[slice]:
    rays = (recipe.instrument.image_size * recipe.supersampling) ** 2
    step = 1 if device.type == "cpu" else max(1, RAYS_PER_STEP_CUDA // rays)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _grid(
    scenes: Scenes, recipe: SceneRecipe | FindingRecipe, rows: slice, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Positions of the rays relative to the lens, a row and a column."""
    number = recipe.instrument.image_size * recipe.supersampling
    axis = (np.arange(number) - (number - 1) / 2) * (recipe.instrument.pixel_scale / recipe.supersampling)
    x, y = (
        torch.from_numpy(axis + scenes.image_centre[rows, component, None]).to(device=device, dtype=dtype)
        for component in (0, 1)
    )
    return x[:, None, :], y[:, :, None]


def _trace(scenes: Scenes, x: Tensor, y: Tensor, rows: slice, substructure: bool) -> tuple[Tensor, Tensor]:
    """Where the rays meet the source plane, shape `(rows, height, width)`."""
    shape = torch.broadcast_shapes(x.shape, y.shape)
    deflection = torch.zeros(2, *shape, dtype=x.dtype, device=x.device)
    smooth: SmoothLens = scenes.smooth_lens if substructure else scenes.macro_lens
    deflectors: list[Deflector] = [smooth, *(scenes.substructure if substructure else ())]
    for deflector in deflectors:
        deflector.add_deflection_(deflection[0], deflection[1], x, y, rows)
    return x - deflection[0], y - deflection[1]


def _observed(
    lights: Sequence[Light],
    positions: tuple[Tensor, Tensor],
    rows: slice,
    recipe: SceneRecipe | FindingRecipe,
    like: Tensor,
) -> Tensor:
    """Light of a layer per pixel, blurred; shape of `like`."""
    if not lights:
        return torch.zeros_like(like)
    fine = like.shape[-1] * recipe.supersampling
    image = torch.zeros(*like.shape[:2], fine, fine, dtype=like.dtype, device=like.device)
    for light in lights:
        light.add_brightness_(image, *positions, rows)
    if recipe.supersampling > 1:
        image = torch.nn.functional.avg_pool2d(image, recipe.supersampling)
    image *= recipe.instrument.pixel_scale**2
    return convolve(image, recipe.bands)


def convolve(images: Tensor, bands: Sequence[Instrument]) -> Tensor:
    """Blur images by the point spread function of each band, the outermost pixels repeated beyond the edge.

    Args:
        images: Images, shape `(batch, bands, height, width)`.
        bands: One telescope per band.

    Returns:
        Blurred images in the same shape.

    Source:
        As `scipy.ndimage` with mode "nearest", which lenstronomy uses for Gaussians; by fast Fourier transform.
    """
    size = images.shape[-1]
    reach = max(len(pixel_kernel(band.point_spread, band.pixel_scale)) for band in bands) // 2
    padded = torch.nn.functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    length = next_fast_len(padded.shape[-1] + reach, real=True)
    spectra = tuple(
        _kernel_spectrum(band.point_spread, band.pixel_scale, length, images.dtype, images.device) for band in bands
    )
    spectrum = torch.fft.rfft2(padded, s=(length, length)) * torch.stack(spectra)
    blurred = torch.fft.irfft2(spectrum, s=(length, length))
    return blurred[..., reach : reach + size, reach : reach + size]


@lru_cache(maxsize=32)
def _kernel_spectrum(
    point_spread: PointSpread, pixel_scale: float, length: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    kernel = pixel_kernel(point_spread, pixel_scale)
    reach = len(kernel) // 2
    centred = np.zeros((length, length))
    centred[: len(kernel), : len(kernel)] = kernel
    centred = np.roll(centred, (-reach, -reach), axis=(0, 1))
    return torch.fft.rfft2(torch.from_numpy(centred).to(device=device, dtype=dtype))
