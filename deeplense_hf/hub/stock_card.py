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
    from .card import headline_metadata, limits_of_population, render, results_table, summary
    from .card_texts import TASK_TEXTS
    from .stock_export import STOCK_FILE, StockExport, scores_of

    try:
        about = StockExport(**json.loads((folder / STOCK_FILE).read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{folder / STOCK_FILE} is damaged ({error}); export the model again.") from None
    report = scores_of(folder)
    texts = TASK_TEXTS[report.task]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return render(
        "stock_card_template.md",
        metadata=headline_metadata(about.repo_id, report, texts, about.example_classes, about.example_answers),
        about=about,
        owner=about.repo_id.partition("/")[0],
        task=texts,
        model_type=config["model_type"],
        summary=summary(report),
        processing=repr(about.processing),
        results=results_table(report, [], []),
        report=report,
        # which needs our pipeline
        limits=[
            *(limit for limit in texts.limits if "prediction_set" not in limit),
            *limits_of_population(report.dataset),
        ],
        figures=[path.stem for path in sorted((folder / "figures").glob("*.png"))],
    )
