"""The card of a released model: a function of the files in its folder, so that no number in it is typed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .public_names import dataset_id, dataset_name

if TYPE_CHECKING:
    from deeplense_hf.evaluation.report import EvaluationReport, Measurement

    from .card_texts import TaskTexts
    from .release import Release


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
    from deeplense_hf.evaluation.report import EvaluationReport

    from .card_facts import Facts
    from .card_texts import EVERY_IMAGE, TASK_TEXTS
    from .release import BASELINES, EVALUATIONS, FIGURES, read_release

    about = read_release(folder)
    report = EvaluationReport.load(folder / "metrics.json")
    others = [EvaluationReport.load(path) for path in sorted((folder / EVALUATIONS).glob("*.json"))]
    baselines = sorted((folder / BASELINES).glob("*"))
    texts, facts = TASK_TEXTS[report.task], Facts.read(folder)
    widget = [(each.name, probabilities(each.picture_answer)) for each in about.examples if each.picture_answer]
    return render(
        "model_card_template.md",
        metadata=headline_metadata(
            about.repo_id, [report, *others], texts, widget, licence=about.licence, base_model=facts.base_model
        ),
        name=about.name,
        answers=texts.answers.format(subject=facts.subject(report)),
        task=texts,
        summaries=[summary(each) for each in (report, *others)],
        knowledge=facts.knowledge(report),
        examples=[_example(each) for each in about.examples],
        pictures_are_asked=all(each.picture_answer for each in about.examples),
        learnt_from=facts.learnt_from,
        takes=facts.takes(),
        others=others,
        use=_use(about, report),
        report=report,
        results=results_table(report, others, [EvaluationReport.load(path / "metrics.json") for path in baselines]),
        baselines=[(name, facts.effort(path)) for name, path in zip(about.baseline_names, baselines, strict=True)],
        figures=[(path.stem.replace("_", " "), f"{FIGURES}/{path.name}") for path in _pictures(folder / FIGURES)],
        data=facts.data(),
        training=facts.training(about.parameters),
        licence=about.licence,
        options=facts.shown_options(texts.options),
        versions=versions(report),
        cost=facts.cost(),
        limits=[*facts.limits(), *texts.limits, EVERY_IMAGE],
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
    reports: "Sequence[EvaluationReport]",
    texts: "TaskTexts",
    widget: Sequence[tuple[str, Mapping[str, float]]],
    *,
    licence: str,
    base_model: str | None = None,
) -> str:
    """Return the YAML that the Hub reads.

    Args:
        repo_id: Place of the model.
        reports: Its scores, those on its own population first.
        texts: Sentences about its task.
        widget: Names of the pictures that it takes, with its scores of each by label.
        licence: Licence of the weights.
        base_model: Hub id of the model that it started from.

    Returns:
        The text between the dashes.
    """
    from huggingface_hub import EvalResult, ModelCardData

    owner, _, name = repo_id.partition("/")
    results = [
        EvalResult(
            task_type=texts.pipeline_tag or report.task.replace("_", "-"),
            dataset_type=dataset_id(report.dataset, owner) or dataset_name(report.dataset),
            dataset_name=dataset_name(report.dataset),
            # else the Hub takes all that is said of one data set for the same claim
            dataset_config=dataset_name(report.dataset).partition(", ")[2] or None,
            dataset_split=report.split,
            metric_type=kind,
            metric_value=value,
            metric_name=title,
        )
        for report in reports
        for title, score, kind in headline(report, texts)
        if (value := report.metrics[score].value) is not None
    ]
    entries = [
        {
            "src": f"https://huggingface.co/{repo_id}/resolve/main/examples/{example}.png",
            "example_title": example,
            "output": [
                {"label": label, "score": score} for label, score in sorted(answer.items(), key=lambda item: -item[1])
            ],
        }
        for example, answer in widget
    ]
    more: dict[str, Any] = {"widget": entries} if texts.pipeline_tag and entries else {}
    if results:
        kinds = [kind for _, _, kind in headline(reports[0], texts)]
        more |= {"metrics": list(dict.fromkeys(kinds)), "model_name": name, "eval_results": results}
    if learnt := dataset_id(reports[0].dataset, owner):
        more["datasets"] = [learnt]
    if base_model:
        more["base_model"] = base_model
    data = ModelCardData(
        language="en",
        license=licence,
        library_name="transformers",
        pipeline_tag=texts.pipeline_tag,
        tags=[
            "deeplense",
            "astronomy",
            "gravitational-lensing",
            "dark-matter",
            "vision-transformer",
            reports[0].task.replace("_", "-"),
        ],
        **more,
    )
    yaml_text: str = data.to_yaml()
    return yaml_text.strip()


def headline(report: "EvaluationReport", texts: "TaskTexts") -> list[tuple[str, str, str]]:
    """Return the scores that stand first.

    Args:
        report: The scores.
        texts: Sentences about its task.

    Returns:
        Titles, names and kinds.
    """
    return [
        (title, name, kind)
        for beginning, kind in texts.headline
        for title, name in report.report_rows
        if name == beginning or (beginning.endswith("_") and name.startswith(beginning))
    ]


def probabilities(answer: Mapping[str, float]) -> dict[str, float]:
    """Return the scores by class of a classifier's answer; nothing of other answers.

    Args:
        answer: Answer by column.

    Returns:
        Scores by class.
    """
    from deeplense_hf.tasks.classification import PROBABILITY_OF

    return {
        name.removeprefix(PROBABILITY_OF): score for name, score in answer.items() if name.startswith(PROBABILITY_OF)
    }


def summary(report: "EvaluationReport") -> str:
    """Return the most important scores in a sentence.

    Args:
        report: The scores.

    Returns:
        The sentence.
    """
    from .card_texts import TASK_TEXTS

    rows = [(title, name) for title, name, _ in headline(report, TASK_TEXTS[report.task])[:2]]
    # a task without a headline has one score
    scores = "; ".join(f"{title} {_number(report.metrics[name])}" for title, name in rows or report.report_rows[:1])
    return f"On {report.n:,} images of `{dataset_name(report.dataset)}`, split {report.split}: {scores}."


def versions(report: "EvaluationReport") -> str:
    """Return what computed the numbers."""
    return ", ".join(f"{name} {version}" for name, version in report.library_versions.items())


def _example(example: Any) -> dict[str, str]:
    """Return an example as the card shows it, with the answer for the picture where the model takes it."""
    from .release import EXAMPLES

    answers = example.picture_answer or example.answer
    scores = sorted(probabilities(answers).items(), key=lambda item: -item[1])
    answer = ", ".join(f"{name} {value:g}" for name, value in scores or answers.items())
    truth = ", ".join(f"{name} {value:g}" for name, value in example.truth.items())
    picture = f"{EXAMPLES}/{example.name}.png"
    return {"name": example.name, "picture": picture, "answer": answer, "truth": truth}


def _use(about: "Release", report: "EvaluationReport") -> str:
    """Return the lines that use the model."""
    import transformers

    from deeplense_hf.tasks.registry import TASKS

    from .card_texts import USE_PACKAGE, USE_PIPELINE
    from .release import EXAMPLES

    place = {"repo_id": about.repo_id, "imports": "", "image": '"image.fits"'}
    if about.examples:
        path = f"{EXAMPLES}/{about.examples[-1].name}.npy"
        place["imports"] = "from huggingface_hub import hf_hub_download\n"
        place["image"] = f'hf_hub_download("{about.repo_id}", "{path}")'
    if report.task in ("classification", "lens_finding"):
        answer = "{'label': ..., 'score': ..., 'scores': {...}, 'prediction_set': [...]}"
        return USE_PIPELINE.format(answer=answer, **place)
    answer = {
        "regression": "{'targets': {...: {'value': ..., 'standard_deviation': ..., 'low_95': ..., 'high_95': ...}}}",
        "anomaly_detection": "{'anomaly_score': ...}",
        "masked_image_modeling": "{'reconstruction_error': ...}",
    }[report.task]
    name = TASKS[report.task].auto_class.__name__
    room = "transformers" if hasattr(transformers, name) else "deeplense_hf"
    return USE_PACKAGE.format(answer=answer, auto_class=f"{room}.{name}", **place)


def results_table(
    report: "EvaluationReport", others: "Sequence[EvaluationReport]", baselines: "Sequence[EvaluationReport]"
) -> str:
    """Return the tables of scores.

    Args:
        report: Those on the model's own population.
        others: Those on other images.
        baselines: Those of other models on the images of the first.

    Returns:
        Markdown.
    """
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
        sentence = f" {other.description.removesuffix('.')}." if other.description else ""
        parts += [f"On {_described(other)}.{sentence}", markdown_table(("", "this model"), rows)]
    return "\n\n".join(parts)


def _described(report: "EvaluationReport") -> str:
    """Return what was evaluated on."""
    counts = ", ".join(f"{count:,} {name}" for name, count in report.class_counts.items() if count)
    return (
        f"`{dataset_name(report.dataset)}`, split {report.split}, {report.n:,} images{f' ({counts})' if counts else ''}"
    )


def _number(measurement: "Measurement") -> str:
    """Return a score with its interval, if resamples differ at all."""
    if measurement.value is None:
        return "undefined"
    if measurement.low is None or measurement.high is None or measurement.low == measurement.high:
        return f"{measurement.value:.4f}"
    return f"{measurement.value:.4f} ({measurement.low:.4f} to {measurement.high:.4f})"


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))
