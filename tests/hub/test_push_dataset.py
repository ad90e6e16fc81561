"""Data sets come back from the Hub bit by bit, one or several to a repository."""

from pathlib import Path
from typing import Any

import pytest

from deeplense_hf.data.simulate import SimulateOptions, simulate
from deeplense_hf.hub.push_dataset import PushDatasetOptions

LOAD = """
import sys
import numpy as np
from datasets import get_dataset_config_names, load_dataset
repository, folder, *name = sys.argv[1:]
here = load_dataset(folder)
there = load_dataset(repository, *name)
streamed = load_dataset(repository, *name, streaming=True)
assert list(there) == list(here) == list(streamed) == ["train", "validation", "test"]
for split in here:
    assert there[split].features == here[split].features
    rows = list(streamed[split])
    for index, row in enumerate(here[split]):
        np.testing.assert_equal(there[split][index], row)
        np.testing.assert_equal(rows[index], row)
print(get_dataset_config_names(repository))
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "lenses"
    simulate(SimulateOptions(recipe="test", images_per_class=6, output_dir=str(folder)))
    return folder


def push(client: Any, *options: str) -> Any:
    return client("-m", "deeplense_hf", "push-dataset", *options)


def test_one_data_set(hub: Any, client: Any, dataset: Path) -> None:
    words = ("--datasets", str(dataset), "--repo_id", "ml4sci/deeplense-test")
    listed = push(client, *words, "--dry_run")
    assert listed.returncode == 0, listed.stderr
    assert not hub.repositories
    pushed = push(client, *words)
    assert pushed.returncode == 0, pushed.stderr
    card = hub.files("ml4sci/deeplense-test", "dataset")["README.md"].decode()
    assert 'load_dataset("ml4sci/deeplense-test")' in card
    assert "path/of" not in card
    loaded = client("-c", LOAD, "ml4sci/deeplense-test", str(dataset))
    assert loaded.returncode == 0, loaded.stderr
    assert "['default']" in loaded.stdout
    assert "nothing to push" in push(client, *words).stdout


def test_configurations_join_those_that_are_there(hub: Any, client: Any, dataset: Path) -> None:
    repository = "ml4sci/deeplense-several"
    for name in ("first", "second"):
        pushed = push(client, "--datasets", str(dataset), "--config_names", name, "--repo_id", repository)
        assert pushed.returncode == 0, pushed.stderr
    card = hub.files(repository, "dataset")["README.md"].decode()
    assert "| [`first`](first/README.md) | 18 |" in card
    assert "| [`second`](second/README.md) | 18 |" in card
    loaded = client("-c", LOAD, repository, str(dataset), "second")
    assert loaded.returncode == 0, loaded.stderr
    assert "['first', 'second']" in loaded.stdout
    pushed = push(client, "--datasets", str(dataset), "--repo_id", "ml4sci/deeplense-plain")
    refused = push(client, "--datasets", str(dataset), "--config_names", "a", "--repo_id", "ml4sci/deeplense-plain")
    assert refused.returncode == 1
    assert "has one configuration without a name" in refused.stderr


@pytest.mark.parametrize(
    ("datasets", "names", "message"),
    [
        (["a", "b"], [], "2 datasets need as many config_names, not 0"),
        (["a"], ["x", "y"], "1 datasets need as many config_names, not 2"),
        (["a", "b"], ["x", "x"], "names one twice"),
        (["a"], ["../x"], "is no name"),
        (["a"], ["default"], "not 'default'"),
    ],
)
def test_names_must_fit(datasets: list[str], names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PushDatasetOptions(datasets, names, repo_id="ml4sci/x")


def test_what_is_no_data_set_is_refused(hub: Any, client: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("# other")
    refused = push(client, "--datasets", str(tmp_path / "other"), "--repo_id", "ml4sci/x")
    assert refused.returncode == 1
    assert "is no data set folder" in refused.stderr
