"""The command `app`: the page itself, with Gradio."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio

    from .answers import LensAnswers, Models

_TITLE = "Dark matter in strong gravitational lenses"
_LIMITS = (
    "Research models, trained on simulated images. For a real lens, or an instrument or a population other than that "
    "of the training, the answers are not to be trusted."
)


@dataclass
class AppOptions:
    """Options of the command `app`."""

    models: list[str] = field(
        default_factory=list,
        metadata={"help": "folders or Hub ids of models to choose from; all under model_cards when absent"},
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:1, mps"})
    host: str = field(default="127.0.0.1", metadata={"help": "address to listen on; 0.0.0.0 for other machines"})
    port: int = field(default=7860, metadata={"help": "port"})

    def __post_init__(self) -> None:
        """Check the port.

        Raises:
            ValueError: If it is none.
        """
        if not 0 < self.port < 65536:
            raise ValueError(f"port={self.port} is not between 1 and 65535.")


def run_app(options: AppOptions) -> None:
    """Serve the page until interrupted.

    Args:
        options: Models and address.

    Raises:
        ImportError: If Gradio is missing.
        ValueError: If there is no model.
        OSError: If the port is taken.
    """
    page = build_page(options.models or released_models(Path("model_cards")), options.device)
    page.queue(default_concurrency_limit=2, max_size=32).launch(
        server_name=options.host, server_port=options.port, max_file_size="64mb", show_error=True
    )


def released_models(folder: Path) -> list[str]:
    """List the release folders.

    Args:
        folder: Folder of release folders.

    Returns:
        Their paths.
    """
    return [str(path.parent) for path in sorted(folder.glob("*/release.json"))]


def build_page(places: Sequence[str], device: str = "auto") -> "gradio.Blocks":
    """Make the page.

    Args:
        places: Folders or Hub ids of models.
        device: See `Predictor`.

    Returns:
        The page, to be launched.

    Raises:
        ImportError: If Gradio is missing.
        ValueError: If there is no model.
    """
    try:
        import gradio
    except ImportError:
        raise ImportError("the page needs Gradio. Install it with: pip install 'deeplense-hf[demo]'") from None

    from .answers import Models
    from .lens_sliders import RANGES, DrawnLens
    from .pictures import STRETCHES

    if not places:
        raise ValueError("there is no model to show; give --models FOLDER, for example outputs/main_job.")
    models = Models(places, device)
    names, default = list(models.places), DrawnLens()
    with gradio.Blocks(title=_TITLE, analytics_enabled=False) as page:
        gradio.Markdown(f"# {_TITLE}\n{_LIMITS}")
        with gradio.Row():
            chosen = gradio.CheckboxGroup(names, value=names, label="models", elem_id="models")
            stretch = gradio.Radio(list(STRETCHES), value=STRETCHES[0], label="stretch of the picture")
        with gradio.Row():
            with gradio.Column(scale=1):
                with gradio.Tab("draw a lens"):
                    kind = gradio.Radio(["no_sub", "cdm", "axion"], value=default.substructure, label="substructure")
                    sliders = [
                        gradio.Slider(*RANGES[name], value=getattr(default, name), step=step, label=label, elem_id=name)
                        for name, step, label in _SLIDERS
                    ]
                with gradio.Tab("drop an image"):
                    upload = gradio.File(label="FITS, npy, npz, HDF5 or picture", file_count="single", elem_id="upload")
                    scale = gradio.Number(label="pixel scale [arcsec], if the file does not say", value=None)
                    ask = gradio.Button("ask the models", variant="primary", elem_id="ask")
                with gradio.Tab("many images"):
                    uploads = gradio.File(label="files", file_count="multiple", elem_id="uploads")
                    table = gradio.Dataframe(label="answers", interactive=False, elem_id="table")
                    download = gradio.File(label="the table as CSV", interactive=False)
                note = gradio.Markdown(elem_id="note")
            with gradio.Column(scale=2):
                outputs = _outputs(gradio)
        drawn = [chosen, stretch, kind, *sliders]

        def draw(*values: Any) -> list[Any]:
            return _draw(models, *values)

        def answer(path: str | None, names: list[str], stretch: str, pixel_scale: float | None) -> list[Any]:
            return _upload(models, path, names, stretch, pixel_scale)

        def answer_many(paths: list[str] | None, names: list[str], pixel_scale: float | None) -> Any:
            return _many(models, paths, names, pixel_scale)

        gradio.on(
            [page.load, kind.change, chosen.change, stretch.change, *(slider.release for slider in sliders)],
            draw,
            drawn,
            [*outputs, note],
            show_progress="minimal",
            trigger_mode="always_last",
        )
        ask.click(answer, [upload, chosen, stretch, scale], [*outputs, note])
        upload.upload(answer, [upload, chosen, stretch, scale], [*outputs, note])
        uploads.upload(answer_many, [uploads, chosen, scale], [table, download, note])
    return page


_SLIDERS = (
    ("einstein_radius", 0.01, "Einstein radius [arcsec]"),
    ("shear", 0.005, "external shear"),
    ("source_x", 0.01, "source, x [arcsec]"),
    ("source_y", 0.01, "source, y [arcsec]"),
    ("log10_axion_mass_ev", 0.05, "axion mass [log10 eV]"),
    ("subhalo_count", 1, "subhaloes"),
    ("seed", 1, "seed of noise and substructure"),
)


def _outputs(gradio: Any) -> list[Any]:
    """Make the right side of the page."""
    with gradio.Row():
        picture = gradio.Image(label="image", interactive=False, elem_id="picture")
        explanation = gradio.Image(label="where it looks (red: speaks for the class)", interactive=False)
    probabilities = gradio.Label(label="class", elem_id="probabilities")
    words = gradio.Markdown(elem_id="words")
    filled = gradio.Image(label="seen, filled in by the masked model, difference", interactive=False)
    return [picture, explanation, probabilities, words, filled]


def _draw(models: "Models", names: list[str], stretch: str, kind: str, *values: Any) -> list[Any]:
    """Simulate the lens of the sliders and ask about it."""
    from .answers import answers_for
    from .lens_sliders import DrawnLens, draw_lens, unlike_training

    options = {name: value for (name, _, _), value in zip(_SLIDERS, values, strict=True)}
    options |= {name: int(options[name]) for name in ("subhalo_count", "seed")}
    lens = DrawnLens(substructure=kind, **options)
    image, pixel_scale = draw_lens(lens)
    found = answers_for(models, names, image, pixel_scale)
    return [*_shown(image, found, stretch), unlike_training(lens) or ""]


def _upload(models: "Models", path: str | None, names: list[str], stretch: str, pixel_scale: float | None) -> list[Any]:
    """Ask about the first image of an uploaded file."""
    from .answers import answers_for
    from .uploads import read_uploads

    nothing: list[Any] = [None] * 5
    if not path:
        return [*nothing, "Choose a file first."]
    first, *others = read_uploads([path])
    if first.image is None:
        return [*nothing, f"**{first.name} cannot be used:** {first.error}"]
    found = answers_for(models, names, first.image, first.pixel_scale or pixel_scale or None)
    more = f"The first of {1 + len(others)} images; the tab *many images* answers for all." if others else ""
    return [*_shown(first.image, found, stretch), more]


def _many(
    models: "Models", paths: list[str] | None, names: list[str], pixel_scale: float | None
) -> tuple[Any, str | None, str]:
    """Ask about all images of several files, and write the table."""
    import pandas

    from .uploads import read_uploads

    try:
        uploaded = read_uploads(paths or [])
    except ValueError as error:
        return None, None, f"**{error}**"
    rows = []
    for one in uploaded:
        row: dict[str, Any] = {"image": one.name, "error": one.error or ""}
        if one.image is not None:
            row |= _row(models, names, one.image, one.pixel_scale or pixel_scale or None)
        rows.append(row)
    table = pandas.DataFrame(rows)
    with tempfile.NamedTemporaryFile("w", suffix=".csv", prefix="answers-", delete=False) as file:
        table.to_csv(file, index=False)
    failed = sum(bool(row["error"]) for row in rows)
    return table, file.name, f"{len(rows)} images, {failed} of them without an answer."


def _row(models: "Models", names: list[str], image: Any, pixel_scale: float | None) -> dict[str, Any]:
    """Ask models about an image, without pictures."""
    import numpy as np

    scales = None if pixel_scale is None else np.array([pixel_scale], dtype=np.float32)
    row: dict[str, Any] = {}
    for name in names:
        try:
            predictor = models[name]
            answers = predictor.task.table(predictor.answers(image[None], scales))
        except (ValueError, OSError) as error:
            row["error"] = f"{name}: {' '.join(str(error).split())}"
            continue
        for column, values in answers.items():
            value = values[0]
            row[f"{name}: {column}"] = round(value, 4) if isinstance(value, float) else value
    return row


def _shown(image: Any, found: "LensAnswers", stretch: str) -> list[Any]:
    """Return the right side of the page for some answers."""
    from .pictures import shown_explanation, shown_image, shown_pair

    lines = []
    if found.prediction_set:
        lines.append(f"**Classes that hold the true one in 95% of such images:** {', '.join(found.prediction_set)}")
    lines += [f"**{sentence}**" for sentence in found.quantities]
    if found.anomaly_score is not None:
        lines.append(f"**Unlike smooth lenses:** {found.anomaly_score:.2f} standard deviations")
    lines += [f"*{name}: {reason}*" for name, reason in found.refused.items()]
    return [
        shown_image(image, stretch),
        None if found.explanation is None else shown_explanation(image, found.explanation),
        dict(found.probabilities) or None,
        "\n\n".join(lines),
        None if found.processed is None else shown_pair(found.processed),
    ]
