"""The command `make-release`: a training run becomes a release folder, the exact content of a Hub repository."""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .examples import EXAMPLES, Example
from .public_names import check_hub_names, public_name

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport
    from deeplense_hf.inference.predictor import Predictor

RELEASE_FILE = "release.json"
EVALUATIONS = "evaluations"
BASELINES = "baselines"
FIGURES = "figures"
_LICENCE = "mit"
LARGEST_WEIGHTS = 10_000_000
# of a training: folders of the machine, and what belongs to an account, as every token that gives access to one
_PRIVATE_OPTIONS = re.compile(r"hub_.*|push_to_hub.*|output_dir|logging_dir|run_name|.*token")
# a token that a network has
_PUBLIC_TOKEN = "distillation_token"


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
    licence: str | None = field(
        default=None,
        metadata={
            "help": "licence of the weights, where it is another than mit, as of those that started from others; a "
            "release that is made again keeps its own"
        },
    )
    overwrite: bool = field(default=False, metadata={"help": "replace an earlier release of that name"})

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            ValueError: If they are no names on the Hub.
        """
        check_hub_names(name=self.name, owner=self.owner)


@dataclass(frozen=True)
class Release:
    """What a release folder says of itself beside its other files.

    Attributes:
        name: Its name.
        repo_id: Its place on the Hub.
        licence: Licence of its weights.
        parameters: Numbers that were learnt.
        examples: Example images.
        baseline_names: Names of the models that are shown beside it, in the order of their folders.
    """

    name: str
    repo_id: str
    licence: str
    parameters: int
    examples: tuple[Example, ...]
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
    from deeplense_hf.inference.ensemble import ENSEMBLE_FILE
    from deeplense_hf.inference.predictor import Predictor

    from .card import render_card
    from .examples import examples_of_release, write_examples

    if (Path(options.model) / ENSEMBLE_FILE).is_file():
        raise ValueError(f"{options.model} is an ensemble, which has no training to tell of; release its members.")
    disable_progress_bar()  # bars of loading and saving weights, which take no time
    run, folder = Path(options.model), Path(options.output_dir) / options.name
    check_replaceable(folder, RELEASE_FILE, "a release", options.overwrite, "--output_dir or --name")
    before = read_release(run) if (run / RELEASE_FILE).is_file() else None
    predictor = Predictor.from_pretrained(run, "cpu")
    report = _report_of(run / "metrics.json", predictor.fingerprint())
    with replaced_folder(folder) as place:
        _write_model(predictor, place)
        report = replace(report, model=f"{options.owner}/{options.name}", dataset=public_name(report.dataset))
        report.save(place / "metrics.json")
        earlier = sorted((run / EVALUATIONS).glob("*.json"))
        given = [Path(each) / "metrics.json" for each in options.evaluations]
        for number, evaluation in enumerate([*earlier, *given]):
            other = _report_of(evaluation, predictor.fingerprint())
            shown = replace(other, model=report.model, dataset=public_name(other.dataset))
            shown.save(place / EVALUATIONS / f"{number:03}.json")
        runs = [*sorted((run / BASELINES).glob("*")), *map(Path, options.baselines)]
        baselines = [write_baseline(path, report, place / BASELINES / f"{n:03}") for n, path in enumerate(runs)]
        copy_training(run, place)
        _copy_figures(run, place / FIGURES)
        about = Release(
            options.name,
            report.model,
            options.licence or (before.licence if before else _LICENCE),
            sum(parameter.numel() for parameter in predictor.model.parameters()),
            write_examples(
                predictor,
                report.dataset,
                examples_of_release(run, before.examples) if before else _new_images(predictor, report),
                place / EXAMPLES,
                before.examples if before else (),
            ),
            tuple(baselines),
        )
        (place / RELEASE_FILE).write_text(json.dumps(asdict(about), indent=2, allow_nan=False) + "\n", encoding="utf-8")
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
        values["examples"] = tuple(Example(**each) for each in values["examples"])
        values["baseline_names"] = tuple(values["baseline_names"])
        return Release(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}); make the release again.") from None


def _report_of(path: Path, fingerprint: str) -> "EvaluationReport":
    """Read scores and check that they are of the model with this fingerprint."""
    from deeplense_hf.evaluation.report import EvaluationReport

    report = EvaluationReport.load(path)
    if report.model_fingerprint != fingerprint:
        raise ValueError(f"{path} holds the scores of other weights or another processor; evaluate the model again.")
    return report


def write_baseline(run: Path, report: "EvaluationReport", place: Path) -> str:
    """Copy the scores of another model, if they are on the same images, and how it was trained.

    Args:
        run: Its training run, or its folder in an earlier release.
        report: Scores on the images that its own must be on.
        place: Where to.

    Returns:
        Its name.

    Raises:
        ValueError: If it was tested on other images.
        FileNotFoundError: If scores or record are missing.
    """
    from deeplense_hf.evaluation.report import EvaluationReport
    from deeplense_hf.training.checkpoints import OPTIONS_FILE
    from deeplense_hf.training.record import RECORD_FILE

    other = EvaluationReport.load(run / "metrics.json")
    if other.dataset_fingerprint != report.dataset_fingerprint:
        raise ValueError(f"{run} is not on the test images of {report.model}, so they don't compare.")
    if not (run / RECORD_FILE).is_file():
        raise FileNotFoundError(f"{run} is no training run of this version: it lacks {RECORD_FILE}.")
    other = replace(other, model=public_name(other.model), dataset=report.dataset)
    other.save(place / "metrics.json")
    (place / RECORD_FILE).write_bytes((run / RECORD_FILE).read_bytes())
    # earlier releases kept none of their baselines
    if (run / OPTIONS_FILE).is_file():
        _copy_options(run, place)
    return other.model


def _new_images(predictor: "Predictor", report: "EvaluationReport") -> Any:
    """Return example images of the classes that were tested."""
    from .examples import example_images

    tested = [name for name, count in report.class_counts.items() if count]
    return example_images(report.dataset, tested, getattr(predictor.task, "target_names", ()))


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
    # of a model that knows no classes too, of which it says so; transformers' own would answer by a head of chance
    names = {"image-classification": DeepLenseImageClassificationPipeline.__name__}
    if predictor.task.name in ("classification", "lens_finding"):
        # transformers loads no other head of code that is not installed
        names["lens-classification"] = LensClassificationPipeline.__name__
    pipelines = {
        task: {"impl": f"pipeline_deeplense.{name}", "pt": ["AutoModelForImageClassification"], "type": "image"}
        for task, name in names.items()
    }
    path = place / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps({**config, "custom_pipelines": pipelines}, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def is_private_option(name: str) -> bool:
    """Tell whether an option of a training is never published.

    Args:
        name: Name of the option.

    Returns:
        True for what belongs to a machine or an account.
    """
    return name != _PUBLIC_TOKEN and _PRIVATE_OPTIONS.fullmatch(name) is not None


def copy_training(run: Path, place: Path) -> None:
    """Copy the options of a training, without what belongs to a machine or an account, and what it took.

    Args:
        run: Folder of the training.
        place: Where to.

    Raises:
        FileNotFoundError: If one is missing.
    """
    from deeplense_hf.training.checkpoints import OPTIONS_FILE
    from deeplense_hf.training.record import RECORD_FILE

    for name in (OPTIONS_FILE, RECORD_FILE):
        if not (run / name).is_file():
            raise FileNotFoundError(f"{run} is no training run of this version: it lacks {name}.")
    _copy_options(run, place)
    (place / RECORD_FILE).write_bytes((run / RECORD_FILE).read_bytes())


def _copy_options(run: Path, place: Path) -> None:
    """Copy the options of a training, without what belongs to a machine or an account."""
    import yaml

    from deeplense_hf.training.checkpoints import OPTIONS_FILE

    given = yaml.safe_load((run / OPTIONS_FILE).read_text(encoding="utf-8"))
    options = {name: value for name, value in given.items() if not is_private_option(name)}
    for name in ("dataset", "model"):
        options[name] = public_name(options[name])
    options["teachers"] = [public_name(name) for name in options.get("teachers", [])]
    for name, value in options.items():
        if isinstance(value, str) and Path(value).is_absolute():
            options[name] = public_name(value)
    text = "# options of the training; repeat it with: deeplense-hf train --config training_options.yaml\n"
    (place / OPTIONS_FILE).write_text(text + yaml.safe_dump(options, sort_keys=False), encoding="utf-8")


def _copy_figures(run: Path, place: Path) -> None:
    """Copy the figures of a run, or of an earlier release."""
    place.mkdir()
    for figure in sorted([*run.glob("*.png"), *(run / FIGURES).glob("*.png")]):
        (place / figure.name).write_bytes(figure.read_bytes())
