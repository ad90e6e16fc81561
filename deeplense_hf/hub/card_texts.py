"""What the card of a model says in words, by its task."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskTexts:
    """Sentences about a task.

    Attributes:
        answers: What a model of it answers; `{subject}` stands for its classes, targets or normal class.
        for_whom: What it is good for.
        not_for: What it must not be used for.
        pipeline_tag: Tag of the Hub, None where it has none that fits.
        headline: Beginnings of the names of the scores that stand first, with their names on the Hub.
        options: Options of a training that matter to this task alone.
        limits: What a user must know.
    """

    answers: str
    for_whom: str
    not_for: str
    pipeline_tag: str | None
    headline: tuple[tuple[str, str], ...]
    options: tuple[str, ...]
    limits: tuple[str, ...]


SIMULATED = (
    "All scores are on simulated images of ours unless a table says otherwise. A simulation leaves out much of what "
    "real images have: dust, other objects in the field, imperfect point spread functions, correlated noise, and where "
    "sources are smooth profiles the structure of real galaxies."
)
EQUAL_CLASSES = (
    "The classes are equally frequent in training. In the sky they are not, and nobody knows how often each occurs: "
    "probabilities are relative to equal frequencies."
)
CONFIGURATION = (
    "Among images of one configuration (ring, arc, double) anomalies are told better than among all: the score follows "
    "the configuration too, so compare with normal images of the same one."
)
_ANY_IMAGE = (
    "Only images that are blank or mostly missing are refused: one of noise or of something else is answered for as "
    "well, and nothing in the answer tells."
)
ANY_PICTURE = "It answers for every picture, also for one of noise or of something else; nothing in the answer tells."
REAL_GALAXIES = (
    "Of the sources {share}, and some look-alikes, are galaxies of the Hubble eXtreme Deep Field (the press picture "
    "STScI-2012-37a, credit NASA, ESA, G. Illingworth, D. Magee and P. Oesch (University of California, Santa Cruz), "
    "R. Bouwens (Leiden University) and the HUDF09 team), which scikit-image carries (`pip install "
    "'deeplense_hf[galaxies]'`). None is seen in two splits. They are few, a tenth of them in the test images, and "
    "intervals, which resample systems, leave out that these might have been others."
)
COLOUR_PICTURES = (
    "Red, green and blue of a colour picture are taken for the bands {}, {} and {}, counted from 0. Such a picture is "
    "stretched and cut to 8 bits for the eye, and the model learnt from no such image: its answers for pictures are "
    "more often wrong. Give the numbers (`.npy`, FITS) where there are any."
)
_SETS = (
    "`prediction_set` holds the true class for 95% of images of this population, by a threshold found on validation "
    "images; for other populations it promises nothing."
)
# what our pipelines do beside a plain model
OF_OUR_PIPELINE = (_SETS, _ANY_IMAGE)
CLASSES = {
    "no_sub": "a smooth lens",
    "cdm": "with cold dark matter subhaloes",
    "axion": "with a vortex of axion dark matter",
}

TASK_TEXTS: dict[str, TaskTexts] = {
    "classification": TaskTexts(
        answers="Tells from one image of a strong gravitational lens which class it is of: {subject}.",
        for_whom="Comparing methods on this population, teaching, and as a start for training on other images.",
        not_for="It measures nothing about dark matter in a real lens.",
        pipeline_tag="image-classification",
        headline=(("roc_auc", "roc_auc"), ("accuracy", "accuracy")),
        options=("loss", "class_balance", "teachers"),
        limits=(_SETS, _ANY_IMAGE),
    ),
    "lens_finding": TaskTexts(
        answers="Tells from one image whether it shows a strong gravitational lens or a galaxy that looks like one.",
        for_whom="Ranking candidates before people look at them.",
        not_for="A high score is no confirmation of a lens.",
        pipeline_tag="image-classification",
        headline=(("roc_auc", "roc_auc"), ("average_precision", "average_precision")),
        options=("loss", "class_balance", "teachers"),
        limits=(
            "Look-alikes are of the kinds that were simulated, see above; surveys hold others.",
            "The rarer lenses are than in training, the more of those that it calls lenses are none: rank candidates, "
            "or choose a threshold on images of your own survey.",
            _SETS,
            _ANY_IMAGE,
        ),
    ),
    "regression": TaskTexts(
        answers="Estimates {subject} from one image of a strong gravitational lens, with an uncertainty of its own.",
        for_whom="Comparing methods on this population, teaching, and as a start for training on other images.",
        not_for="It measures nothing about a real lens.",
        pipeline_tag=None,
        headline=(("r2_", "r_squared"), ("mae_", "mae")),
        options=("targets", "uncertainty", "loss"),
        limits=(
            "Estimates are drawn towards the middle of the range that was simulated, the more so the less an image "
            "says. Where they lie on a level line in the figure of estimates, and the bias in the table by truth falls "
            "as much as the truth rises, the images do not tell the quantity at all, and the answer is that of the "
            "population.",
            "Intervals of 68% and of 95% were calibrated, each by itself, on validation images of this population; for "
            "other populations they promise nothing.",
            "It answers for images without what it estimates as well: ask a classifier first.",
            _ANY_IMAGE,
        ),
    ),
    "anomaly_detection": TaskTexts(
        answers="Scores how unlike images of the class `{subject}` the image of a strong gravitational lens is, having "
        "learnt from images of that class alone.",
        for_whom="Finding what a classifier has no class for, and comparing methods.",
        not_for="A high score is no detection of substructure: whatever is unusual raises it.",
        pipeline_tag=None,
        headline=(("roc_auc", "roc_auc"), ("average_precision", "average_precision")),
        options=("normal_class", "anomaly_score", "mask_ratio", "mask_size"),
        limits=(
            "The score has no absolute meaning; compare it with those of images that are known to be normal.",
            "No label was used in training, but which kind of score is the default was decided on labelled validation "
            "images of Model I (`benchmarks/ablation.py` of deeplense_hf).",
        ),
    ),
    "masked_image_modeling": TaskTexts(
        answers="Fills in hidden parts of images of strong gravitational lenses; its encoder is a start for other "
        "tasks.",
        for_whom="Fine-tuning to other tasks with few labels.",
        not_for="It answers no question about an image by itself.",
        pipeline_tag=None,
        headline=(),
        options=("mask_ratio", "mask_size"),
        limits=(),
    ),
}

_INSTALL = "pip install git+https://github.com/ml4sci/deeplense_hf"

USE_PIPELINE = f"""```python
{{imports}}from transformers import pipeline

explain = pipeline("lens-classification", model="{{repo_id}}", trust_remote_code=True)
answer = explain({{image}})
# {{answer}}
```

`trust_remote_code=True` runs the Python files of this repository (model, processor, pipelines; torch and transformers,
no network but for addresses of pictures that you give). Read them, or `{_INSTALL}`,
`import deeplense_hf.models` first and leave it out. `image-classification` gives the usual list of labels and scores,
`AutoModelForImageClassification` and `AutoImageProcessor` the model itself."""

USE_PACKAGE = f"""```python
{{imports}}from transformers import pipeline

import deeplense_hf.models  # {_INSTALL}

explain = pipeline("lens-classification", model="{{repo_id}}")
answer = explain({{image}})
# {{answer}}
```

The model itself is `{{auto_class}}.from_pretrained("{{repo_id}}")`, its processor transformers' `AutoImageProcessor`.
Without the package transformers has no such task: with `trust_remote_code=True`, which runs the Python files of this
repository, `AutoModel` and `AutoImageProcessor` give the encoder and the processor, and `handler.py` answers in full,
on an Inference Endpoint or anywhere."""
