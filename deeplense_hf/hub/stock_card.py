"""The card of an export without our code: a function of the files in its folder."""

import json
from pathlib import Path


def render_stock_card(folder: Path) -> str:
    """Write the card of an export from its other files.

    Args:
        folder: The folder, complete but for README.md.

    Returns:
        The text of README.md.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is damaged.
    """
    from deeplense_hf.evaluation.report import EvaluationReport

    from .card import headline_metadata, render, summary, versions
    from .card_facts import Facts
    from .card_tables import results_table
    from .card_texts import ANY_PICTURE, OF_OUR_PIPELINE, TASK_TEXTS
    from .stock_export import STOCK_FILE, StockExport

    try:
        about = StockExport(**json.loads((folder / STOCK_FILE).read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / STOCK_FILE} is damaged ({error}); export the model again.") from None
    report = EvaluationReport.load(folder / "metrics.json")
    texts, facts = TASK_TEXTS[report.task], Facts.read(folder)
    baselines, trainings = facts.training.baselines(folder, about.baseline_names)
    widget = list(zip(about.example_classes, about.example_answers, strict=True))
    return render(
        "stock_card_template.md",
        metadata=headline_metadata(about.repo_id, [report], texts, widget, licence="mit"),
        about=about,
        owner=about.repo_id.partition("/")[0],
        answers=texts.answers.format(subject=facts.subject(report)),
        model_type=facts.config["model_type"],
        summary=summary(report),
        processing=[(name, repr(value).replace("'", '"')) for name, value in about.processing.items()],
        results=results_table(report, [], baselines),
        baselines=trainings,
        report=report,
        data=facts.data(),
        training=facts.training.sentence(about.parameters),
        options=facts.training.shown_options(texts.options),
        versions=versions(report),
        cost=facts.training.cost(),
        task=texts,
        learnt_from=facts.learnt_from,
        limits=[*facts.limits(), *(limit for limit in texts.limits if limit not in OF_OUR_PIPELINE), ANY_PICTURE],
        figures=[path.stem for path in sorted((folder / "figures").glob("*.png"))],
    )
