"""The page itself: what is on it, and what listens to what."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio

from .answers import Models, answers_for
from .examples import Example
from .handlers import ANY, Handlers, kinds_sliders, nothing_shown, stale_note
from .layout import ASKED, EXPLAINED, PICTURED, STYLE, TOLD
from .lens_sliders import RANGES, DrawnLens, draw_lens
from .pictures import STRETCHES
from .storage_bound import SECONDS_KEPT

_TITLE = "Dark matter in strong gravitational lenses"
_LIMITS = (
    "Research models, trained on simulated images. For a real lens, or an instrument or a population other than that "
    "of the training, the answers are not to be trusted."
)
# in the order of the attributes of `DrawnLens`
_SLIDERS = (
    ("einstein_radius", 0.01, "Einstein radius [arcsec]"),
    ("shear", 0.005, "external shear"),
    ("source_x", 0.01, "source, x [arcsec]"),
    ("source_y", 0.01, "source, y [arcsec]"),
    ("log10_axion_mass_ev", 0.05, "axion mass [log10 eV]"),
    ("subhalo_count", 1, "subhaloes"),
    ("seed", 1, "seed of noise and substructure"),
)
# such as the models were trained on, with seeds that they find neither easier nor harder than others
_DRAWN_EXAMPLES = {
    "smooth lens": DrawnLens("no_sub", seed=1),
    "25 subhaloes": DrawnLens("cdm", seed=21),
    "axion vortex, 10^-23 eV": DrawnLens("axion", seed=3),
    "Einstein ring": DrawnLens("no_sub", source_x=0.0, source_y=0.0),
}
_SECONDS_BETWEEN = 300
"""Between two looks for files that are old enough to be deleted."""


def make_page(models: Models, examples: Mapping[str, Example]) -> gradio.Blocks:
    """Make the page.

    Args:
        models: Models to choose from.
        examples: Example images by what they are called.

    Returns:
        The page, to be launched.
    """
    handlers = Handlers(models)
    kept = (_SECONDS_BETWEEN, SECONDS_KEPT)
    with gradio.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=kept) as page:
        gradio.HTML(f"{STYLE}<h1>{_TITLE}</h1><p>{_LIMITS}</p>", elem_id="heading")
        chosen = _choice(models)
        with gradio.Tab("one image"):
            _one_image(page, handlers, chosen, examples)
        with gradio.Tab("many images"):
            _many_images(handlers, chosen)
    return page


def _choice(models: Models) -> Any:
    """Make the boxes of the models; those that cannot answer for the lens that is drawn first are unticked."""
    fitting = [one.model for one in answers_for(models, models.names, *draw_lens(DrawnLens())) if not one.refused]
    others = [name for name in models.names if name not in fitting]
    info = f"For files alone, since no drawn lens is taken: {', '.join(others)}." if others else None
    # of none at all, it is better to see why
    return gradio.CheckboxGroup(
        models.names, value=fitting or models.names, label="models", info=info, elem_id="models"
    )


def _one_image(page: gradio.Blocks, handlers: Handlers, chosen: Any, examples: Mapping[str, Example]) -> None:
    """Make the part where one image is drawn or dropped, and wire it."""
    source = gradio.State(None)
    with gradio.Row():
        with gradio.Column(scale=1, min_width=300, elem_id=ASKED):
            with gradio.Tab("draw a lens") as drawing:
                kind, sliders = _lens()
            with gradio.Tab("drop an image") as dropping:
                upload = gradio.File(label="FITS, npy, npz, HDF5 or picture", elem_id="upload")
                bands, scale = _bands_and_scale("")
                ask = gradio.Button("ask the models", variant="primary", elem_id="ask")
                ticked = _dropped_examples([upload, bands, scale], chosen, examples)
        with gradio.Column(scale=2, min_width=300, elem_id=TOLD):
            stretch, shown = _answers()
    wanted, explained = _explanation(handlers.models)
    outputs = [source, *shown, *explained]
    common = [chosen, stretch]
    drawn, dropped = [*common, kind, *sliders], [upload, bands, scale, *common]
    # in the order in which they were asked for, since each tells the page what it is about
    options: dict[str, Any] = {"outputs": outputs, "concurrency_id": "one image", "concurrency_limit": 1}
    options |= {"show_progress": "minimal", "show_progress_on": shown, "trigger_mode": "always_last"}
    events = [
        # arrow keys and typed numbers change a slider as well, without ever releasing it; what a tab shows is what the
        # page is about
        gradio.on(
            [page.load, drawing.select, kind.change, *(slider.change for slider in sliders)],
            handlers.draw,
            drawn,
            **options,
        ),
        gradio.on(
            [dropping.select, upload.upload, upload.clear, upload.delete, ask.click, bands.submit, scale.submit],
            handlers.drop,
            dropped,
            **options,
        ),
        *([ticked.success(handlers.drop, dropped, **options)] if ticked else []),
        chosen.input(handlers.ask, [source, *common], **options),
    ]
    explanation: dict[str, Any] = {"inputs": [source, chosen, wanted], "outputs": explained}
    explanation |= {"show_progress": "minimal", "trigger_mode": "always_last"}
    for event in events:
        # answers first; the map takes a hundred times as long
        event.success(handlers.explain, **explanation)
        event.failure(_out_of_range, None, outputs)
    wanted.change(handlers.explain, **explanation)
    stretch.change(handlers.stretch, [source, stretch], shown[0], show_progress="hidden", trigger_mode="always_last")
    mass, count = (sliders[[name for name, _, _ in _SLIDERS].index(one)] for one in _KINDS_SLIDERS)
    kind.change(kinds_sliders, kind, [mass, count], show_progress="hidden", trigger_mode="always_last")


_KINDS_SLIDERS = ("log10_axion_mass_ev", "subhalo_count")


def _lens() -> tuple[Any, list[Any]]:
    """Make the sliders."""
    default = DrawnLens()
    kind = gradio.Radio(["no_sub", "cdm", "axion"], value=default.substructure, label="substructure", elem_id="kind")
    sliders = [
        gradio.Slider(
            *RANGES[name],
            value=getattr(default, name),
            step=step,
            label=label,
            elem_id=name,
            visible=name != "log10_axion_mass_ev",
        )
        for name, step, label in _SLIDERS
    ]
    values = [
        [lens.substructure, *(getattr(lens, name) for name, _, _ in _SLIDERS)] for lens in _DRAWN_EXAMPLES.values()
    ]
    gradio.Examples(values, [kind, *sliders], example_labels=list(_DRAWN_EXAMPLES), label="examples")
    return kind, sliders


def _bands_and_scale(prefix: str) -> tuple[Any, Any]:
    """Make the boxes for what a file may not say."""
    bands = gradio.Textbox(
        label="select bands, counted from 0", placeholder="all; or for example 0", elem_id=f"{prefix}bands", max_lines=1
    )
    scale = gradio.Textbox(
        label="pixel scale [arcsec], where the file does not say it",
        placeholder="unknown; or for example 0.05",
        elem_id=f"{prefix}pixel_scale",
        max_lines=1,
    )
    return bands, scale


def _dropped_examples(inputs: list[Any], chosen: Any, examples: Mapping[str, Example]) -> Any:
    """Make the examples of files, each of which ticks its models and empties what was said of another file.

    Args:
        inputs: Boxes of the file, its bands and its pixel scale.
        chosen: Boxes of the models.
        examples: Example images by what they are called.

    Returns:
        The event after which all is so; None without examples.
    """
    if not examples:
        return None
    files, models = zip(*((one.path, one.models) for one in examples.values()), strict=True)
    made = gradio.Examples([[path, "", ""] for path in files], inputs, example_labels=list(examples), label="examples")

    def tick(example: tuple[int, Any], names: list[str]) -> list[str]:
        return list(dict.fromkeys([*names, *models[example[0]]]))

    return made.load_input_event.success(tick, [made.dataset, chosen], chosen, show_progress="hidden")


def _answers() -> tuple[Any, list[Any]]:
    """Make the side of picture and answers: stretch, and what is shown in the order of `Handlers.ask`."""
    with gradio.Row():
        with gradio.Column(scale=2, min_width=240, elem_id=PICTURED):
            picture = _picture("image", "picture")
            caption = gradio.HTML(elem_id="caption")
            note = gradio.HTML(elem_id="note")
            stretch = gradio.Radio(
                list(STRETCHES), value=STRETCHES[0], label="stretch of the picture", elem_id="stretch"
            )
        with gradio.Column(scale=3, min_width=260):
            answers = gradio.HTML(elem_id="answers")
            filled = _picture("seen, filled in by the masked model, difference", "filled", visible=False)
            meant = gradio.HTML(elem_id="filled_legend")
    return stretch, [picture, caption, answers, filled, note, meant]


def _explanation(models: Models) -> tuple[Any, list[Any]]:
    """Make the part of the map: the classifier to explain, and what explains its answer."""
    with gradio.Row(elem_id=EXPLAINED, visible=bool(models.classifiers)):
        with gradio.Column(min_width=260):
            tinted = _picture("change of the answer under covers", "explanation")
        with gradio.Column(scale=2, min_width=260):
            wanted = gradio.Dropdown(
                [ANY, *models.classifiers],
                value=ANY,
                label="explain the answer of",
                elem_id="explained",
                visible=len(models.classifiers) > 1,
            )
            legend = gradio.HTML(elem_id="legend")
    return wanted, [tinted, legend]


def _picture(label: str, name: str, visible: bool = True) -> Any:
    # without the button that shares a picture with the world
    return gradio.Image(
        label=label,
        interactive=False,
        elem_id=name,
        format="png",
        buttons=["download", "fullscreen"],
        visible=visible,
        # it would cover what it names, which stands below
        show_label=name != "filled",
    )


def _out_of_range() -> Sequence[Any]:
    """Empty the page after Gradio refused a number."""
    return nothing_shown("A number of the lens is missing or out of its range; type another or move its slider.")


def _many_images(handlers: Handlers, chosen: Any) -> None:
    """Make the part where many images are dropped, and wire it."""
    with gradio.Row():
        uploads = gradio.File(label="files", file_count="multiple", elem_id="uploads", height=220)
        with gradio.Column():
            bands, scale = _bands_and_scale("many_")
            ask = gradio.Button("ask the models", variant="primary", elem_id="ask_many")
    note = gradio.HTML(elem_id="many_note")
    # empty, they look like something to fill
    table = gradio.Dataframe(label="answers", interactive=False, elem_id="table", max_chars=80, visible=False)
    download = gradio.File(label="the table as CSV", interactive=False, visible=False)
    answered = gradio.State([])

    def many(paths: list[str] | None, bands: str, scale: str, names: list[str]) -> list[Any]:
        return handlers.many(paths, bands, scale, names, download.GRADIO_CACHE)

    gradio.on(
        [uploads.upload, uploads.clear, uploads.delete, ask.click, bands.submit, scale.submit],
        many,
        [uploads, bands, scale, chosen],
        [table, download, note, answered],
        trigger_mode="always_last",
    )
    # many images may take minutes, which no tick should cost
    chosen.change(stale_note, [answered, chosen], note, show_progress="hidden", trigger_mode="always_last")
