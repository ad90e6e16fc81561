"""What a model sees depends on seed, epoch and row only."""

import numpy as np
import pytest
import torch

from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.data.records import RecordBatch, as_table
from deeplense_hf.data.schema import PIXEL_SCALE, SYSTEM_ID, features
from deeplense_hf.models import DeepLenseImageProcessor
from deeplense_hf.models.presets import build_config
from deeplense_hf.tasks.classification import ClassificationTask
from deeplense_hf.tasks.options import TaskOptions
from deeplense_hf.training.batches import LensBatchDataset, LensCollator
from deeplense_hf.training.setup import with_validation


@pytest.fixture
def dataset():
    from datasets import Dataset, DatasetDict

    generator = np.random.default_rng(0)
    images = generator.poisson(50, size=(12, 1, 16, 16)).astype(np.float32)
    labels = np.array([0, 1, 2, -1] * 3)
    columns = {SYSTEM_ID: [str(row) for row in range(12)], PIXEL_SCALE: [0.05] * 12}
    declared = features(("no_sub", "cdm", "axion"), 1, 16, 16)
    split = Dataset(as_table(RecordBatch(images, labels, columns), declared))
    return DatasetDict({"train": split})


def test_batches_are_the_same_for_any_workers_and_batch_size(dataset) -> None:
    split = dataset["train"]
    data = LensBatchDataset(split, np.zeros(12, dtype=np.int64), Augmentation("lens", seed=3))
    data.set_epoch(2)
    collator = LensCollator(DeepLenseImageProcessor())
    whole = collator(data.__getitems__(list(range(12))))["pixel_values"]
    for workers, size in ((0, 5), (2, 4)):
        loader = torch.utils.data.DataLoader(data, batch_size=size, collate_fn=collator, num_workers=workers)
        torch.testing.assert_close(torch.cat([batch["pixel_values"] for batch in loader]), whole, rtol=0, atol=1e-5)
    data.set_epoch(3)
    assert not torch.equal(collator(data.__getitems__(list(range(12))))["pixel_values"], whole)


def test_workers_that_outlive_an_epoch_learn_of_the_next(dataset) -> None:
    data = LensBatchDataset(dataset["train"], np.zeros(12, dtype=np.int64), Augmentation("lens", seed=3))
    options = {"batch_size": 12, "collate_fn": lambda batch: batch["images"]}
    loader = torch.utils.data.DataLoader(data, num_workers=1, persistent_workers=True, **options)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        np.testing.assert_array_equal(next(iter(loader)), data.__getitems__(list(range(12)))["images"])


@pytest.mark.parametrize(
    ("shape", "expected"), [((16, 40), (12, 30)), ((33, 16), (25, 12)), ((16, 16), (12, 12)), ((8, 40), (8, 40))]
)
def test_small_images_keep_their_aspect_ratio(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    batch = {"images": np.random.default_rng(0).normal(size=(2, 1, *shape)).astype(np.float32), "epoch": 0}
    collator = LensCollator(DeepLenseImageProcessor(), size_of_epoch=lambda _: 12)
    inputs = collator(batch | {"pixel_scale": np.full(2, 0.05, dtype=np.float32)})
    assert inputs["pixel_values"].shape[-2:] == expected
    assert ("interpolate_pos_encoding" in inputs) == (shape != expected)


def test_task_reads_classes_and_drops_unlabelled_rows(dataset) -> None:
    task = ClassificationTask.from_dataset(dataset, TaskOptions(), "mine")
    assert task.class_names == ("no_sub", "cdm", "axion")
    labelled = dataset["train"].select(task.training_rows(dataset["train"]))
    assert len(labelled) == 9
    assert ClassificationTask(("axion", "no_sub", "cdm")).targets(labelled).tolist() == [1, 2, 0] * 3


def test_one_class_is_refused(dataset) -> None:
    only = dataset.filter(lambda row: row["label"] == 1)
    with pytest.raises(ValueError, match="at least two classes, and 'mine' has only cdm"):
        ClassificationTask.from_dataset(only, TaskOptions(), "mine")


def test_model_of_other_classes_is_refused(dataset) -> None:
    task = ClassificationTask.from_dataset(dataset, TaskOptions(), "mine")
    config = build_config("deeplense-swin-test", id2label={0: "lens", 1: "non_lens"})
    with pytest.raises(ValueError, match="knows the classes lens, non_lens"):
        task.check_model(config, "finder")


def test_validation_is_held_out_without_systems_too(dataset) -> None:
    splits = with_validation(dataset.remove_columns(SYSTEM_ID), "mine", seed=0)
    assert len(splits["train"]) + len(splits["validation"]) == 12


def test_validation_is_held_out_by_system_where_it_is_missing(dataset) -> None:
    splits = with_validation(dataset, "mine", seed=0)
    systems = {name: set(split["system_id"]) for name, split in splits.items()}
    assert systems["validation"]
    assert not systems["train"] & systems["validation"]
    assert systems["train"] | systems["validation"] == {str(row) for row in range(12)}
    with pytest.raises(ValueError, match="training needs 'train'"):
        with_validation(type(dataset)({"test": dataset["train"]}), "mine", seed=0)
