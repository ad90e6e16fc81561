"""The command `export-stock`: a classifier for hosts that run no code of ours, as the inference widget of the Hub."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .public_names import check_hub_names

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from deeplense_hf.inference.predictor import Predictor

STOCK_FILE = "stock.json"
_COLOURS = 3


@dataclass
class ExportOptions:
    """Options of the command `export-stock`."""

    model: str = field(
        metadata={"help": "run of a classifier with stem=patch, stock windows and --normalisation minmax"}
    )
    name: str = field(metadata={"help": "name of the export, for example deeplense-swin-rgb"})
    output_dir: str = field(default="model_cards", metadata={"help": "folder of the release folders"})
    owner: str = field(default="ml4sci", metadata={"help": "user or organisation that it will belong to on the Hub"})
    dataset: str | None = field(
        default=None,
        metadata={"help": "data set to evaluate the export on, as 8-bit pictures; that of the run if absent"},
    )
    baselines: list[str] = field(
        default_factory=list,
        metadata={"help": "runs or releases of other models with the same test images, shown beside it"},
    )
    overwrite: bool = field(default=False, metadata={"help": "replace an earlier export of that name"})

    def __post_init__(self) -> None:
        """Check the names, and what does not go together.

        Raises:
            ValueError: If they are no names on the Hub, or baselines are to be compared on other images than the run's.
        """
        check_hub_names(name=self.name, owner=self.owner)
        if self.baselines and self.dataset:
            raise ValueError(
                "baselines are compared on the test images of the run; leave out --dataset or --baselines."
            )


@dataclass(frozen=True)
class StockExport:
    """What the folder of an export says of itself beside its other files.

    Attributes:
        name: Its name.
        repo_id: Its place on the Hub.
        parameters: Numbers that were learnt.
        processing: What turns a raw image into the picture that it takes, options of `DeepLenseImageProcessor`.
        largest_difference: Between its probabilities and those of the model with our code, on the same 8-bit pictures.
        pictures: Pictures that this was measured on.
        example_classes: Classes of the example pictures.
        example_answers: Its probabilities for each, by class.
        baseline_names: Names of the models that are shown beside it, in the order of their folders.
    """

    name: str
    repo_id: str
    parameters: int
    processing: dict[str, Any]
    largest_difference: float
    pictures: int
    example_classes: tuple[str, ...]
    example_answers: tuple[dict[str, float], ...]
    baseline_names: tuple[str, ...] = ()


def export_stock(options: ExportOptions) -> None:
    """Write a stock checkpoint of three channels with a stock processor, its scores on 8-bit pictures and its card.

    Args:
        options: Which run, which name.

    Raises:
        FileNotFoundError: If the run is missing.
        ValueError: If the model uses what transformers does not have, the data set has no test split or no labels of
            its classes, or the folder holds something else.
        OSError: If the folder cannot be written.
    """
    from transformers import ViTImageProcessorPil
    from transformers.utils.logging import disable_progress_bar

    from deeplense_hf.data.staging import check_replaceable, replaced_folder
    from deeplense_hf.evaluation.run import evaluate_model
    from deeplense_hf.inference.predictor import Predictor

    from .public_names import public_name
    from .release import copy_training
    from .stock_card import render_stock_card

    disable_progress_bar()
    run, folder = Path(options.model), Path(options.output_dir) / options.name
    check_replaceable(folder, STOCK_FILE, "an export", options.overwrite, "--output_dir or --name")
    predictor = Predictor.from_pretrained(run, "cpu")
    stock = colour_model(predictor)
    height, width = predictor.processor.output_size(0, 0)
    processor = ViTImageProcessorPil(
        size={"height": height, "width": width}, do_resize=True, do_rescale=True, do_normalize=False
    )
    name, test = _test_images(options, predictor)
    pictures = as_pictures(test, predictor)
    with replaced_folder(folder) as place:
        # what cannot be compared is refused before the work
        baseline_names = _write_baselines(options, place)
        stock.save_pretrained(place)
        processor.save_pretrained(place)
        reloaded = Predictor.from_pretrained(place, "cpu")
        figures = place / "figures"
        report = evaluate_model(
            reloaded.model,
            reloaded.processor,
            pictures,
            output_dir=figures,
            model_name=f"{options.owner}/{options.name}",
            dataset_name=f"{public_name(name)}, as 8-bit pictures",
        )
        (figures / "metrics.json").rename(place / "metrics.json")
        difference = _largest_difference(predictor, reloaded, pictures)
        copy_training(run, place)
        names, answers = _write_examples(predictor, reloaded, name, place / "examples")
        about = StockExport(
            options.name,
            report.model,
            sum(parameter.numel() for parameter in stock.parameters()),
            _processing(predictor),
            difference,
            len(pictures),
            names,
            answers,
            baseline_names,
        )
        (place / STOCK_FILE).write_text(json.dumps(asdict(about), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        (place / "README.md").write_text(render_stock_card(place), encoding="utf-8")
    print(f"written: {folder}; its probabilities differ by at most {difference:.0e} on {len(pictures)} pictures")


def _test_images(options: ExportOptions, predictor: "Predictor") -> "tuple[str, Dataset]":
    """Load the images that an export is measured on, and refuse them as an evaluation would; their name first."""
    import yaml

    from deeplense_hf.data.loading import load_lenses
    from deeplense_hf.evaluation.dataset_predictions import check_images
    from deeplense_hf.training.checkpoints import OPTIONS_FILE

    from .public_names import dataset_name

    trained = yaml.safe_load((Path(options.model) / OPTIONS_FILE).read_text(encoding="utf-8"))
    name = dataset_name(str(options.dataset or trained["dataset"]))
    count = None if options.dataset else trained.get("images_per_class")
    splits = load_lenses(name, seed=trained.get("simulation_seed", 0), images_per_class=count)
    if "test" not in splits:
        raise ValueError(f"{name} has no test split to measure the export on; give another --dataset.")
    test = splits["test"]
    # refused as an evaluation would, which comes after the pictures
    predictor.task.references(test)
    check_images(test, predictor)
    return name, test


def _write_baselines(options: ExportOptions, place: Path) -> tuple[str, ...]:
    """Copy the scores of other models on the images that the pictures were made of; their names."""
    from deeplense_hf.evaluation.report import EvaluationReport

    from .release import BASELINES, write_baseline

    if not options.baselines:
        return ()
    raw = EvaluationReport.load(Path(options.model) / "metrics.json")
    places = (place / BASELINES / f"{number:03}" for number in range(len(options.baselines)))
    return tuple(write_baseline(Path(each), raw, into) for each, into in zip(options.baselines, places, strict=True))


def _processing(predictor: "Predictor") -> dict[str, Any]:
    """Return the options of the processor that differ from a new one's."""
    from deeplense_hf.models import DeepLenseImageProcessor

    usual = DeepLenseImageProcessor().to_dict()
    left_out = {"auto_map", "image_processor_type"}
    own = predictor.processor.to_dict()
    return {key: value for key, value in own.items() if key not in left_out and usual.get(key) != value}


def colour_model(predictor: "Predictor") -> "PreTrainedModel":
    """Turn a classifier of one band into a stock one that takes grey pictures in colour.

    Args:
        predictor: The classifier; its processor ends with numbers from 0 to 1.

    Returns:
        The stock model.

    Raises:
        ValueError: If the model or its processor has no counterpart.
    """
    from deeplense_hf.models.weights import to_stock

    processor, config = predictor.processor, predictor.model.config
    if predictor.task.name not in ("classification", "lens_finding") or config.num_channels != 1:
        raise ValueError(
            f"only classifiers of one band are exported, not {predictor.task.name} of {config.num_channels}."
        )
    if getattr(processor, "normalisation", None) != "minmax" or processor.size is None:
        raise ValueError(
            "8-bit pictures hold numbers from 0 to 1, so only a model with normalisation=minmax and an image size can "
            "be exported; train one with --normalisation minmax."
        )
    if getattr(config, "symmetry", "none") != "none" or config.distillation_token:
        raise ValueError("symmetry and distillation_token have no counterpart in transformers; train a model without.")
    single = to_stock(predictor.model)
    values = {**single.config.to_dict(), "num_channels": _COLOURS}
    values |= {"id2label": config.id2label, "label2id": config.label2id}
    colour_config = type(single.config)(**{key: value for key, value in values.items() if key != "architectures"})
    colour = type(single)(colour_config)
    weights = single.state_dict()
    for name, weight in colour.state_dict().items():
        if weight.shape != weights[name].shape:
            # a grey picture has three equal channels, each of which counts a third
            weights[name] = weights[name].repeat(1, _COLOURS, 1, 1) / _COLOURS
    colour.load_state_dict(weights)
    return colour.eval()


def eight_bit(predictor: "Predictor", images: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """Turn raw images into the pictures that an exported model takes.

    Args:
        predictor: The model with our code; its processor ends with numbers from 0 to 1.
        images: Raw images, `(batch, 1, height, width)`.

    Returns:
        Grey pictures, `(batch, height, width)`.
    """
    import numpy as np
    import torch

    processed = predictor.processor.process_batch(torch.from_numpy(np.array(images, dtype=np.float32)))
    pictures: NDArray[np.uint8] = (255 * processed[:, 0]).round().clamp(0, 255).to(torch.uint8).numpy()
    return pictures


def as_pictures(dataset: "Dataset", predictor: "Predictor") -> "Dataset":
    """Turn a split of raw images into one of grey pictures in colour."""
    import numpy as np
    from datasets import Dataset

    from deeplense_hf.data.loading import LensImageDecoder
    from deeplense_hf.data.schema import IMAGE, LABEL, features

    decoder = LensImageDecoder(dataset)
    made = np.concatenate(
        [eight_bit(predictor, decoder[np.arange(a, min(a + 256, len(dataset)))]) for a in range(0, len(dataset), 256)]
    )
    declared = features(dataset.features[LABEL].names, _COLOURS, *made.shape[1:])
    columns = {name: dataset[name] for name in declared if name in dataset.column_names and name != IMAGE}
    columns[IMAGE] = list(np.repeat(made[:, None].astype(np.float32), _COLOURS, axis=1))
    return Dataset.from_dict({name: columns.get(name, [None] * len(made)) for name in declared}, features=declared)


def _largest_difference(ours: "Predictor", stock: "Predictor", pictures: "Dataset") -> float:
    """Compare probabilities on the same pictures, by our code from numbers and by stock code from pictures."""
    import numpy as np
    import torch

    from deeplense_hf.data.loading import LensImageDecoder

    decoder, largest = LensImageDecoder(pictures), 0.0
    for start in range(0, len(pictures), 256):
        images = decoder[np.arange(start, min(start + 256, len(pictures)))]
        with torch.inference_mode():
            logits = ours.model(pixel_values=torch.from_numpy(images[:, :1] / np.float32(255))).logits
        expected = logits.double().softmax(-1).numpy()
        largest = max(largest, float(np.abs(stock.probabilities(images) - expected).max()))
    return largest


def _write_examples(
    ours: "Predictor", stock: "Predictor", dataset: str, place: Path
) -> tuple[tuple[str, ...], tuple[dict[str, float], ...]]:
    """Simulate an image of every class that no training saw, as the picture to upload, and ask the export."""
    import numpy as np
    from PIL import Image

    from .examples import example_images

    answers = []
    images = example_images(dataset, stock.class_names)
    for name, (image, _) in images.items():
        place.mkdir(exist_ok=True)
        grey = eight_bit(ours, image[None])[0]
        Image.fromarray(grey).convert("RGB").save(place / f"{name}.png")
        colour = np.repeat(grey[None, None].astype(np.float32), _COLOURS, axis=1)
        row = stock.probabilities(colour)[0].tolist()
        answers.append({label: round(value, 4) for label, value in zip(stock.class_names, row, strict=True)})
    return tuple(images), tuple(answers)
