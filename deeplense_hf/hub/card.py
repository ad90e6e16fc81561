"""The card of a released model: a function of the files in its folder, so that no number in it is typed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .public_names import dataset_id, dataset_name

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from deeplense_hf.evaluation.report import EvaluationReport

    from .card_facts import Facts
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
    from .card_tables import results_table
    from .card_texts import TASK_TEXTS
    from .release import EVALUATIONS, FIGURES, read_release

    about = read_release(folder)
    report = EvaluationReport.load(folder / "metrics.json")
    others = [EvaluationReport.load(path) for path in sorted((folder / EVALUATIONS).glob("*.json"))]
    texts, facts = TASK_TEXTS[report.task], Facts.read(folder)
    baselines, trainings = facts.training.baselines(folder, about.baseline_names)
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
        use=_use(about, report, facts),
        report=report,
        results=results_table(report, others, baselines),
        baselines=trainings,
        figures=[(path.stem.replace("_", " "), f"{FIGURES}/{path.name}") for path in _pictures(folder / FIGURES)],
        data=facts.data(),
        training=facts.training.sentence(about.parameters),
        licence=about.licence,
        options=facts.training.shown_options(texts.options),
        versions=versions(report),
        cost=facts.training.cost(),
        limits=[*facts.limits(), *texts.limits],
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
    from huggingface_hub import ModelCardData

    owner, _, name = repo_id.partition("/")
    results, entries = _results(reports, texts, owner), _widget_entries(repo_id, widget)
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


def _results(reports: "Sequence[EvaluationReport]", texts: "TaskTexts", owner: str) -> "list[EvalResult]":
    """Return the scores that the Hub lists: of the first report, and of others on data sets of the Hub."""
    from huggingface_hub import EvalResult

    # the Hub asks for its own data sets, and takes all that is said of one for the same claim
    own = [each for each in reports[1:] if dataset_id(each.dataset, owner) == dataset_name(each.dataset)]
    return [
        EvalResult(
            task_type=texts.pipeline_tag or report.task.replace("_", "-"),
            dataset_type=dataset_id(report.dataset, owner) or dataset_name(report.dataset),
            dataset_name=dataset_name(report.dataset),
            dataset_split=report.split,
            metric_type=kind,
            metric_value=value,
            metric_name=title,
        )
        for report in (reports[0], *own)
        for title, score, kind in headline(report, texts)
        if (value := report.metrics[score].value) is not None
    ]


def _widget_entries(repo_id: str, widget: Sequence[tuple[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    """Return the example pictures of the widget with what is answered for each, the most probable class first."""
    return [
        {
            "src": f"https://huggingface.co/{repo_id}/resolve/main/examples/{example}.png",
            "example_title": example,
            "output": [
                {"label": label, "score": score} for label, score in sorted(answer.items(), key=lambda item: -item[1])
            ],
        }
        for example, answer in widget
    ]


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
    from .card_tables import shown
    from .card_texts import TASK_TEXTS

    rows = [(title, name) for title, name, _ in headline(report, TASK_TEXTS[report.task])[:2]]
    # a task without a headline has one score
    scores = "; ".join(f"{title} {shown(report.metrics[name])}" for title, name in rows or report.report_rows[:1])
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


def _use(about: "Release", report: "EvaluationReport", facts: "Facts") -> str:
    """Return the lines that use the model, with its answer for the example that they ask about."""
    import transformers

    from deeplense_hf.tasks.registry import TASKS

    from .card_texts import USE_PACKAGE, USE_PIPELINE
    from .release import EXAMPLES

    place = {"repo_id": about.repo_id, "imports": "", "image": '"image.fits"'}
    if about.examples:
        path = f"{EXAMPLES}/{about.examples[-1].name}.npy"
        place["imports"] = "from huggingface_hub import hf_hub_download\n"
        place["image"] = f'hf_hub_download("{about.repo_id}", "{path}")'
    answer = _answer_in_python(about.examples[-1].answer if about.examples else {}, facts)
    if report.task in ("classification", "lens_finding"):
        return USE_PIPELINE.format(answer=answer, **place)
    name = TASKS[report.task].auto_class.__name__
    room = "transformers" if hasattr(transformers, name) else "deeplense_hf"
    return USE_PACKAGE.format(answer=answer, auto_class=f"{room}.{name}", **place)


def _answer_in_python(answer: Mapping[str, float], facts: "Facts") -> str:
    """Return an answer as the pipeline gives it, for a comment."""
    if scores := probabilities(answer):
        label = max(scores, key=lambda name: scores[name])
        return str({"label": label, "score": scores[label], "scores": scores})[:-1] + ", 'prediction_set': [...]}"
    targets = [name for name in facts.targets if name in answer]
    if targets:
        units = dict(zip(targets, facts.config.get("target_units") or [""] * len(targets), strict=True))
        values = {
            name: {
                "value": answer[name],
                **{part: answer[f"{name}_{part}"] for part in ("standard_deviation", "low_95", "high_95")},
                "unit": units[name],
            }
            for name in targets
        }
        return str({"targets": values})
    return str(dict(answer)) if answer else "..."


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))
