"""What a card tells of images and training, from the options, configuration and record in a release folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .public_names import dataset_name, hub_id, recipe_of

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport

_WATTS_OF_A_CORE = 10
# what a reader wants to see of the options of every task; the others are in the file
_SHOWN_OPTIONS = (
    "dataset",
    "images_per_class",
    "simulation_seed",
    "model",
    "model_options",
    "task",
    "augmentation",
    "learning_rate",
    "per_device_train_batch_size",
    "max_steps",
    "num_train_epochs",
    "ema_decay",
    "seed",
)


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
                f"`{name}`{f' [{unit}]' if unit else ''}" for name, unit in zip(self._targets, units, strict=True)
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
        for name, mean, deviation in zip(self._targets, means, deviations, strict=False):
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
                    f"{held.value:.1%} of the test images' truths."
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
    def _targets(self) -> Sequence[str]:
        """Targets of a regression."""
        labels = self.config.get("id2label", {})
        return [labels[key] for key in sorted(labels, key=int)]

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
        steps.append("stretches and scales, all in float32")
        colours = self.processor.get("colour_bands")
        pictures = f" {COLOUR_PICTURES.format(*colours)}" if colours else ""
        return f"{text}. The model's processor {', '.join(steps)}.{pictures}"

    def data(self) -> str:
        """Return where the images come from."""
        name, seed, count = self.dataset, self.options["simulation_seed"], self.options["images_per_class"]
        command = f"`deeplense-hf simulate --recipe {name} --seed {seed} --images_per_class {count}`"
        if recipe_of(name) is None:
            return (
                f"The images of `{name}`. Where it has no validation and test split of its own, a tenth of the systems "
                f"each was held out (seed {seed}). A system never lies in two splits."
            )
        if str(self.options["dataset"]).startswith("simulate:"):
            origin = (
                f"Training images were simulated while training, no system twice: recipe `{name}`, seed {seed}. "
                f"Validation and test systems are those of {command}, and none of the stream is among them."
            )
        else:
            origin = (
                f"{command} makes the same images; 80% of the systems were trained on, 10% each were for validation "
                "and test."
            )
        return f"{origin} A system never lies in two splits. Simulated images are under the MIT licence."

    def training(self, parameters: int) -> str:
        """Return what was trained, in a sentence.

        Args:
            parameters: Numbers that were learnt.

        Returns:
            The sentence.
        """
        from deeplense_hf.models.presets import PRESETS

        model = self.options["model"]
        start = f"`{model}`, from random weights" if model in PRESETS else f"from `{model}`"
        return (
            f"{parameters:,} parameters in float32, {start}, by `deeplense-hf train`. Of the test images nothing was "
            "used before the results above."
        )

    def shown_options(self, of_task: Sequence[str]) -> list[tuple[str, str]]:
        """Return the options that a reader wants to see.

        Args:
            of_task: Names of those that matter to this task.

        Returns:
            Names and values.
        """
        unused = () if recipe_of(self.dataset) else ("images_per_class", "simulation_seed")
        names = [name for name in (*_SHOWN_OPTIONS, *of_task) if name not in unused]
        wanted = [name for name in names if self.options.get(name) not in (None, [], "")]
        return [(name, _cell(self.options[name])) for name in wanted]

    def cost(self) -> str:
        """Return machine, time and energy."""
        record = self.record
        hours, processes, threads = record["seconds"] / 3600, record["processes"], record["threads"]
        time = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
        if hours < 1 / 60:
            time = f"{record['seconds']:.0f} seconds"
        cores = processes * threads
        machine = f"{processes} x {record['device']}"
        energy = "Energy was not measured."
        if threads:
            machine = f"{cores} core{'s' if cores > 1 else ''} of a CPU ({record['device']})"
            energy = (
                f"Energy was not measured; if a busy core draws {_WATTS_OF_A_CORE} W, it was about "
                f"{hours * cores * _WATTS_OF_A_CORE:.2g} Wh."
            )
        return f"{_effort(record)} took {time} by the clock on {machine}, in {record['precision']}. {energy}"

    @staticmethod
    def effort(folder: Path) -> str:
        """Return how long the training of a baseline was, in steps and images.

        Args:
            folder: The baseline's folder.

        Returns:
            Words.
        """
        from deeplense_hf.training.record import RECORD_FILE

        return _effort(json.loads((folder / RECORD_FILE).read_text(encoding="utf-8")))

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
        if self.config.get("task") == "classification":
            general.append(EQUAL_CLASSES)
        if isinstance(recipe, SceneRecipe):
            return general
        recipe = recipe.lenses if isinstance(recipe, FindingRecipe) else recipe
        radius = deflection_factor(recipe) * float(einstein_radius(recipe, recipe.lens_mass))
        elsewhere = {
            "classification": "its answers for it are confident and meaningless (the sliders of `deeplense-hf app` "
            "show it)",
            "lens_finding": "may be missed",
        }.get(str(self.config.get("task")), "what it answers for one was not measured")
        differ = "the source's position and the substructure"
        if not recipe.noise_discarded:
            differ = "the source's position, the substructure and the noise"
        return [
            f"As published, every lens of `{recipe.name}` has the same Einstein radius ({radius:.2f} arcsec), "
            f"ellipticity, shear and redshifts; only {differ} differ. A lens that is a few percent larger or smaller "
            f"is outside what the model knows, and {elsewhere}.",
            *general,
        ]


def _effort(record: Mapping[str, Any]) -> str:
    """Return how long a training was, in steps and images."""
    return f"{record['steps']:,} steps on {record['images']:,} images"


def _cell(value: Any) -> str:
    """Return an option as a cell of a table."""
    return f"`{' '.join(map(str, value)) if isinstance(value, list) else value}`"
