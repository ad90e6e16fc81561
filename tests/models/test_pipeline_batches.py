"""Many images at once: every task in batches, images of several sizes, and whatever holds or yields images."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Array3D, Dataset, Features
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor, pipeline
from transformers.pipelines.pt_utils import KeyDataset

from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.auto_classes import auto_class_of
from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.registry import TASKS

IMAGES = np.random.default_rng(0).normal(100, 20, size=(5, 1, 40, 40)).astype(np.float32)


def numbers(answer: Any) -> list[float]:
    """All numbers of an answer, of whatever task."""
    if isinstance(answer, dict):
        return [number for part in answer.values() for number in numbers(part)]
    if isinstance(answer, list):
        return [number for part in answer for number in numbers(part)]
    return [] if isinstance(answer, str) else [float(answer)]


@pytest.fixture
def explain(make_model: Callable[..., tuple[Any, Any]]) -> Any:
    model, processor = make_model(spread=20)
    return pipeline("lens-classification", model=model, image_processor=processor)


@pytest.mark.parametrize("family", ["swin", "vit"])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_answers_alike_in_batches(task: str, family: str) -> None:
    torch.manual_seed(0)
    options = {"anomaly_score": "reconstruction"} if task == "anomaly_detection" else {}
    config = build_config(f"deeplense-{family}-test", image_size=32, task=task, **options)
    model = auto_class_of(config).from_config(config).eval()
    if task == "anomaly_detection":
        model.normal.fit_scores(torch.tensor([0.5, 1.5]))
    ask = pipeline("lens-classification", model=model, image_processor=DeepLenseImageProcessor(size=32))
    alone = [numbers(ask(image)) for image in IMAGES]
    for size in (1, 2, 8):
        assert [numbers(answer) for answer in ask(list(IMAGES), batch_size=size)] == [
            pytest.approx(one, rel=1e-4, abs=1e-5) for one in alone
        ]


@pytest.mark.parametrize("name", ["lens-classification", "image-classification"])
def test_images_of_several_sizes_share_a_batch(name: str, make_model: Callable[..., tuple[Any, Any]]) -> None:
    model, _ = make_model(spread=20)
    # as ensembles have it, whose members process the images
    ask = pipeline(name, model=model, image_processor=DeepLenseImageProcessor())
    sizes = (32, 40, 32, 48, 40, 32, 32)
    images = [np.random.default_rng(seed).normal(size=(side, side)) for seed, side in enumerate(sizes)]
    alone = [numbers(ask(image)) for image in images]
    assert len({tuple(one) for one in alone}) == len(images)
    for size in (2, 3, 7, 10):
        for form in (images, iter(images)):
            assert [numbers(answer) for answer in ask(form, batch_size=size)] == [
                pytest.approx(one, rel=1e-4, abs=1e-5) for one in alone
            ]


def test_whatever_holds_images_is_a_list_of_them(explain: Any, tmp_path: Path) -> None:
    expected = [pytest.approx(numbers(explain(image)), abs=1e-5) for image in IMAGES]
    rows = Dataset.from_dict({"image": list(IMAGES)}, Features({"image": Array3D((1, 40, 40), "float32")}))
    np.save(tmp_path / "0.npy", IMAGES[0])
    for size in (1, 2):
        for form in (rows["image"], deque(IMAGES), rows.with_format("numpy")["image"]):
            answers = explain(form, batch_size=size)
            assert isinstance(answers, list)
            assert [numbers(answer) for answer in answers] == expected
        for form in (KeyDataset(rows, "image"), map(np.array, IMAGES), iter(IMAGES), (image for image in IMAGES)):
            answers = explain(form, batch_size=size)
            assert isinstance(answers, Iterator | torch.utils.data.IterableDataset)
            assert [numbers(answer) for answer in answers] == expected
    assert explain(deque()) == explain(rows.select([])["image"]) == list(explain(iter(()))) == []
    assert numbers(explain(deque([str(tmp_path / "0.npy")]))) == expected[0]
    for wrong, kind in ((b"bytes", "bytes"), ({"image": IMAGES[0]}, "dict"), (deque([3]), "int"), (rows, "Dataset")):
        with pytest.raises(ValueError, match=f"an image is a NumPy array, .* not {kind}"):
            explain(wrong)


def test_iterators_are_asked_for_an_image_when_its_turn_comes(explain: Any) -> None:
    asked: list[int] = []

    def images() -> Iterator[np.ndarray]:
        for number, image in enumerate(IMAGES):
            asked.append(number)
            yield image

    answers = iter(explain(map(np.array, images())))
    next(answers)
    assert len(asked) < len(IMAGES)


def test_the_image_processor_takes_sequences_and_iterators() -> None:
    processor = DeepLenseImageProcessor(size=32)
    expected = processor(list(IMAGES), return_tensors="pt")["pixel_values"]
    rows = Dataset.from_dict({"image": list(IMAGES)}, Features({"image": Array3D((1, 40, 40), "float32")}))
    for form in (rows["image"], deque(IMAGES), map(np.array, IMAGES)):
        torch.testing.assert_close(processor(form, return_tensors="pt")["pixel_values"], expected)


@pytest.fixture
def stock() -> Any:
    torch.manual_seed(0)
    model = ViTForImageClassification(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32)
    )
    return pipeline("image-classification", model=model.eval(), image_processor=ViTImageProcessor(size=32))


def test_stock_models_take_8_bits_by_every_door(stock: Any, tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (40, 44, 3)).astype(np.uint8)
    picture = Image.fromarray(colours)
    turned = Image.Exif()
    turned[274] = 6
    for ending in ("png", "bmp", "tif"):
        picture.save(tmp_path / f"x.{ending}")
    picture.save(tmp_path / "x.webp", lossless=True)
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turned)
    np.save(tmp_path / "x.npy", colours)
    with torch.no_grad():
        pixels = stock.image_processor(picture, return_tensors="pt")
        logits = stock.model(**pixels).logits
    expected = logits.softmax(-1).max().item()
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    several = [stock(colours), stock(np.moveaxis(colours, -1, 0)), stock(torch.from_numpy(colours)), stock(picture)]
    for answer in (*stock(paths), *stock(map(Path, paths), batch_size=2), *stock(np.stack([colours] * 2)), *several):
        assert answer[0]["score"] == pytest.approx(expected, rel=1e-6)


def test_stock_models_refuse_what_is_not_of_8_bits(stock: Any, tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (40, 44)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.save(tmp_path / "deep.npy", deep)
    colours = np.random.default_rng(1).random((40, 44, 3))
    forms = [deep, Image.fromarray(deep), Image.fromarray(deep.astype(np.float32)), colours, torch.from_numpy(colours)]
    for form in (*forms, *map(str, tmp_path.iterdir())):
        with pytest.raises(ValueError, match="takes 8-bit images, but this one holds values from"):
            stock(form)
    (tmp_path / "damaged.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"damaged\.png is not a readable image: it is none of"):
        stock(str(tmp_path / "damaged.png"))
