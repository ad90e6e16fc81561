"""The configurations for several GPUs are what accelerate reads, and all option files are what train reads."""

from pathlib import Path
from typing import Any

import pytest
from accelerate.commands import launch
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.utils import DeepSpeedPlugin, DistributedType
from accelerate.utils.launch import prepare_deepspeed_cmd_env

from deeplense_hf.cli import parse_options

CONFIGS = Path(__file__).parents[2] / "scripts" / "configs"
EXPECTED = {
    "fsdp.yaml": DistributedType.FSDP,
    "deepspeed.yaml": DistributedType.DEEPSPEED,
    "multi_gpu.yaml": DistributedType.MULTI_GPU,
}


@pytest.mark.parametrize("path", sorted((CONFIGS / "accelerate").glob("*.yaml")), ids=lambda path: path.name)
def test_accelerate_reads_the_configuration(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == EXPECTED[path.name]
    assert config.num_processes == 2
    assert config.mixed_precision == "bf16"


def test_deepspeed_is_left_what_the_options_of_train_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(CONFIGS / "accelerate" / "deepspeed.yaml")
    started: list[Any] = []
    monkeypatch.setattr(launch, "deepspeed_launcher", started.append)
    launch.launch_command(launch.launch_command_parser().parse_args(["--config_file", path, "train.py"]))
    _, environment = prepare_deepspeed_cmd_env(started[0])
    for name, value in environment.items():
        if name.startswith("ACCELERATE_"):
            monkeypatch.setenv(name, value)
    # what transformers fills in from TrainingArguments, and compares with them where it is no "auto"
    config = DeepSpeedPlugin().deepspeed_config
    names = ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping")
    assert {config[name] for name in names} == {"auto"}
    assert config["zero_optimization"]["stage"] == 2


def test_sharding_wraps_what_the_models_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.utils import FullyShardedDataParallelPlugin
    from transformers import AutoModelForImageClassification

    from deeplense_hf.models.presets import build_config

    options = load_config_from_file(str(CONFIGS / "accelerate" / "fsdp.yaml")).fsdp_config
    for name, value in options.items():
        monkeypatch.setenv(name.upper(), str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    for preset in ("deeplense-swin-test", "deeplense-vit-test"):
        plugin.set_auto_wrap_policy(AutoModelForImageClassification.from_config(build_config(preset)))
        assert plugin.auto_wrap_policy is not None


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_option_files_are_read(path: Path) -> None:
    if path.name == "search_space.yaml":
        words = ["--search_space", str(path)]
        assert parse_options("search", words)[0].search_space == str(path)
    else:
        parse_options("train", ["--config", str(path), "--output_dir", "nowhere"])
