"""The card of a released model: a function of the files in its folder, so that no number in it is typed."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport, Measurement

    from .card_texts import TaskTexts
    from .release import Release

_LICENCE = "mit"
_WATTS_OF_A_CORE = 10
# what a reader wants to see of the options; the others are in the file
_SHOWN_OPTIONS = (
    "dataset",
    "images_per_class",
    "simulation_seed",
    "model",
    "model_options",
    "task",
    "loss",
    "augmentation",
    "class_balance",
    "learning_rate",
    "max_steps",
    "num_train_epochs",
    "ema_decay",
    "teachers",
    "seed",
)


def render_card(folder: Path) -> str:
    """Write the card of a release folder from its other files.

    Args:
        folder: The folder, complete but for README.md.

    Returns:
        The text of README.md.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is damaged.
    """
    import yaml

    from deeplense_hf.evaluation.report import EvaluationReport
    from deeplense_hf.training.checkpoints import OPTIONS_FILE

    from .card_texts import TASK_TEXTS
    from .release import BASELINES, EVALUATIONS, EXAMPLES, FIGURES, read_release

    about = read_release(folder)
    report = EvaluationReport.load(folder / "metrics.json")
    others = [EvaluationReport.load(path) for path in sorted((folder / EVALUATIONS).glob("*.json"))]
    baselines = sorted((folder / BASELINES).glob("*"))
    options = yaml.safe_load((folder / OPTIONS_FILE).read_text(encoding="utf-8"))
    texts = TASK_TEXTS[report.task]
    figures = [
        {"title": path.stem.replace("_", " "), "path": f"{FIGURES}/{path.name}"}
        for path in sorted((folder / FIGURES).glob("*.png"))
    ]
    return render(
        "model_card_template.md",
        metadata=headline_metadata(
            about.repo_id,
            report,
            texts,
            about.example_classes,
            [
                {column.removeprefix("probability_"): score for column, score in answer.items()}
                for answer in about.example_answers
            ],
        ),
        name=about.name,
        task=texts,
        summary=summary(report),
        examples=[{"name": name, "picture": f"{EXAMPLES}/{name}.png"} for name in about.example_classes],
        example_names=", ".join(about.example_classes),
        population=_population(report.dataset),
        others=others,
        use=_use(about, report),
        report=report,
        results=results_table(report, others, [EvaluationReport.load(path / "metrics.json") for path in baselines]),
        baselines=[
            {"name": name, "effort": _effort(path)} for name, path in zip(about.baseline_names, baselines, strict=True)
        ],
        figures=figures,
        data=_data(report, options),
        training=_training(folder, options),
        options=[(name, _cell(options[name])) for name in _SHOWN_OPTIONS if options.get(name) not in (None, [], "")],
        versions=", ".join(f"{name} {version}" for name, version in report.library_versions.items()),
        cost=_cost(folder),
        limits=[*texts.limits, *limits_of_population(report.dataset)],
    )


def render(template: str, **facts: Any) -> str:
    """Fill in a template of this folder.

    Args:
        template: Name of its file.
        **facts: What it asks for.

    Returns:
        The text.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return str(environment.get_template(template).render(**facts)).rstrip() + "\n"


def headline_metadata(
    repo_id: str,
    report: "EvaluationReport",
    texts: "TaskTexts",
    example_classes: Sequence[str],
    example_answers: Sequence[Mapping[str, float]],
) -> str:
    """Return the YAML that the Hub reads.

    Args:
        repo_id: Place of the model.
        report: Its scores.
        texts: Sentences about its task.
        example_classes: Classes of the example pictures.
        example_answers: Scores of each by label.

    Returns:
        The text between the dashes.
    """
    from huggingface_hub import EvalResult, ModelCardData

    recipe = _recipe(report.dataset)
    dataset_id = f"{repo_id.partition('/')[0]}/deeplense-{recipe.partition(',')[0].replace('_', '-')}"
    results = [
        EvalResult(
            task_type=texts.pipeline_tag or report.task.replace("_", "-"),
            dataset_type=dataset_id,
            dataset_name=f"{recipe} (simulated)",
            dataset_split=report.split,
            metric_type=kind,
            metric_value=value,
            metric_name=name,
        )
        for name, kind in _headline(report, texts)
        if (value := report.metrics[name].value) is not None
    ]
    widget = [
        {
            "src": f"https://huggingface.co/{repo_id}/resolve/main/examples/{name}.png",
            "example_title": name,
            "output": [
                {"label": label, "score": score} for label, score in sorted(answer.items(), key=lambda item: -item[1])
            ],
        }
        for name, answer in zip(example_classes, example_answers, strict=True)
    ]
    more: dict[str, Any] = {"widget": widget} if texts.pipeline_tag and widget else {}
    data = ModelCardData(
        language="en",
        license=_LICENCE,
        library_name="transformers",
        pipeline_tag=texts.pipeline_tag,
        tags=[
            "deeplense",
            "astronomy",
            "gravitational-lensing",
            "dark-matter",
            "vision-transformer",
            report.task.replace("_", "-"),
        ],
        datasets=[dataset_id],
        metrics=[kind for _, kind in _headline(report, texts)],
        model_name=repo_id.partition("/")[2],
        eval_results=results,
        **more,
    )
    yaml_text: str = data.to_yaml()
    return yaml_text.strip()


def _headline(report: "EvaluationReport", texts: "TaskTexts") -> list[tuple[str, str]]:
    """Return the scores that stand in the metadata and their kinds."""
    if texts.headline:
        return [(name, kind) for name, kind in texts.headline if name in report.metrics]
    return [(name, name.partition("_")[0]) for _, name in report.report_rows if name.startswith(("mae_", "rmse_"))]


def _recipe(dataset: str) -> str:
    """Return the name of a data set without saying that it was simulated while training."""
    return dataset.removeprefix("simulate:")


def _population(dataset: str) -> str:
    """Return what the training images show."""
    from deeplense_hf.simulation.recipes import RECIPES

    name = _recipe(dataset)
    if name not in RECIPES:
        return f"`{name}`"
    description = RECIPES[name].description.rstrip(".")
    return f"recipe `{name}` of deeplense_hf ({description[:1].lower()}{description[1:]})"


def limits_of_population(dataset: str) -> list[str]:
    """Return what a user must know of the population that a model was trained on.

    Args:
        dataset: Name of the data set.

    Returns:
        Sentences.
    """
    from deeplense_hf.simulation.populations import einstein_radius
    from deeplense_hf.simulation.published_recipe import PublishedRecipe
    from deeplense_hf.simulation.recipes import RECIPES

    recipe = RECIPES.get(_recipe(dataset).partition(",")[0])
    if not isinstance(recipe, PublishedRecipe):
        return []
    radius = float(einstein_radius(recipe, recipe.lens_mass))
    return [
        f"As published, every lens of `{recipe.name}` has the same Einstein radius ({radius:.2f} arcsec), ellipticity, "
        "shear and redshifts; only the source's position, the substructure and the noise differ. A lens that is a few "
        "percent larger or smaller is outside what the model knows, and its answers for it are confident and "
        "meaningless (the sliders of `deeplense-hf app` show it)."
    ]


def summary(report: "EvaluationReport") -> str:
    """Return the most important score in a sentence."""
    title, name = report.report_rows[0]
    return f"{title} on {report.n:,} test images of new systems: {_number(report.metrics[name])}."


def _use(about: "Release", report: "EvaluationReport") -> str:
    """Return the five lines that use the model."""
    from deeplense_hf.tasks.registry import TASKS

    from .card_texts import USE_PACKAGE, USE_PIPELINE

    if report.task in ("classification", "lens_finding"):
        answer = "{'label': ..., 'score': ..., 'scores': {...}, 'prediction_set': [...]}"
        return USE_PIPELINE.format(repo_id=about.repo_id, answer=answer)
    answer = {
        "regression": "{'targets': {...: {'value': ..., 'standard_deviation': ..., 'low_95': ..., 'high_95': ...}}}",
        "anomaly_detection": "{'anomaly_score': ...}",
        "masked_image_modeling": "{'reconstruction_error': ...}",
    }[report.task]
    auto_class = TASKS[report.task].auto_class.__name__
    return USE_PACKAGE.format(repo_id=about.repo_id, answer=answer, auto_class=auto_class)


def results_table(
    report: "EvaluationReport", others: "Sequence[EvaluationReport]", baselines: "Sequence[EvaluationReport]"
) -> str:
    """Return the tables of scores."""
    from deeplense_hf.data.card import markdown_table

    columns = [report, *baselines]
    names = ["this model", *(baseline.model for baseline in baselines)]
    main = markdown_table(
        ("", *names),
        [
            (title, *(_number(column.metrics[name]) if name in column.metrics else "" for column in columns))
            for title, name in report.report_rows
        ],
    )
    parts = [f"On {_described(report)}:", main]
    title, name = report.report_rows[0]
    # of a class of its own, as what is no lens, a score is undefined
    defined = [part for part in report.morphologies if part.metrics[name].value is not None]
    if defined:
        seen = [(part.name, f"{part.n:,}", _number(part.metrics[name])) for part in defined]
        parts += ["By what is seen in the image:", markdown_table(("", "images", title), seen)]
    for other in others:
        rows = [(title, _number(other.metrics[name])) for title, name in other.report_rows]
        parts += [f"On {_described(other)}:", markdown_table(("", "this model"), rows)]
    return "\n\n".join(parts)


def _described(report: "EvaluationReport") -> str:
    """Return what was evaluated on."""
    counts = ", ".join(f"{count:,} {name}" for name, count in report.class_counts.items() if count)
    return f"`{_recipe(report.dataset)}`, split {report.split}, {report.n:,} images{f' ({counts})' if counts else ''}"


def _number(measurement: "Measurement") -> str:
    """Return a score with its interval."""
    if measurement.value is None:
        return "undefined"
    if measurement.low is None or measurement.high is None:
        return f"{measurement.value:.4f}"
    return f"{measurement.value:.4f} ({measurement.low:.4f} to {measurement.high:.4f})"


def _data(report: "EvaluationReport", options: dict[str, Any]) -> str:
    """Return where the images come from."""
    name, seed = _recipe(options["dataset"]), options["simulation_seed"]
    if options["dataset"].startswith("simulate:"):
        origin = (
            f"Training images were simulated while training, no system twice: recipe `{name}`, seed {seed}. Validation "
            f"and test systems are those of `deeplense-hf simulate --recipe {name} --seed {seed} --images_per_class "
            f"{options['images_per_class']}`, and none of the stream is among them."
        )
    else:
        origin = (
            f"`deeplense-hf simulate --recipe {name} --seed {seed} --images_per_class {options['images_per_class']}` "
            "makes the same images; 80% of the systems were trained on, 10% each were for validation and test."
        )
    return f"{origin} A system never lies in two splits. Simulated images and weights are under the MIT licence."


def _training(folder: Path, options: dict[str, Any]) -> str:
    """Return what was trained, in a sentence."""
    from safetensors import safe_open

    from deeplense_hf.models.presets import PRESETS

    with safe_open(folder / "model.safetensors", framework="np") as weights:
        # buffers of batch normalisation and of normal images are no parameters
        names = [name for name in weights.keys() if not name.endswith(_BUFFERS)]  # noqa: SIM118 - no mapping
        count = sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
    start = (
        f"`{options['model']}`, from random weights" if options["model"] in PRESETS else f"from `{options['model']}`"
    )
    return (
        f"{count:,} parameters in float32, {start}, by `deeplense-hf train`. Of the test images nothing was used "
        "before the results above."
    )


_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def _cost(folder: Path) -> str:
    """Return machine, time and energy."""
    from deeplense_hf.training.record import RECORD_FILE

    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    hours, processes, threads = record["seconds"] / 3600, record["processes"], record["threads"]
    time = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    cores = processes * threads
    machine = f"{processes} x {record['device']}"
    if threads:
        machine = f"{cores} core{'s' if cores > 1 else ''} of a CPU ({record['device']})"
    energy = "Energy was not measured."
    if threads:
        watt_hours = hours * cores * _WATTS_OF_A_CORE
        energy = (
            f"Energy was not measured; if a busy core draws {_WATTS_OF_A_CORE} W, it was about {watt_hours:.0f} Wh."
        )
    return f"{_effort(folder)} took {time} by the clock on {machine}, in {record['precision']}. {energy}"


def _effort(folder: Path) -> str:
    """Return how long a training was, in steps and images."""
    from deeplense_hf.training.record import RECORD_FILE

    record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    return f"{record['steps']:,} steps on {record['images']:,} images"


def _cell(value: Any) -> str:
    """Return an option as a cell of a table."""
    return f"`{' '.join(map(str, value)) if isinstance(value, list) else value}`"
