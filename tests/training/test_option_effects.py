"""Options that would be ignored are refused, and defaults never are."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deeplense_hf.cli import parse_options
from deeplense_hf.tasks.registry import TASKS
from deeplense_hf.training.option_effects import CONDITIONS, check_effects, defaults_of
from deeplense_hf.training.run import run_training, write_options


def options_of(*words: str) -> tuple[Any, ...]:
    return parse_options("train", ["--use_cpu", *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--frozen_layers", "1", "--freeze_backbone"],
            "frozen_layers=1 has no effect here: freeze_backbone=True keeps",
        ),
        (["--task", "regression", "--label_smoothing_factor", "0.1"], "label_smoothing_factor=0.1 has no effect here"),
        (["--task", "masked_image_modeling", "--label_smoothing_factor", "0.1"], "and the task is masked_image"),
        (["--focal_gamma", "1"], "focal_gamma=1.0 has no effect here: it belongs to loss='focal'"),
        (["--loss", "focal", "--asymmetric_gamma", "1"], "asymmetric_gamma=1.0 has no effect here"),
        (["--mixing_alpha", "1"], "mixing_alpha=1.0 has no effect here: mixing is 'none'"),
        (["--distillation_weight", "0.9"], "distillation_weight=0.9 has no effect here: there are no teachers"),
        (["--distillation_temperature", "3"], "distillation_temperature=3.0 has no effect here"),
        (["--curriculum_start", "0.5"], "curriculum_start=0.5 has no effect here: curriculum is 'none'"),
        (["--curriculum", "hard_negatives", "--curriculum_growth", "0.9"], "'hard_negatives', which does not grow"),
        (
            ["--targets", "einstein_radius"],
            "targets=einstein_radius has no effect here: it belongs to task='regression'",
        ),
        (["--task", "regression", "--anomaly_score", "reconstruction"], "it belongs to task='anomaly_detection'"),
        (["--mask_size", "4"], "no part of an image is hidden in the task classification"),
    ],
)
def test_what_would_be_ignored_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no effect here") as error:
        run_training(*options_of(*words, "--output_dir", str(tmp_path / "run")))
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words",
    [
        *(["--task", task] for task in TASKS),
        ["--frozen_layers", "1"],
        ["--task", "lens_finding", "--focal_gamma", "1"],
        ["--task", "lens_finding", "--label_smoothing_factor", "0.1"],
        ["--loss", "asymmetric", "--asymmetric_gamma", "1"],
        ["--mixing", "cutmix", "--mixing_alpha", "1"],
        ["--teachers", "a", "--distillation_weight", "0.9", "--distillation_temperature", "3"],
        ["--curriculum", "hard_negatives", "--curriculum_start", "0.2"],
        ["--curriculum", "loss", "--curriculum_growth", "0.9"],
        ["--task", "anomaly_detection", "--normal_class", "cdm", "--mask_ratio", "0.3"],
    ],
    ids=" ".join,
)
def test_what_acts_and_defaults_are_accepted(words: list[str], tmp_path: Path) -> None:
    options = options_of(*words)
    check_effects(options)
    # as a later run reads them, defaults among them
    write_options(tmp_path, options[:3], options[3])
    check_effects(options_of("--config", str(tmp_path / "training_options.yaml")))


def test_what_decides_the_weights_is_written_down(tmp_path: Path) -> None:
    options = options_of("--max_steps", "3")
    write_options(tmp_path, options[:3], options[3])
    written = yaml.safe_load((tmp_path / "training_options.yaml").read_text())
    assert written["learning_rate"] == options[3].learning_rate
    assert written["lr_scheduler_type"] == "cosine"
    assert written["seed"] == 0
    assert written["max_steps"] == 3
    assert "num_train_epochs" not in written, "it does not end the run"


def test_options_of_released_models_are_accepted(repository_root: Path) -> None:
    for file in sorted((repository_root / "model_cards").glob("*/training_options.yaml")):
        check_effects(options_of("--config", str(file)))


def test_an_interrupted_run_goes_on_with_its_options(tmp_path: Path) -> None:
    words = ["--mixing_alpha", "1", "--output_dir", str(tmp_path), "--resume_from_checkpoint"]
    with pytest.raises(FileNotFoundError, match="no complete checkpoint"):
        run_training(*options_of(*words))


def test_conditions_name_options() -> None:
    known = defaults_of(options_of())
    for condition in CONDITIONS:
        assert {*condition.options, *condition.decided_by} <= set(known)
