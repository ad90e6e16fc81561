"""Data sets come back from the Hub bit by bit, one or several to a repository."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from huggingface_hub.errors import LocalEntryNotFoundError

from deeplense_hf.data.simulate import SimulateOptions, simulate
from deeplense_hf.hub.dataset_card import ConfigurationCard, card_of_configurations
from deeplense_hf.hub.push_dataset import PushDatasetOptions, _cards, _on_the_hub

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

    refused = push(client, "--datasets", str(dataset), "--repo_id", repository)
    assert refused.returncode == 1
    assert f"{repository} has named configurations (first, second); name this one too" in refused.stderr
    assert hub.files(repository, "dataset")["README.md"].decode() == card


def small(folder: Path, *shards: str) -> Path:
    """What suffices to be pushed."""
    (folder / "data").mkdir(parents=True)
    for shard in shards:
        (folder / "data" / shard).write_bytes(f"PAR1 {folder.name} PAR1".encode())
    files = [{"split": "train", "path": "data/train-*.parquet"}]
    head = yaml.safe_dump({"license": "mit", "configs": [{"config_name": "default", "data_files": files}]})
    (folder / "README.md").write_text(f"---\n{head}---\n\n# Lenses\n\nSome lenses.\n")
    (folder / "provenance.json").write_text(json.dumps({"fingerprint": "0", "shards": {}}))
    return folder


@pytest.mark.parametrize("words", [(), ("--config_names", "first")])
def test_earlier_shards_make_room(words: tuple[str, ...], hub: Any, client: Any, tmp_path: Path) -> None:
    repository, prefix = "ml4sci/deeplense-shards", "first/" if words else ""
    many = small(tmp_path / "many", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet")
    one = small(tmp_path / "one", "train-00000-of-00001.parquet")
    if words:
        other = push(client, "--datasets", str(many), "--config_names", "other", "--repo_id", repository)
        assert other.returncode == 0, other.stderr
    assert push(client, "--datasets", str(many), *words, "--repo_id", repository).returncode == 0
    listed = push(client, "--datasets", str(one), *words, "--repo_id", repository, "--dry_run").stdout
    gone = [f"{prefix}data/train-0000{number}-of-00002.parquet" for number in range(2)]
    assert [line.split()[1] for line in listed.splitlines() if line.startswith("deleted")] == gone
    commits = len(hub.repositories["dataset", repository].commits)
    pushed = push(client, "--datasets", str(one), *words, "--repo_id", repository)
    assert "2 deleted" in pushed.stdout
    assert len(hub.repositories["dataset", repository].commits) == commits + 1
    shards = [path for path in hub.files(repository, "dataset") if path.endswith(".parquet")]
    assert [path for path in shards if path.startswith(f"{prefix}data")] == [f"{prefix}data/{shard_of(one)}"]
    assert len(shards) == (3 if words else 1)


def shard_of(folder: Path) -> str:
    return next((folder / "data").iterdir()).name


def test_other_configurations_are_never_lost(hub: Any, client: Any, tmp_path: Path) -> None:
    repository = "ml4sci/deeplense-several"
    folder = small(tmp_path / "lenses", "train-00000-of-00001.parquet")
    words = ("--datasets", str(folder), "--repo_id", repository, "--config_names")
    assert push(client, *words, "first").returncode == 0
    # a new branch begins with what is on main
    drafted = push(client, *words, "second", "--revision", "draft")
    assert drafted.returncode == 0, drafted.stderr
    assert "[`first`](first/README.md)" in hub.files(repository, "dataset", "draft")["README.md"].decode()

    # what another one pushes after the cards were read is not in the new card
    def push_meanwhile(method: str, path: str) -> bool:
        if "/tree/" in path:
            found = hub.repositories["dataset", repository]
            found.commit(found.at("main")[1], "main")
        return False

    hub.breaks = push_meanwhile
    refused = push(client, *words, "third")
    assert refused.returncode == 1
    assert "somebody else pushed in the meantime" in refused.stderr
    assert "third/README.md" not in hub.files(repository, "dataset")


def card(configs: Any, **more: Any) -> str:
    return f"---\n{yaml.safe_dump({'configs': configs, **more})}---\n\n# Lenses\n\nSome lenses.\n"


SPLIT = {"split": "train", "path": "data/train-*"}


@pytest.mark.parametrize(
    "configs",
    [
        [],
        {},
        "default",
        [1],
        [{"config_name": "default"}],
        [{"config_name": "default", "data_files": []}],
        [{"config_name": "default", "data_files": [1]}],
        [{"config_name": "default", "data_files": [SPLIT, "data/test-*"]}],
        [{"config_name": "default", "data_files": [{"split": "train"}]}],
        [{"config_name": "default", "data_files": {"train": "data/*"}}],
        [{"config_name": "default", "data_files": "https://elsewhere.org/a.parquet"}],
        [{"config_name": "default", "data_files": [SPLIT]}, {"config_name": "other", "data_files": [SPLIT]}],
    ],
)
def test_a_card_that_was_changed_beyond_recognition_is_said(configs: Any) -> None:
    with pytest.raises(ValueError, match=r"you/x, first/README\.md is no card of a data set of deeplense_hf"):
        ConfigurationCard.read("first", card(configs), "you/x, first/README.md")


@pytest.mark.parametrize(
    ("files", "below"),
    [
        ([SPLIT], [{"split": "train", "path": "first/data/train-*"}]),
        ([{"split": "train", "path": ["a", "b"]}], [{"split": "train", "path": ["first/a", "first/b"]}]),
        ("data/*", "first/data/*"),
        (["a", "b"], ["first/a", "first/b"]),
    ],
)
def test_a_card_in_another_form_of_the_hub_is_kept(files: Any, below: Any) -> None:
    text = card([{"config_name": "default", "data_files": files, "default": True}], tags=["a", {"b": 1}], license=None)
    read = ConfigurationCard.read("first", text, "where")
    assert read.entry() == {"config_name": "first", "data_files": below, "default": True}
    assert "\ntags:\n- a\n" in card_of_configurations("Several", "you/x", [read])


def test_a_connection_lost_while_cards_are_read_is_said() -> None:
    class Lost:
        """A client that reaches the Hub for the last time before it reads the cards."""

        def repo_info(self, *arguments: Any, **options: Any) -> Any:
            return SimpleNamespace(sha="0" * 40, private=False)

        def list_repo_files(self, *arguments: Any, **options: Any) -> list[str]:
            return ["README.md", "first/README.md", "first/data/train-00000-of-00001.parquet"]

        def hf_hub_download(self, *arguments: Any, **options: Any) -> str:
            raise LocalEntryNotFoundError("An error happened while trying to locate the file on the Hub")

    options, lost = PushDatasetOptions(["lenses"], ["second"], repo_id="ml4sci/x"), Lost()
    commit, paths = _on_the_hub(options, lost)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="the connection to the Hub was lost"):
        _cards(options, lost, commit, paths)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("datasets", "names", "message"),
    [
        ([], [], "datasets is empty; give the folder of a data set"),
        ([], ["x"], "datasets is empty"),
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
