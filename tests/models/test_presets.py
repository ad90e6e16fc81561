"""Named sizes and the configurations they are made of."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForImageClassification

from deeplense_hf.models import DeepLenseSwinConfig, DeepLenseViTConfig
from deeplense_hf.models.presets import PARAMETER_COUNTS, PRESETS, build_config


@pytest.mark.parametrize("preset", PRESETS)
def test_parameter_counts(preset: str) -> None:
    config = build_config(preset, id2label={0: "no_sub", 1: "cdm", 2: "axion"})
    with torch.device("meta"):
        model = AutoModelForImageClassification.from_config(config)
    count = sum(weights.numel() for weights in model.parameters())
    assert count == PARAMETER_COUNTS[preset]
    # float32 weights of less than 10 MB fit into a repository
    assert "tiny" not in preset or count <= 2_400_000


def test_overrides() -> None:
    config = build_config("deeplense-swin-tiny", num_channels=4, id2label={0: "a", 1: "b", 2: "c"})
    assert config.num_channels == 4
    assert config.num_labels == 3
    with pytest.raises(ValueError, match="'deeplense-swin-huge' is not a named size; the names are"):
        build_config("deeplense-swin-huge")
    with pytest.raises(ValueError, match="has no option 'num_chanels'"):
        build_config("deeplense-vit-tiny", num_chanels=4)


@pytest.mark.parametrize(
    ("config_class", "options", "message"),
    [
        (DeepLenseSwinConfig, {"stem": "linear"}, "stem='linear' is not one of patch, conv"),
        (DeepLenseSwinConfig, {"patch_size": 2, "stem_channels": (8, 8, 8)}, "patch_size=2 is not a multiple of 4"),
        (DeepLenseSwinConfig, {"stem_channels": ()}, "must be positive numbers"),
        (DeepLenseSwinConfig, {"stem_blocks": -1}, "stem_blocks=-1"),
        (
            DeepLenseSwinConfig,
            {"embed_dim": 64, "num_heads": (2, 3)},
            r"num_heads\[1\]=3 does not divide the width 128",
        ),
        (DeepLenseSwinConfig, {"depths": (2, 2, 2)}, "one positive number per stage"),
        (DeepLenseSwinConfig, {"window_size": 0}, "window_size=0"),
        (DeepLenseSwinConfig, {"image_size": (32, 32, 32)}, "one positive side or"),
        (DeepLenseSwinConfig, {"num_channels": 0}, "num_channels=0 must be positive"),
        (DeepLenseSwinConfig, {"drop_path_rate": 1.0}, "drop_path_rate=1.0"),
        (DeepLenseSwinConfig, {"residual_init": "one"}, "residual_init='one'"),
        (DeepLenseViTConfig, {"pooling": "max"}, "pooling='max' is not one of cls, mean"),
        (DeepLenseViTConfig, {"num_attention_heads": 3}, "num_attention_heads=3 does not divide the width 128"),
        (DeepLenseViTConfig, {"num_hidden_layers": 0}, "num_hidden_layers=0"),
    ],
)
def test_options_out_of_range(config_class: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_class(**options)
