"""The command `make-release`: a training run becomes a release folder, the exact content of a Hub repository."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport
    from deeplense_hf.inference.predictor import Predictor

RELEASE_FILE = "release.json"
EVALUATIONS = "evaluations"
BASELINES = "baselines"
EXAMPLES = "examples"
FIGURES = "figures"
LARGEST_WEIGHTS = 10_000_000
# far from the seeds that people train with
EXAMPLE_SEED = 1_000_003


@dataclass
class ReleaseOptions:
    """Options of the command `make-release`."""

    model: str = field(
        metadata={
            "help": "folder of a finished training run, or of a release to be made again with today's code and card"
        }
    )
    name: str = field(metadata={"help": "name of the release, for example deeplense-swin"})
    output_dir: str = field(default="model_cards", metadata={"help": "folder of the release folders"})
    owner: str = field(default="ml4sci", metadata={"help": "user or organisation that it will belong to on the Hub"})
    evaluations: list[str] = field(
        default_factory=list,
        metadata={"help": "folders of further evaluations of this model, as scripts/evaluate_model.py writes them"},
    )
    baselines: list[str] = field(
        default_factory=list,
        metadata={"help": "folders of training runs of other models with the same test images, shown beside it"},
    )
    overwrite: bool = field(default=False, metadata={"help": "replace an earlier release of that name"})

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            ValueError: If they are no names on the Hub.
        """
        for option in ("name", "owner"):
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", getattr(self, option)):
                raise ValueError(f"{option}='{getattr(self, option)}' is no name on the Hub, as deeplense-swin is.")


@dataclass(frozen=True)
class Release:
    """What a release folder says of itself beside its other files.

    Attributes:
        name: Its name.
        repo_id: Its place on the Hub.
        example_classes: Classes of the example images, in the order of their files.
        example_answers: What the model answers for each: scores by class, or values by column.
        baseline_names: Names of the models that are shown beside it, in the order of their files.
    """

    name: str
    repo_id: str
    example_classes: tuple[str, ...]
    example_answers: tuple[dict[str, float], ...]
    baseline_names: tuple[str, ...]


def make_release(options: ReleaseOptions) -> None:
    """Assemble a release folder; the same run gives the same bytes.

    Args:
        options: Which run, which name, what is shown beside.

    Raises:
        FileNotFoundError: If the run or a file of it is missing.
        ValueError: If the scores are of other weights, a comparison is on other images, the weights are too large, or
            the folder holds something else than a release.
        OSError: If the folder cannot be written.
    """
    from transformers.utils.logging import disable_progress_bar

    from deeplense_hf.data.staging import check_replaceable, replaced_folder
    from deeplense_hf.inference.predictor import Predictor

    from .card import render_card

    disable_progress_bar()  # bars of loading and saving weights, which take no time
    run, folder = Path(options.model), Path(options.output_dir) / options.name
    check_replaceable(folder, RELEASE_FILE, "a release", options.overwrite, "--output_dir or --name")
    predictor = Predictor.from_pretrained(run, "cpu")
    report = _report_of(run / "metrics.json", predictor.fingerprint())
    with replaced_folder(folder) as place:
        _write_model(predictor, place)
        report = replace(report, model=f"{options.owner}/{options.name}")
        report.save(place / "metrics.json")
        earlier = sorted((run / EVALUATIONS).glob("*.json"))
        given = [Path(each) / "metrics.json" for each in options.evaluations]
        for number, evaluation in enumerate([*earlier, *given]):
            other = _report_of(evaluation, predictor.fingerprint())
            shown = replace(other, model=report.model, dataset=_public_name(other.dataset))
            shown.save(place / EVALUATIONS / f"{number}.json")
        runs = [*sorted((run / BASELINES).glob("*")), *map(Path, options.baselines)]
        baselines = [_write_baseline(path, report, place / BASELINES / str(n)) for n, path in enumerate(runs)]
        _copy_run(run, place)
        names, answers = _write_examples(predictor, report.dataset, place / EXAMPLES)
        about = Release(
            options.name, report.model, names, answers, tuple(_public_name(baseline.model) for baseline in baselines)
        )
        (place / RELEASE_FILE).write_text(json.dumps(asdict(about), indent=2) + "\n", encoding="utf-8")
        (place / "README.md").write_text(render_card(place), encoding="utf-8")
    print(
        f"written: {folder}; look at its README.md, then: python scripts/push_to_hub.py --folder {folder} "
        f"--repo_id {report.model} --dry_run"
    )


def read_release(folder: Path) -> Release:
    """Read what a release folder says of itself.

    Args:
        folder: The folder.

    Returns:
        The content of `release.json`.

    Raises:
        FileNotFoundError: If it is none.
        ValueError: If the file is damaged.
    """
    path = folder / RELEASE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no release folder: it lacks {RELEASE_FILE}; use scripts/make_release.py.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return Release(**parts)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); make the release again.") from None


def _report_of(path: Path, fingerprint: str) -> "EvaluationReport":
    """Read scores and check that they are of the model with this fingerprint."""
    from deeplense_hf.evaluation.report import EvaluationReport

    report = EvaluationReport.load(path)
    if report.model_fingerprint != fingerprint:
        raise ValueError(f"{path} holds the scores of other weights or another processor; evaluate the model again.")
    return report


def _write_baseline(run: Path, report: "EvaluationReport", place: Path) -> "EvaluationReport":
    """Copy the scores of another model, if they are on the same images, and what its training took."""
    from deeplense_hf.evaluation.report import EvaluationReport
    from deeplense_hf.training.record import RECORD_FILE

    other = EvaluationReport.load(run / "metrics.json")
    if other.dataset_fingerprint != report.dataset_fingerprint:
        raise ValueError(f"{run} is not on the test images of {report.model}, so they don't compare.")
    if not (run / RECORD_FILE).is_file():
        raise FileNotFoundError(f"{run} is no training run of this version: it lacks {RECORD_FILE}.")
    other = replace(other, model=_public_name(other.model))
    other.save(place / "metrics.json")
    (place / RECORD_FILE).write_bytes((run / RECORD_FILE).read_bytes())
    return other


def _public_name(path: str) -> str:
    """Return the last part of a local path, which is nobody's business; Hub ids and recipes stay as they are."""
    return Path(path).name if Path(path).is_absolute() or path.startswith((".", "~")) else path


def _write_model(predictor: "Predictor", place: Path) -> None:
    """Write weights, configuration, processor, and the code of all three and of the pipelines."""
    from transformers.dynamic_module_utils import custom_object_save

    from deeplense_hf.models.pipeline_deeplense import (
        DeepLenseImageClassificationPipeline,
        LensClassificationPipeline,
    )

    predictor.model.save_pretrained(place)
    predictor.processor.save_pretrained(place)
    weights = sum(path.stat().st_size for path in place.glob("*.safetensors"))
    if weights > LARGEST_WEIGHTS:
        raise ValueError(f"the weights take {weights:,} bytes, but a release at most {LARGEST_WEIGHTS:,}.")
    custom_object_save(LensClassificationPipeline, place)
    (place / "handler.py").write_bytes(Path(__file__).with_name("handler.py").read_bytes())
    (place / "requirements.txt").write_text("astropy>=6.0\n", encoding="utf-8")
    if predictor.task.name not in ("classification", "lens_finding"):
        # transformers loads no other head of code that is not installed
        return
    pipelines = {
        task: {"impl": f"pipeline_deeplense.{name}", "pt": ["AutoModelForImageClassification"], "type": "image"}
        for task, name in (
            ("image-classification", DeepLenseImageClassificationPipeline.__name__),
            ("lens-classification", LensClassificationPipeline.__name__),
        )
    }
    path = place / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps({**config, "custom_pipelines": pipelines}, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def _copy_run(run: Path, place: Path) -> None:
    """Copy figures, options without local paths, and what the training took."""
    import yaml

    from deeplense_hf.training.checkpoints import OPTIONS_FILE
    from deeplense_hf.training.record import RECORD_FILE

    for name in (OPTIONS_FILE, RECORD_FILE):
        if not (run / name).is_file():
            raise FileNotFoundError(f"{run} is no training run of this version: it lacks {name}.")
    options = yaml.safe_load((run / OPTIONS_FILE).read_text(encoding="utf-8"))
    options.pop("output_dir", None)
    for name in ("dataset", "model"):
        options[name] = _public_name(options[name])
    options["teachers"] = [_public_name(name) for name in options.get("teachers", [])]
    text = "# options of the training; repeat it with: deeplense-hf train --config training_options.yaml\n"
    (place / OPTIONS_FILE).write_text(text + yaml.safe_dump(options, sort_keys=False), encoding="utf-8")
    (place / RECORD_FILE).write_bytes((run / RECORD_FILE).read_bytes())
    (place / FIGURES).mkdir()
    for figure in sorted([*run.glob("*.png"), *(run / FIGURES).glob("*.png")]):
        (place / FIGURES / figure.name).write_bytes(figure.read_bytes())


def _write_examples(
    predictor: "Predictor", dataset: str, place: Path
) -> tuple[tuple[str, ...], tuple[dict[str, float], ...]]:
    """Simulate an image of every class that no training saw, as numbers and as pictures, and ask the model."""
    import numpy as np

    from deeplense_hf.data.display import picture
    from deeplense_hf.simulation.recipes import RECIPES
    from deeplense_hf.simulation.simulator import simulate_batch

    recipe = RECIPES.get(dataset.removeprefix("simulate:"))
    if recipe is None:
        return (), ()
    place.mkdir()
    names: Sequence[str] = recipe.class_names
    answers = []
    for name in names:
        batch = simulate_batch(recipe, name, [0], EXAMPLE_SEED)
        np.save(place / f"{name}.npy", batch.images[0])
        (place / f"{name}.png").write_bytes(picture(batch.images[0]))
        scales = np.array([recipe.instrument.pixel_scale], dtype=np.float32)
        table = predictor.task.table(predictor.answers(batch.images, scales))
        answers.append({column: _number(values[0]) for column, values in table.items() if _is_number(values[0])})
    return tuple(names), tuple(answers)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _number(value: float) -> float:
    """Round an answer, so that the last bits of another machine do not change the card."""
    return round(float(value), 4)
