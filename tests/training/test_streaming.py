"""A stream of new systems: the same for any workers, processes and interruptions, and apart from every data set."""

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from safetensors.torch import load_file

from deeplense_hf.augmentation.policies import Augmentation
from deeplense_hf.cli import main
from deeplense_hf.data.schema import IMAGE, LABEL, SYSTEM_INDEX
from deeplense_hf.simulation.recipes import get_recipe
from deeplense_hf.simulation.simulator import SimulatedBatch, simulate_batch
from deeplense_hf.tasks.classification import ClassificationTask
from deeplense_hf.training.streaming import (
    FIRST_STREAM_INDEX,
    StreamedLenses,
    StreamSampler,
    SystemStream,
    _joined,
    stream_lenses,
    streamed_recipe,
)


@pytest.fixture(scope="module")
def stream() -> SystemStream:
    return SystemStream("test", seed=3)


def test_a_position_alone_decides_the_system(stream: SystemStream) -> None:
    whole = stream.simulate(range(100, 112))
    part = SystemStream("test", seed=3).simulate([111, 105])
    for name, column in whole.items():
        np.testing.assert_array_equal(part[name], column[[11, 5]])
    assert not np.array_equal(SystemStream("test", seed=4).simulate([105])[IMAGE], part[IMAGE][1:])


def test_stream_shows_the_systems_of_the_simulator(stream: SystemStream) -> None:
    batch = stream.simulate([8])
    name, index = stream.class_names[batch[LABEL][0]], int(batch[SYSTEM_INDEX][0])
    alone = simulate_batch(get_recipe("test"), name, [index], seed=3)
    np.testing.assert_array_equal(batch[IMAGE], alone.images)
    np.testing.assert_array_equal(batch["source_x"], alone.parameters["source_x"])


def test_systems_never_repeat_nor_meet_those_of_a_data_set(stream: SystemStream) -> None:
    labels, indices = stream.systems(range(3000))
    assert len(set(zip(labels.tolist(), indices.tolist(), strict=True))) == 3000
    assert indices.min() >= FIRST_STREAM_INDEX
    # every class once in three, in an order that changes
    rounds = labels.reshape(-1, 3)
    assert (np.sort(rounds, axis=1) == [0, 1, 2]).all()
    assert len({tuple(order) for order in rounds.tolist()}) == 6
    assert stream.simulate([])[IMAGE].shape == (0, 1, 32, 32)


def test_column_that_only_some_classes_have_is_empty_for_the_others() -> None:
    image = np.zeros((2, 1, 4, 4), dtype=np.float32)
    parts = [
        SimulatedBatch(image, {"shear_1": np.ones(2)}, "lens"),
        SimulatedBatch(image, {"look_alike": np.array(["ring", "spiral"]), "look_count": np.array([1, 2])}, "non_lens"),
    ]
    assert _joined(parts, "look_alike").tolist() == ["", "", "ring", "spiral"]
    np.testing.assert_array_equal(_joined(parts, "shear_1"), [1, 1, np.nan, np.nan])
    np.testing.assert_array_equal(_joined(parts, "look_count"), [np.nan, np.nan, 1, 2])


def loaded(data: StreamedLenses, epochs: int, **options: Any) -> list[dict[str, Any]]:
    """Batches of some epochs."""
    loader = torch.utils.data.DataLoader(data, batch_size=6, sampler=data.sampler, collate_fn=lambda x: x, **options)
    batches = []
    for epoch in range(epochs):
        data.sampler.set_epoch(epoch)
        batches += list(loader)
    return batches


def test_workers_and_epochs_change_nothing(stream: SystemStream) -> None:
    data = StreamedLenses(
        stream, ClassificationTask(("axion", "no_sub", "cdm")), 12, augmentation=Augmentation("lens", seed=0)
    )
    by_hand = loaded(data, 2)
    by_workers = loaded(data, 2, num_workers=2, persistent_workers=True)
    assert len(by_hand) == len(by_workers) == 4
    for one, other in zip(by_hand, by_workers, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    images = np.concatenate([batch["images"] for batch in by_hand])
    assert len(np.unique(images.reshape(24, -1), axis=0)) == 24


def test_labels_are_those_of_the_model(stream: SystemStream) -> None:
    names = ("axion", "no_sub", "cdm")
    labels = StreamedLenses(stream, ClassificationTask(names), 12).__getitems__(range(6))["labels"]
    theirs = stream.simulate(range(6))[LABEL]
    assert [names[label] for label in labels] == [stream.class_names[label] for label in theirs]


def test_processes_share_an_epoch_without_repetition(stream: SystemStream) -> None:
    data = StreamedLenses(stream, ClassificationTask(stream.class_names), systems_per_epoch=30, batch_size=2 * 8)
    assert len(data) == 32
    data.sampler.set_epoch(1)
    batches = torch.utils.data.BatchSampler(data.sampler, 8, drop_last=False)
    shares = [list(itertools.chain(*BatchSamplerShard(batches, 2, process))) for process in (0, 1)]
    assert [len(share) for share in shares] == [16, 16]
    assert sorted(shares[0] + shares[1]) == list(range(32, 64))


def test_iterable_goes_on_where_it_stood() -> None:
    steady = list(itertools.islice(stream_lenses("test", batch_size=4), 5))
    interrupted = stream_lenses("test", batch_size=4)
    list(itertools.islice(interrupted, 2))
    resumed = stream_lenses("test", batch_size=4)
    resumed.load_state_dict(interrupted.state_dict())
    for stream in (resumed, stream_lenses("test", batch_size=4, start=2)):
        for one, other in zip(steady[2:], stream, strict=False):
            np.testing.assert_array_equal(one[IMAGE], other[IMAGE])


def test_iterable_is_shared_among_workers_and_processes() -> None:
    steady = [batch[SYSTEM_INDEX] for batch in itertools.islice(stream_lenses("test", batch_size=3), 8)]
    loader = torch.utils.data.DataLoader(stream_lenses("test", batch_size=3, start=1), batch_size=None, num_workers=2)
    by_workers = [batch[SYSTEM_INDEX].numpy() for batch in itertools.islice(loader, 7)]
    np.testing.assert_array_equal(by_workers, steady[1:])
    for process in (0, 1):
        share = stream_lenses("test", batch_size=3, process_index=process, num_processes=2)
        taken = [batch[SYSTEM_INDEX] for batch in itertools.islice(share, 4)]
        np.testing.assert_array_equal(taken, steady[process::2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: streamed_recipe("simulate:modl_1"), "did you mean 'simulate:model_1'"),
        (lambda: streamed_recipe("simulate:"), "dataset='simulate:' names no recipe"),
        (lambda: stream_lenses("test", seed=-1), "seed=-1 must not be negative"),
        (lambda: stream_lenses("test", batch_size=0), "batch_size=0 must be at least 1"),
        (lambda: stream_lenses("test", process_index=2, num_processes=2), "process_index=2 must be one of 0 to 1"),
        (lambda: SystemStream("test", 0).systems([-1]), "lowest position is -1"),
    ],
)
def test_mistakes_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_other_data_sets_are_not_streamed() -> None:
    assert streamed_recipe("model_1") is None
    assert list(StreamSampler(3)) == [0, 1, 2]


def test_resumed_training_is_that_without_interruption(
    quick: list[str], lens_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPLENSE_HF_CACHE", str(lens_cache))
    seen: list[int] = []
    simulate = SystemStream.simulate

    def watched(self: SystemStream, positions: Any) -> Any:
        seen.extend(positions)
        return simulate(self, positions)

    monkeypatch.setattr(SystemStream, "simulate", watched)
    words = ["train", *quick, "--dataset", "simulate:test", "--num_train_epochs", "2", "--save_strategy", "steps"]
    words += [
        "--save_steps",
        "11",
        "--eval_strategy",
        "no",
        "--load_best_model_at_end",
        "False",
        "--dataloader_num_workers",
        "0",
    ]
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    assert main([*words, "--output_dir", str(straight)]) == 0
    # 120 systems an epoch in 8 batches of 16
    assert seen == list(range(256))
    resumed.mkdir()
    shutil.copytree(straight / "checkpoint-11", resumed / "checkpoint-11")
    seen.clear()
    assert main([*words, "--output_dir", str(resumed), "--resume_from_checkpoint"]) == 0
    assert seen == list(range(11 * 16, 256))
    one, other = (load_file(folder / "model.safetensors") for folder in (straight, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_second_loop_shows_no_lens_again_whatever_the_workers() -> None:
    for workers in (0, 2):
        stream = stream_lenses("test", seed=0, batch_size=2)
        loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers)
        batches = [batch for _ in range(2) for batch in itertools.islice(loader, 3)]
        seen = [pair for batch in batches for pair in zip(batch[LABEL], batch[SYSTEM_INDEX], strict=True)]
        assert len({(int(label), int(index)) for label, index in seen}) == len(seen) == 12
