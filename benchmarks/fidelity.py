"""Our Models I to III beside images that others made: profiles, counts, background and power spectra, class by class.

    python benchmarks/fidelity.py --shared_data ../shared/data --output_dir outputs/fidelity

`model_1` is compared with 24 original files, `model_2` with 24 (made with the generator's own cosmology in the place of
pyHalo's, hence so here), `model_3` with the three official arrays, one of each class and scaled to a maximum of 1.

Of every image are taken: the mean in rings; the share of its pixels in bins of brightness; the variance in its four
corners; the power spectrum. Exposures of `model_1` vary by a factor of three, which would hide much else: there, rings
and power are in units of the mean count in the corners, `background_shape` is (variance - mean) / mean^2 of the
corners, which depends on neither exposure nor noise level, and `shot_noise` is the variance of a pixel about its
neighbours, less that of the sky, over the mean, in bins of brightness: 2 where Poisson noise is applied twice.

How far the originals' mean lies from ours is given in units of our scatter, as the root mean square over rings, bins or
frequencies of difference / standard error, and `p` is the share of equally many images of OURS that lie as far: it
needs no normal distribution and no independence of neighbouring rings. `ks` is the largest difference of the cumulative
distributions of all pixels, its p found in the same way. `ratio` is theirs over ours, of geometric means.

The three official arrays show the same source position. So the second comparison of `model_3` puts our source where
the smooth one of them has it; what differs is then substructure alone. That ours can be made equal to originals without
substructure, pixel by pixel, is tested in `tests/simulation/test_published_data.py`.

Eight images a class do not show everything. `--power` says what they would show: populations that are wrong on purpose
are put in the place of the originals, and the table gives how often they are found out at p < 0.05.
Prints tables and one line of JSON, and draws a figure per population.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from scipy.ndimage import convolve, uniform_filter
from scipy.optimize import least_squares

from deeplense_hf.data.readers import read_images
from deeplense_hf.simulation.populations import draw_systems
from deeplense_hf.simulation.published_recipe import PUBLISHED_COSMOLOGY, PublishedRecipe
from deeplense_hf.simulation.published_recipes import PUBLISHED_RECIPES
from deeplense_hf.simulation.renderer import render
from deeplense_hf.simulation.simulator import simulate_batch

Array = NDArray[np.float64]
RINGS, BRIGHTNESSES, FREQUENCIES = 14, 24, 14
CORNER = 0.1
OFFICIAL_NAMES = {"no_sub": "nosub", "cdm": "cdm", "axion": "axion"}
DRAWS = 2000


@dataclass(frozen=True)
class Population:
    """Images that others made, and the recipe that should give such ones.

    Args:
        name: What to call it.
        recipe: Ours.
        originals: Their images by class, each `(images, height, width)`.
        scaled: Whether theirs, and hence ours here, are scaled to a maximum of 1.
        source: Where our sources are put (x, y) [arcsec]; anywhere when absent.
    """

    name: str
    recipe: PublishedRecipe
    originals: dict[str, Array]
    scaled: bool = False
    source: tuple[float, float] | None = None

    @property
    def noisy(self) -> bool:
        """Whether the images hold noise."""
        return not self.recipe.noise_discarded

    def ours(self, class_name: str, count: int, recipe: PublishedRecipe | None = None, first: int = 0) -> Array:
        """Simulate images of a class, `(count, height, width)`; of all classes, so many of each, if it is `all`."""
        recipe = recipe or self.recipe
        if class_name == "all":
            return np.concatenate([self.ours(name, count, recipe, first) for name in self.originals])
        indices = range(first, first + count)
        if self.source is None:
            images = simulate_batch(recipe, class_name, indices, seed=0).images[:, 0].astype(np.float64)
        else:
            images = noise_free(recipe, class_name, indices, self.source)
        return images / images.max(axis=(1, 2), keepdims=True) if self.scaled else images

    def theirs(self, class_name: str) -> Array:
        """Return the originals of a class, or of `all`."""
        return np.concatenate(list(self.originals.values())) if class_name == "all" else self.originals[class_name]


def noise_free(recipe: PublishedRecipe, class_name: str, indices: Sequence[int], source: tuple[float, float]) -> Array:
    """Render systems with their sources at a given place, `(count, height, width)`."""
    systems = draw_systems(recipe, class_name, indices, seed=0)
    placed = {f"source_{axis}": np.full(len(systems), value) for axis, value in zip("xy", source, strict=True)}
    moved = replace(systems, parameters=systems.parameters | placed)
    return np.asarray(render(moved, recipe, dtype=torch.float64)[:, 0].numpy())


def fitted_source(recipe: PublishedRecipe, image: Array) -> tuple[float, float]:
    """Find the source position of an image without substructure that is scaled to a maximum of 1 [arcsec]."""

    def residual(position: Array) -> Array:
        model = noise_free(recipe, "no_sub", [0], (position[0], position[1]))[0]
        return np.asarray((model / model.max() - image).ravel())

    starts = [np.array([x, y]) for x in np.linspace(-0.3, 0.3, 5) for y in np.linspace(-0.3, 0.3, 5)]
    fit = least_squares(residual, min(starts, key=lambda start: float((residual(start) ** 2).sum())), xtol=1e-12)
    return float(fit.x[0]), float(fit.x[1])


def read_populations(shared: Path) -> list[Population]:
    """Read what others made."""

    def folder(name: str) -> dict[str, Array]:
        paths = {label: sorted((shared / "original_formats" / name / label).glob("*.npy")) for label in OFFICIAL_NAMES}
        return {label: np.stack([read_images(path)[0].image[0] for path in found]) for label, found in paths.items()}

    arrays = {
        label: read_images(shared / "deeplense_official" / f"ml4sci_repo_{name}.npz")[0].image
        for label, name in OFFICIAL_NAMES.items()
    }
    model_2 = replace(PUBLISHED_RECIPES["model_2"], deflection_cosmology=PUBLISHED_COSMOLOGY)
    model_3 = PUBLISHED_RECIPES["model_3"]
    source = fitted_source(model_3, arrays["no_sub"][0].astype(np.float64))
    with_substructure = {label: arrays[label] for label in ("cdm", "axion")}
    return [
        Population("model_1", PUBLISHED_RECIPES["model_1"], folder("Model_I_test")),
        Population("model_2", model_2, folder("Model_II_test")),
        Population("model_3", model_3, arrays, scaled=True),
        Population("model_3_same_source", model_3, with_substructure, scaled=True, source=source),
    ]


def ring_means(images: Array, count: int = RINGS) -> Array:
    """Mean in rings about the centre, out to the edge, `(images, count)`."""
    axis = np.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    radius = np.hypot(axis[:, None], axis) / (images.shape[-1] / 2) * count
    return np.stack([images[:, (radius >= ring) & (radius < ring + 1)].mean(axis=1) for ring in range(count)], axis=1)


def log_power(images: Array, count: int = FREQUENCIES) -> Array:
    """Decimal logarithm of the power spectrum in rings of spatial frequency up to Nyquist's, `(images, count)`."""
    window = np.hanning(images.shape[-1])
    centred = (images - images.mean(axis=(1, 2), keepdims=True)) * window[:, None] * window
    power = np.abs(np.fft.fftshift(np.fft.fft2(centred), axes=(1, 2))) ** 2 / images[0].size
    side = images.shape[-1]
    axis = np.fft.fftshift(np.fft.fftfreq(side)) * 2 * count
    frequency = np.hypot(axis[:, None], axis)
    rings = [(frequency >= ring) & (frequency < ring + 1) & (frequency > 0) for ring in range(count)]
    return np.log10(np.stack([power[:, ring].mean(axis=1) for ring in rings], axis=1))


def corners(images: Array) -> Array:
    """Pixels of the four corners, where there is little but background, `(images, pixels)`."""
    side = max(2, round(CORNER * images.shape[-1]))
    ends = (slice(0, side), slice(-side, None))
    return np.concatenate([images[:, row, column].reshape(len(images), -1) for row in ends for column in ends], axis=1)


def brightness_edges(images: Array) -> Array:
    """Edges of bins of brightness that hold equally many of our pixels where values are distinct, `(bins + 1,)`."""
    edges = np.unique(np.quantile(images, np.linspace(0, 1, BRIGHTNESSES + 1)[1:-1]))
    return np.concatenate([[-np.inf], edges, [np.inf]])


def shares(images: Array, edges: Array) -> Array:
    """Share of the pixels of each image in bins of brightness, `(images, bins)`."""
    return np.stack([np.histogram(image, edges)[0] for image in images]) / images[0].size


def shot_noise(images: Array) -> Array:
    """Variance of pixels about their neighbours, less the sky's, over the mean, in bins of brightness, `(images, 3)`.

    It is 1 for Poisson counts and 2 where a Poisson draw is the mean of another one.

    Source:
        Immerkaer (1996), Computer Vision and Image Understanding 64, 300: the mask sees no slope and no curvature.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6
    rows = []
    for image in images:
        sky = corners(image[None]).mean()
        local, noise = uniform_filter(image, 5), convolve(image, mask)
        bins = [(local > low * sky) & (local <= high * sky) for low, high in ((4, 8), (8, 16), (16, 64))]
        # the sky is a normal distribution about zero, clipped there, whose mean is 0.399 of its deviation
        excess = [(noise[chosen] ** 2).mean() - 2 * np.pi * sky**2 if chosen.any() else np.nan for chosen in bins]
        rows.append(
            [top / local[chosen].mean() if chosen.any() else top for top, chosen in zip(excess, bins, strict=True)]
        )
    return np.array(rows)


def background_shape(images: Array) -> Array:
    """Decimal logarithm of (variance - mean) / mean^2 of the counts in the corners, `(images, 1)`."""
    sky = corners(images)
    return np.log10((sky.var(axis=1) - sky.mean(axis=1)) / sky.mean(axis=1) ** 2)[:, None]


def statistics_of(edges: Array, noisy: bool) -> dict[str, Callable[[Array], Array]]:
    """The vectors that are taken of images, by name."""

    def exposure(images: Array) -> Array:
        return corners(images).mean(axis=1, keepdims=True) if noisy else np.ones((len(images), 1))

    statistics: dict[str, Callable[[Array], Array]] = {
        "profile": lambda images: ring_means(images) / exposure(images),
        "histogram": lambda images: shares(images, edges),
        "background": lambda images: np.log10(corners(images).var(axis=1))[:, None],
        "power": lambda images: log_power(images) - 2 * np.log10(exposure(images)),
    }
    return statistics | ({"background_shape": background_shape, "shot_noise": shot_noise} if noisy else {})


class Comparison:
    """Distances between the mean of some images and that of ours, and how often ours lie as far.

    Args:
        ours: A vector per image of ours, `(images, values)`.
        size: Number of images to be compared.
        random: Random numbers.
    """

    def __init__(self, ours: Array, size: int, random: np.random.Generator) -> None:
        scatter = np.nanstd(ours, axis=0, ddof=1)
        # a value that never varies, such as the share of an empty bin, tells nothing
        self.varies = scatter > 1e-12 * (1 + np.nanmax(np.abs(ours)))
        self.mean, self.error = np.nanmean(ours, axis=0), scatter * np.sqrt(1 / size + 1 / len(ours))
        rows = np.argsort(random.random((DRAWS, len(ours))), axis=1)[:, :size]
        self.by_chance = np.array([self.deviation(ours[chosen]) for chosen in rows])
        self.cumulative_by_chance = np.array([self.largest_step(ours[chosen]) for chosen in rows])

    def deviation(self, theirs: Array) -> float:
        """Root mean square of difference / standard error."""
        ratio = (np.nanmean(theirs, axis=0) - self.mean)[self.varies] / self.error[self.varies]
        return float(np.sqrt(np.mean(ratio**2)))

    def largest_step(self, theirs: Array) -> float:
        """Kolmogorov-Smirnov distance, where the vectors are shares in bins."""
        return float(np.abs(np.cumsum(theirs.mean(axis=0) - self.mean)).max())

    def p_value(self, theirs: Array) -> float:
        """Share of equally many images of ours that deviate as much."""
        return float((1 + (self.by_chance >= self.deviation(theirs)).sum()) / (1 + DRAWS))

    def p_value_of_step(self, theirs: Array) -> float:
        """The same for the Kolmogorov-Smirnov distance."""
        return float((1 + (self.cumulative_by_chance >= self.largest_step(theirs)).sum()) / (1 + DRAWS))


def compare(population: Population, class_name: str, ours: Array, random: np.random.Generator) -> list[dict[str, Any]]:
    """Compare the originals of one class with ours, statistic by statistic."""
    theirs = population.theirs(class_name)
    rows = []
    for name, statistic in statistics_of(brightness_edges(ours), population.noisy).items():
        own, other = statistic(ours), statistic(theirs)
        comparison = Comparison(own, len(theirs), random)
        row: dict[str, Any] = {"population": population.name, "class": class_name, "originals": len(theirs)}
        row |= {"statistic": name, "deviation": round(comparison.deviation(other), 2)}
        row |= {"p": round(comparison.p_value(other), 4), "detail": ""}
        if name == "histogram":
            row["detail"] = f"ks {comparison.largest_step(other):.4f}, p {comparison.p_value_of_step(other):.4f}"
        elif name.startswith("background"):
            ratio = float(10 ** (other.mean() - own.mean()))
            row["detail"] = f"ratio {ratio:.3f} +- {ratio * np.log(10) * comparison.error[0]:.3f}"
        elif name == "shot_noise":
            pairs = zip(np.nanmean(other, axis=0), np.nanmean(own, axis=0), strict=True)
            row["detail"] = ", ".join(f"{one:.2f} / {two:.2f}" for one, two in pairs) + " (theirs / ours)"
        rows.append(row)
    return rows


def wrong_recipes(recipe: PublishedRecipe) -> dict[str, PublishedRecipe]:
    """Copies of Model I that are wrong on purpose."""
    amplitude = float(recipe.source_amplitude or 0)
    camera: Any = recipe.instrument
    return {
        "none (false alarms)": recipe,
        "source 10% brighter": replace(recipe, source_amplitude=1.1 * amplitude),
        "source 30% brighter": replace(recipe, source_amplitude=1.3 * amplitude),
        "Einstein radius +2%": replace(recipe, lens_mass=1.02**2 * recipe.lens_mass),
        "Einstein radius +5%": replace(recipe, lens_mass=1.05**2 * recipe.lens_mass),
        "background rms +5%": replace(recipe, instrument=replace(camera, background_rms=1.05 * camera.background_rms)),
        "Poisson noise once": replace(recipe, poisson_applied_twice=False),
        "subhalo slope -1.9": replace(recipe, subhalo_mass_slope=-1.9),
        "vortex mass halved": replace(recipe, vortex_mass=recipe.vortex_mass / 2),
    }


def power_of_the_tests(population: Population, count: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """How often wrong populations, of as many images as there are originals, are found out at p < 0.05."""
    rows = []
    class_of = {"subhalo slope -1.9": "cdm", "vortex mass halved": "axion"}
    for name, recipe in wrong_recipes(population.recipe).items():
        class_name = class_of.get(name, "all")
        ours, size = population.ours(class_name, count), len(population.theirs(class_name))
        wrong = population.ours(class_name, count, recipe, first=count)
        row: dict[str, Any] = {"wrong": name, "class": class_name, "images": size}
        for statistic_name, statistic in statistics_of(brightness_edges(ours), population.noisy).items():
            comparison, vectors = Comparison(statistic(ours), size, random), statistic(wrong)
            trials = [vectors[random.permutation(len(vectors))[:size]] for _ in range(300)]
            row[statistic_name] = round(float(np.mean([comparison.p_value(trial) < 0.05 for trial in trials])), 2)
        rows.append(row)
    return rows


def draw_figure(population: Population, ours_by_class: dict[str, Array], path: Path) -> None:
    """Draw examples and the four statistics of every class."""
    figure, axes = plt.subplots(len(ours_by_class), 6, figsize=(21, 3.3 * len(ours_by_class)), layout="constrained")
    scale = population.recipe.instrument.pixel_scale
    for row, (class_name, ours) in zip(axes, ours_by_class.items(), strict=True):
        theirs = population.originals[class_name]
        for axis, images, title in ((row[0], theirs, "original"), (row[1], ours, "ours")):
            picture = axis.imshow(np.arcsinh(images[0] / np.median(ours.max(axis=(1, 2))) * 10), origin="lower")
            axis.set(title=f"{class_name}, {title}", xticks=[], yticks=[])
            figure.colorbar(picture, ax=axis, label="asinh(10 brightness / maximum)")
        radius = (np.arange(RINGS) + 0.5) / RINGS * scale * ours.shape[-1] / 2
        statistics = statistics_of(brightness_edges(ours), population.noisy)
        draw_bands(row[2], radius, statistics["profile"](ours), statistics["profile"](theirs))
        unit = "mean count / that of the corners" if population.noisy else "mean brightness"
        row[2].set(xlabel="radius [arcsec]", ylabel=unit, title="radial profile", yscale="log")
        draw_cumulative(row[3], ours, theirs)
        variances = [np.log10(corners(images).var(axis=1)) for images in (ours, theirs)]
        row[4].hist(variances[0], bins=30, density=True, color="tab:blue", alpha=0.4, label="ours")
        row[4].plot(variances[1], np.zeros(len(theirs)), "|", color="tab:red", markersize=25, label="original")
        row[4].set(xlabel="log10 variance in the corners", title="background")
        frequency = (np.arange(FREQUENCIES) + 0.5) / FREQUENCIES / (2 * scale)
        draw_bands(row[5], frequency, statistics["power"](ours), statistics["power"](theirs))
        row[5].set(xlabel="frequency [1/arcsec]", ylabel="log10 power", title="power spectrum")
        for axis in (row[2], row[4]):
            axis.legend(fontsize=7)
    figure.suptitle(f"{population.name}: originals (red) beside ours (blue: mean, central 68% and 95% of images)")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_bands(axis: Any, x: Array, ours: Array, theirs: Array) -> None:
    """Draw where 68% and 95% of our images lie, and every original."""
    for low, high in ((2.5, 97.5), (16, 84)):
        axis.fill_between(x, *np.percentile(ours, (low, high), axis=0), color="tab:blue", alpha=0.25, linewidth=0)
    axis.plot(x, ours.mean(axis=0), color="tab:blue", label="ours, mean")
    axis.plot(x, theirs.T, color="tab:red", linewidth=0.5, alpha=0.7)
    axis.plot(x, theirs.mean(axis=0), color="tab:red", linestyle="--", label="original, mean")


def draw_cumulative(axis: Any, ours: Array, theirs: Array) -> None:
    """Draw the share of pixels above a brightness."""
    # counts are whole numbers
    lowest = max(float(np.quantile(ours, 0.02)), 1e-6 * float(ours.max()), 0.5 if ours.max() > 100 else 0)
    levels = np.geomspace(lowest, ours.max(), 80)
    above = [np.stack([(images >= level).mean(axis=(1, 2)) for level in levels], 1) for images in (ours, theirs)]
    draw_bands(axis, levels, *above)
    axis.set(xscale="log", yscale="log", ylim=(1e-5, 1.5), xlabel="brightness", title="pixels above a brightness")


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows of equal keys."""
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    for row in ({key: key for key in widths}, *rows):
        print("  ".join(f"{row[key]!s:>{width}}" for key, width in widths.items()))


def main() -> None:
    """Compare, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared_data", type=Path, default=Path("../shared/data"), help="folder of original images")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/fidelity"), help="folder of the figures")
    parser.add_argument("--images", type=int, default=400, help="images of ours per class")
    parser.add_argument("--power", action="store_true", help="also measure what the tests on Model I would see")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    populations = read_populations(options.shared_data)
    rows = []
    for population in populations:
        ours = {name: population.ours(name, options.images) for name in population.originals}
        draw_figure(population, ours, options.output_dir / f"{population.name}.png")
        if population.noisy:
            ours["all"] = np.concatenate(list(ours.values()))
        for name, images in ours.items():
            rows += compare(population, name, images, random)
    print_table(rows)
    chances = [row["p"] for row in rows]
    print(f"{len(chances)} p values, the smallest {min(chances)}; {sum(p < 0.05 for p in chances)} below 0.05")
    power = power_of_the_tests(populations[0], options.images, random) if options.power else []
    if power:
        print("\nshare of wrong populations found out at p < 0.05, by statistic")
        print_table(power)
    print(json.dumps({"benchmark": "fidelity", "images": options.images, "results": rows, "power": power}))


if __name__ == "__main__":
    main()
