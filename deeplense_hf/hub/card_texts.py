"""What the card of a model says in words, by its task."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskTexts:
    """Sentences about a task.

    Attributes:
        answers: What a model of it answers.
        for_whom: What it is good for.
        not_for: What it must not be used for.
        pipeline_tag: Tag of the Hub, None where it has none that fits.
        headline: Scores that go to the metadata of the card, with their names there.
        limits: What a user must know.
    """

    answers: str
    for_whom: str
    not_for: str
    pipeline_tag: str | None
    headline: tuple[tuple[str, str], ...]
    limits: tuple[str, ...]


_SIMULATED = (
    "All scores are on simulated images. A simulation leaves out what real images have: structure of real galaxies, "
    "dust, neighbours, imperfect point spread functions, correlated noise."
)
_CLASSES = (
    "no_sub (a smooth lens), cdm (with cold dark matter subhaloes) and axion (with a vortex of axion dark matter)"
)

TASK_TEXTS: dict[str, TaskTexts] = {
    "classification": TaskTexts(
        answers="Tells from one image of a strong gravitational lens which dark matter substructure it has: "
        f"{_CLASSES}.",
        for_whom="Comparing methods on this population, teaching, and as a start for training on other images.",
        not_for="It measures nothing about dark matter in a real lens.",
        pipeline_tag="image-classification",
        headline=(("roc_auc", "roc_auc"), ("accuracy", "accuracy")),
        limits=(
            _SIMULATED,
            "The classes are equally frequent in training and test. In the sky they are not, and nobody knows how "
            "often each occurs: probabilities are relative to equal frequencies.",
            "`prediction_set` holds the true class for 95% of images of this population, by a threshold found on "
            "validation images; for other populations it promises nothing.",
        ),
    ),
    "lens_finding": TaskTexts(
        answers="Tells from one image whether it shows a strong gravitational lens or a galaxy that looks like one.",
        for_whom="Ranking candidates before people look at them.",
        not_for="A high score is no confirmation of a lens.",
        pipeline_tag="image-classification",
        headline=(("roc_auc", "roc_auc"), ("average_precision", "average_precision")),
        limits=(
            _SIMULATED,
            "Look-alikes are of the kinds that were simulated (spirals, ellipticals with companions, rings, mergers); "
            "surveys hold others.",
            "It learnt from as many lenses as non-lenses. Where lenses are rare a probability above one half is mostly "
            "a false alarm: choose the threshold by the rates under Results.",
        ),
    ),
    "regression": TaskTexts(
        answers="Estimates physical quantities of the dark matter in one image of a strong gravitational lens, with an "
        "uncertainty for each image.",
        for_whom="Comparing methods on this population, teaching, and as a start for training on other images.",
        not_for="It measures nothing about dark matter in a real lens.",
        pipeline_tag=None,
        headline=(),
        limits=(
            _SIMULATED,
            "Estimates are drawn towards the middle of the range that was simulated, the more so the less an image "
            "says.",
            "Intervals of 68% and of 95% were calibrated, each by itself, on validation images of this population; for "
            "other populations they promise nothing.",
            "It answers for every image, also for one without such dark matter: ask a classifier first.",
        ),
    ),
    "anomaly_detection": TaskTexts(
        answers="Scores how unlike smooth lenses the image of a strong gravitational lens is, having seen smooth ones "
        "alone.",
        for_whom="Finding what a classifier has no class for, and comparing methods.",
        not_for="A high score is no detection of substructure: whatever is unusual raises it.",
        pipeline_tag=None,
        headline=(("roc_auc", "roc_auc"), ("average_precision", "average_precision")),
        limits=(
            _SIMULATED,
            "The score has no absolute meaning; compare it with those of images that are known to be normal.",
            "The kind of score was chosen on labelled validation images of this population (benchmarks/ablation.py).",
        ),
    ),
    "masked_image_modeling": TaskTexts(
        answers="Fills in hidden parts of images of strong gravitational lenses; its encoder is a start for other "
        "tasks.",
        for_whom="Fine-tuning to other tasks with few labels.",
        not_for="It answers no question about an image by itself.",
        pipeline_tag=None,
        headline=(),
        limits=(_SIMULATED,),
    ),
}

USE_PIPELINE = """```python
from transformers import pipeline

explain = pipeline("lens-classification", model="{repo_id}", trust_remote_code=True)
explain("image.npy")  # {answer}
```

With `pip install deeplense-hf` and `import deeplense_hf.models` first, no trust is needed. `image-classification` gives
the usual list of labels and scores, `AutoModelForImageClassification` and `AutoImageProcessor` the model itself."""

USE_PACKAGE = """```python
import deeplense_hf.models  # pip install deeplense-hf
from transformers import pipeline

explain = pipeline("lens-classification", model="{repo_id}")
explain("image.npy")  # {answer}
```

The model itself is `deeplense_hf.{auto_class}.from_pretrained("{repo_id}")`, its processor transformers'
`AutoImageProcessor`."""
