"""What a card tells of images and answers, from the options and configurations in a release folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .card_training import Training
from .public_names import dataset_name, hub_id, is_streamed, recipe_of

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport


@dataclass(frozen=True)
class Facts:
    """What the files of a release or export say.

    Attributes:
        options: Options of the training.
        config: The model's configuration.
        processor: The processor's configuration.
        record: What the training took.
    """

    options: Mapping[str, Any]
    config: Mapping[str, Any]
    processor: Mapping[str, Any]
    record: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Facts":
        """Read the files.

        Args:
            folder: A release folder.

        Returns:
            What they say.
        """
        import yaml

        from deeplense_hf.training.checkpoints import OPTIONS_FILE
        from deeplense_hf.training.record import RECORD_FILE

        names = ("config.json", "preprocessor_config.json", RECORD_FILE)
        config, processor, record = (json.loads((folder / name).read_text(encoding="utf-8")) for name in names)
        options = yaml.safe_load((folder / OPTIONS_FILE).read_text(encoding="utf-8"))
        return cls(options, config, processor, record)

    @property
    def dataset(self) -> str:
        """Data set of the training, without saying that it was simulated meanwhile."""
        return dataset_name(str(self.options["dataset"]))

    @property
    def base_model(self) -> str | None:
        """Hub id of the model that the training started from."""
        return hub_id(str(self.options["model"]))

    @property
    def learnt_from(self) -> str:
        """Which images the model learnt from, in a sentence."""
        recipe = recipe_of(self.dataset)
        if recipe is None:
            return f"It was trained on images of `{self.dataset}`."
        description = recipe.description.rstrip(".")
        return (
            f"It was trained on simulated images alone, of the recipe `{self.dataset}` of deeplense_hf: {description}."
        )

    def subject(self, report: "EvaluationReport") -> str:
        """Return what a sentence about the task speaks of.

        Args:
            report: The scores.

        Returns:
            Classes, targets or the normal class.
        """
        from .card_texts import CLASSES

        if report.task == "regression":
            units = self.config.get("target_units") or []
            return ", ".join(
                f"`{name}`{f' [{unit}]' if unit else ''}" for name, unit in zip(self.targets, units, strict=True)
            )
        if report.task == "anomaly_detection":
            return str(self.options.get("normal_class", ""))
        names = list(self.config.get("id2label", {}).values())
        return ", ".join(f"{name} ({CLASSES[name]})" if name in CLASSES else name for name in names)

    def knowledge(self, report: "EvaluationReport") -> list[str]:
        """Return what the scores mean: of a regression beside those of a guess, of anomalies by what is seen.

        Args:
            report: The scores.

        Returns:
            Sentences.
        """
        from .card_texts import CONFIGURATION

        sentences = [CONFIGURATION] if self._mixes_configurations(report) else []
        means, deviations = self.config.get("target_mean") or [], self.config.get("target_std") or []
        for name, mean, deviation in zip(self.targets, means, deviations, strict=False):
            measured = report.metrics.get(f"r2_{name}")
            if report.task != "regression" or measured is None or measured.value is None:
                continue
            text = (
                f"Who always guesses the mean of `{name}` over the training systems, {mean:.3g}, has an RMSE of "
                f"{deviation:.3g} and an R2 of 0."
            )
            held = report.metrics.get(f"coverage_95_{name}")
            if held is not None and held.value is not None:
                text += (
                    f" Intervals of 95% have a width of their own, not 1.96 standard deviations; they held "
                    f"{held.value:.1%} of the test images' truths"
                    f"{', fewer than they promise' if held.high is not None and held.high < 0.95 else ''}."
                )
            if measured.low is not None and measured.low <= 0:
                text += " **The model is not shown to be better than that: it has not learnt this quantity.**"
            sentences.append(text)
        return sentences

    @staticmethod
    def _mixes_configurations(report: "EvaluationReport") -> bool:
        """Tell whether anomalies are told better among images of one configuration, whichever, than among all."""
        if report.task != "anomaly_detection" or not report.morphologies:
            return False
        _, name = report.report_rows[0]
        values = [part.metrics[name].value for part in report.morphologies]
        total = report.metrics[name].value
        return total is not None and all(value is not None and value > total for value in values)

    @property
    def targets(self) -> Sequence[str]:
        """Targets of a regression."""
        labels = self.config.get("id2label", {})
        return [labels[key] for key in sorted(labels, key=int)]

    @property
    def training(self) -> Training:
        """The training."""
        return Training(self.options, self.record)

    def takes(self) -> str:
        """Return which images the model was made for, in a sentence."""
        from deeplense_hf.simulation.scene_recipe import SceneRecipe

        from .card_texts import COLOUR_PICTURES

        bands, recipe = int(self.config.get("num_channels", 1)), recipe_of(self.dataset)
        text = f"It takes images of {bands} band{'s' if bands > 1 else ''}"
        if recipe is not None:
            # the camera of a published population is called as the population, which says nothing of its band
            text += f" ({recipe.instrument_name.replace('+', ', ')})" if isinstance(recipe, SceneRecipe) else ""
            side, scale = recipe.instrument.image_size, recipe.instrument.pixel_scale
            text += f"; those it learnt from have {side}x{side} pixels of {scale:g} arcsec"
        steps = []
        if crop := self.processor.get("crop_size"):
            steps.append(f"keeps the central {crop['height']}x{crop['width']} pixels")
        if size := self.processor.get("size"):
            steps.append(f"resamples to {size['height']}x{size['width']} pixels")
        steps.append(self._stretching())
        colours = self.processor.get("colour_bands")
        pictures = f" {COLOUR_PICTURES.format(*colours)}" if colours else ""
        return f"{text}. The model's processor {', '.join(steps)}.{pictures}"

    def _stretching(self) -> str:
        """Return how the processor brings brightness to what a network takes."""
        of_stretch = {"none": "keeps brightness", "sqrt": "takes the square root of brightness"}
        for name, words in (("log", "logarithm"), ("asinh", "asinh")):
            at = f"{self.processor.get('softening')} of the {self.processor.get('softening_unit')}"
            of_stretch[name] = f"takes the {words} of brightness, softened at {at},"
        of_normalisation = {
            "standard": "brings {} to mean 0 and standard deviation 1",
            "minmax": "brings {} to 0 - 1",
            "max": "divides {} by its maximum",
            "none": "scales nothing",
        }
        each = "each band of each image" if self.processor.get("per_band") else "each image"
        stretch, normalisation = (str(self.processor.get(name)) for name in ("stretch", "normalisation"))
        scaled = of_normalisation.get(normalisation, "scales {}").format(each)
        return f"{of_stretch.get(stretch, 'stretches')} and {scaled}, all in float32"

    def data(self) -> str:
        """Return where the images come from."""
        from deeplense_hf.simulation.scene_recipe import SceneRecipe

        from .card_texts import REAL_GALAXIES

        recipe = recipe_of(self.dataset)
        name, seed, count = self.dataset, self.options["simulation_seed"], self.options["images_per_class"]
        command = (
            f"`deeplense-hf simulate --recipe {name} --seed {seed} --images_per_class {count} --output_dir data/{name}`"
        )
        if recipe is None:
            return (
                f"The images of `{name}`. Where it has no validation and test split of its own, a tenth of the systems "
                f"each was held out (seed {seed}). A system never lies in two splits."
            )
        if is_streamed(str(self.options["dataset"])):
            origin = (
                f"Training images were simulated while training, no system twice: recipe `{name}`, seed {seed}. "
                f"Validation and test systems are those of {command} (a tenth of its systems each), and none of the "
                "stream is among them."
            )
        else:
            origin = (
                f"{command} makes the same images; 80% of the systems were trained on, 10% each were for validation "
                "and test."
            )
        galaxies = ""
        if isinstance(recipe, SceneRecipe) and recipe.galaxies is not None:
            galaxies = f" {REAL_GALAXIES.format(share=f'{recipe.real_galaxy_fraction:.0%}')}"
        return f"{origin} A system never lies in two splits. Simulated images are under the MIT licence.{galaxies}"

    def limits(self) -> list[str]:
        """Return what a user must know of the population that the model was trained on, in sentences."""
        from deeplense_hf.simulation.finding_recipe import FindingRecipe
        from deeplense_hf.simulation.populations import deflection_factor, einstein_radius
        from deeplense_hf.simulation.scene_recipe import SceneRecipe

        from .card_texts import EQUAL_CLASSES, SIMULATED

        recipe = recipe_of(self.dataset)
        if recipe is None:
            return []
        general = [SIMULATED]
        # a plain model of transformers does not say its task
        task = str(self.options.get("task"))
        if task == "classification":
            general.append(EQUAL_CLASSES)
        if isinstance(recipe, SceneRecipe):
            return general
        recipe = recipe.lenses if isinstance(recipe, FindingRecipe) else recipe
        radius = deflection_factor(recipe) * float(einstein_radius(recipe, recipe.lens_mass))
        elsewhere = {
            "classification": "its answers for it are confident and meaningless (the sliders of `deeplense-hf app` "
            "show it)",
            "lens_finding": "one that is much larger or smaller may be missed",
        }.get(task, "what it answers for one was not measured")
        differ = "the source's position and the substructure"
        if not recipe.noise_discarded:
            differ = "the source's position, the substructure and the noise"
        return [
            f"As published, every lens of `{recipe.name}` has the same Einstein radius ({radius:.2f} arcsec), "
            f"ellipticity, shear and redshifts; only {differ} differ. A lens that is larger or smaller, be it by a few "
            f"percent, is outside what the model knows, and {elsewhere}.",
            *general,
        ]
