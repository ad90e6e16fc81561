"""The one schema of lens images: columns, units, class names. Column names are spelled nowhere else."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Features

IMAGE = "image"
LABEL = "label"
SYSTEM_ID = "system_id"
PIXEL_SCALE = "pixel_scale"
INSTRUMENT = "instrument"
RECIPE = "recipe"
SEED = "seed"
SYSTEM_INDEX = "system_index"
SOURCE_FILE = "source_file"
IMAGE_CONFIGURATION = "image_configuration"

UNLABELLED = -1
"""Label of an image whose class is not known, as Hugging Face has it."""


@dataclass(frozen=True)
class Column:
    """A column beside image and label.

    Attributes:
        dtype: Type as `datasets.Value` names it.
        unit: Unit, empty for pure numbers and texts.
        description: What it holds.
    """

    dtype: str
    unit: str
    description: str


PROVENANCE: dict[str, Column] = {
    SYSTEM_ID: Column("string", "", "lens system; its images never lie in two splits"),
    PIXEL_SCALE: Column("float32", "arcsec/pixel", "side of a pixel on the sky"),
    INSTRUMENT: Column("string", "", "camera that took, or is simulated to have taken, the image"),
    RECIPE: Column("string", "", "recipe of a simulated system"),
    SEED: Column("int64", "", "seed of a simulated data set"),
    SYSTEM_INDEX: Column("int64", "", "number of a simulated system within its class"),
    SOURCE_FILE: Column("string", "", "file an imported image was read from"),
}

PHYSICAL_PARAMETERS: dict[str, Column] = {
    "log10_axion_mass_ev": Column("float32", "log10 eV", "axion mass"),
    "vortex_mass": Column("float64", "Msun", "mass of the vortex"),
    "vortex_mass_fraction": Column("float32", "", "mass of the vortex in units of the mass of the lens"),
    "vortex_x": Column("float32", "arcsec", "centre of the vortex along x, from the lens"),
    "vortex_y": Column("float32", "arcsec", "centre of the vortex along y, from the lens"),
    "vortex_core_radius": Column("float32", "arcsec", "core radius of the vortex"),
    "vortex_half_length": Column("float32", "arcsec", "half length of the vortex"),
    "vortex_angle": Column("float32", "rad", "angle of the vortex from the x axis"),
    "subhalo_count": Column("int32", "", "number of subhaloes"),
    "subhalo_total_mass": Column(
        "float64", "Msun", "sum of the subhalo masses: bound in realistic recipes, otherwise at infall"
    ),
    "subhalo_mass_fraction": Column(
        "float32", "", "mass in subhaloes in units of the lens's, which is taken to have a mean convergence of 0.5"
    ),
    "expected_subhalo_mass_fraction": Column("float32", "", "the same as drawn for the population of this lens"),
    "einstein_radius": Column("float32", "arcsec", "Einstein radius of the main lens, as it deflects"),
    "ellipticity_1": Column("float32", "", "ellipticity of the main lens, first component"),
    "ellipticity_2": Column("float32", "", "ellipticity of the main lens, second component"),
    "shear_1": Column("float32", "", "external shear, first component"),
    "shear_2": Column("float32", "", "external shear, second component"),
    "lens_x": Column("float32", "arcsec", "centre of the lens along x, from the image's centre"),
    "lens_y": Column("float32", "arcsec", "centre of the lens along y, from the image's centre"),
    "velocity_dispersion": Column(
        "float32", "km/s", "velocity dispersion of an isothermal lens of that Einstein radius"
    ),
    "lens_magnitude": Column("float32", "mag", "apparent magnitude of the lens's light, in the first band"),
    "lens_light_radius": Column("float32", "arcsec", "half-light radius of the lens's light"),
    "lens_sersic_index": Column("float32", "", "Sersic index of the lens's light"),
    "redshift_lens": Column("float32", "", "redshift of the lens"),
    "redshift_source": Column("float32", "", "redshift of the source"),
    "source_x": Column("float32", "arcsec", "unlensed position of the source along x, from the lens"),
    "source_y": Column("float32", "arcsec", "unlensed position of the source along y, from the lens"),
    "source_radius": Column("float32", "arcsec", "half-light radius of the source"),
    "sersic_index": Column("float32", "", "Sersic index of the source"),
    "source_ellipticity_1": Column("float32", "", "ellipticity of the source, first component"),
    "source_ellipticity_2": Column("float32", "", "ellipticity of the source, second component"),
    "source_magnitude": Column("float32", "mag", "unlensed apparent magnitude of the source, in the first band"),
    "source_galaxy": Column("string", "", "name of the real galaxy that is the source"),
    "quasar_magnitude": Column("float32", "mag", "unlensed apparent magnitude of the quasar, in the first band"),
    "exposure_time": Column("float32", "s", "exposure time"),
    "background_rms": Column("float32", "counts/s", "standard deviation of the sky background of a pixel"),
    "number_of_images": Column(
        "int32", "", "images of the source's centre: by the smooth lens, of a quasar by the whole one"
    ),
    IMAGE_CONFIGURATION: Column("string", "", "what is seen: none, single, double, quad, arc or ring"),
    "crosses_caustic": Column("bool", "", "whether the source's half-light ellipse crosses the tangential caustic"),
    "arc_length": Column("float32", "arcsec", "length of the longest connected arc"),
    "signal_to_noise": Column("float32", "", "matched-filter signal-to-noise ratio of the lensed source"),
    "substructure_visibility": Column(
        "float32", "", "matched-filter signal-to-noise ratio of the image less that without substructure"
    ),
    "flux_ratio_anomaly": Column(
        "float32", "", "largest change of a quasar image's flux ratio by substructure, natural logarithm"
    ),
    "look_alike": Column("string", "", "what looks like a lens and is none"),
}

COLUMNS: dict[str, Column] = PROVENANCE | PHYSICAL_PARAMETERS
"""All columns beside image and label; every one may be null but `system_id`."""

_CLASSES_OF_PARAMETERS = (("log10_axion_mass", "axion"), ("vortex_", "axion"), ("subhalo_", "cdm"))


def class_with(column: str) -> str | None:
    """Return the only class that has a physical parameter.

    Args:
        column: Name of the column.

    Returns:
        The class; None where more than one has it.
    """
    return next((name for start, name in _CLASSES_OF_PARAMETERS if column.startswith(start)), None)


LABEL_SETS: dict[str, tuple[str, ...]] = {
    "substructure": ("no_sub", "cdm", "axion"),
    "substructure_presence": ("no_sub", "sub"),
    "lens_finding": ("non_lens", "lens"),
}

CLASS_ALIASES: dict[str, str] = {
    **dict.fromkeys(("no_sub", "no", "nosub", "no_substructure", "nosubstructure", "no_subhalo", "smooth"), "no_sub"),
    **dict.fromkeys(("cdm", "sphere", "spheres", "spherical", "subhalo", "subhalos", "subhaloes", "particle"), "cdm"),
    **dict.fromkeys(("axion", "axions", "vort", "vortex", "vortices"), "axion"),
    **dict.fromkeys(("sub", "substructure", "with_sub"), "sub"),
    **dict.fromkeys(("lens", "lenses", "lensed"), "lens"),
    **dict.fromkeys(("non_lens", "nonlens", "non_lenses", "nonlenses", "non_lensed", "nonlensed"), "non_lens"),
    **dict.fromkeys(("not_lens", "not_lensed", "no_lens", "no_lenses", "nolens", "unlensed"), "non_lens"),
}
"""Names of class folders found in the wild, in lower case with `_` between words."""

SPLIT_ALIASES: dict[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SPLITS = ("train", "validation", "test")


def normalise_name(name: str) -> str:
    """Bring the name of a folder to lower case with `_` between words.

    Args:
        name: Name of a folder.

    Returns:
        For example `non_lenses` for `Non-Lenses`.
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def class_and_split(folder: str, aliases: Mapping[str, str] | None = None) -> tuple[str | None, str | None]:
    """Read class and split off the name of one folder.

    Args:
        folder: Name of a folder, for example `vort`, `val`, `train_nonlenses` or `Model_I_test`.
        aliases: Further names of classes, normalised, looked up first.

    Returns:
        The schema's names of class and split, None for what the name does not say.
    """
    known = {**CLASS_ALIASES, **(aliases or {})}
    name = normalise_name(folder)
    if name in known:
        return known[name], None
    if name in SPLIT_ALIASES:
        return None, SPLIT_ALIASES[name]
    first, _, rest = name.partition("_")
    if first in SPLIT_ALIASES and rest:
        return known.get(rest), SPLIT_ALIASES[first]
    rest, _, last = name.rpartition("_")
    if last in SPLIT_ALIASES:
        return known.get(rest), SPLIT_ALIASES[last]
    return None, None


def place_of(parts: tuple[str, ...], aliases: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Read class and split off the folders of a file; the innermost one that says something counts.

    Args:
        parts: Folders from the outermost to the innermost.
        aliases: Further names of classes.

    Returns:
        Class and split, None for what no folder says.
    """
    found_class = found_split = None
    for folder in reversed(parts):
        name, split = class_and_split(folder, aliases)
        found_class, found_split = found_class or name, found_split or split
    return found_class, found_split


def known_class_folders() -> str:
    """List the names of class folders, for messages.

    Returns:
        For example `no_sub (no, nosub, ...), cdm (sphere, spheres, ...)`: every class and some of its spellings.
    """
    texts = []
    for name in dict.fromkeys(CLASS_ALIASES.values()):
        spellings = [alias for alias, meant in CLASS_ALIASES.items() if meant == name and alias != name]
        texts.append(f"{name} ({', '.join(spellings[:2])}, ...)")
    return ", ".join(texts)


def label_set(found: Iterable[str]) -> tuple[str, ...]:
    """Return the declared classes that cover the found ones.

    Args:
        found: Names of classes.

    Returns:
        The smallest entry of `LABEL_SETS` that holds all of them, in its order, the first of equal ones; the names
        themselves, sorted, if they are no declared classes at all; nothing if there are none.

    Raises:
        ValueError: If they belong to different tasks.
    """
    names = set(found)
    if not names:
        return ()
    fitting = [classes for classes in LABEL_SETS.values() if names <= set(classes)]
    if names == {"no_sub"}:
        # by itself it says no more than that substructure is the subject
        return LABEL_SETS["substructure"]
    if fitting:
        return min(fitting, key=len)
    declared = {name for classes in LABEL_SETS.values() for name in classes}
    if not names & declared:
        return tuple(sorted(names))
    choices = "; ".join(", ".join(classes) for classes in LABEL_SETS.values())
    raise ValueError(
        f"the classes {', '.join(sorted(names))} belong to different tasks; import them one by one, or rename them "
        f"with --aliases to one of: {choices}."
    )


def features(class_names: Sequence[str], bands: int, height: int, width: int) -> "Features":
    """Return the features of a data set.

    Args:
        class_names: Classes in the order of their labels; empty for unlabelled images.
        bands: Bands of an image.
        height: Height of an image [pixels].
        width: Width of an image [pixels].

    Returns:
        Image, label and all `COLUMNS`.
    """
    from datasets import Array3D, ClassLabel, Features, Value

    return Features(
        {
            IMAGE: Array3D((bands, height, width), "float32"),
            LABEL: ClassLabel(names=list(class_names)),
            **{name: Value(column.dtype) for name, column in COLUMNS.items()},
        }
    )
