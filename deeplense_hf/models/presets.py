"""Named sizes: the configurations that `--model` knows by name."""

from typing import Any

from transformers import PreTrainedConfig

from .configuration_deeplense_backbone import DeepLenseBackboneConfig
from .configuration_deeplense_swin import DeepLenseSwinConfig
from .configuration_deeplense_vit import DeepLenseViTConfig

FAMILIES: dict[str, type[PreTrainedConfig]] = {
    "deeplense-swin": DeepLenseSwinConfig,
    "deeplense-vit": DeepLenseViTConfig,
    "resnet": DeepLenseBackboneConfig,
}

# options that differ from the family's defaults
PRESETS: dict[str, dict[str, Any]] = {
    "deeplense-swin-test": {
        "stem_channels": (8, 8),
        "patch_size": 4,
        "embed_dim": 16,
        "depths": (2, 1),
        "num_heads": (2, 2),
        "window_size": 4,
    },
    "deeplense-swin-tiny": {},
    # the best of benchmarks/ablation.py; for square images whose side is a multiple of 16 and at most 96 pixels, and
    # for answers that do not depend on the orientation
    "deeplense-swin-equivariant": {"stem": "equivariant", "symmetry": "equivariant", "window_size": 12},
    # a Swin as transformers has it, for hosts that run no code of ours (hub/stock_export.py); images of 48 pixels
    "deeplense-swin-stock": {
        "stem": "patch",
        "patch_size": 4,
        "image_size": 48,
        "embed_dim": 96,
        "depths": (2, 4),
        "num_heads": (3, 6),
        "adaptive_window": False,
    },
    "deeplense-swin-small": {
        "stem_channels": (24, 48, 96, 192),
        "embed_dim": 192,
        "depths": (2, 4),
        "num_heads": (6, 12),
        "drop_path_rate": 0.1,
    },
    "deeplense-swin-base": {
        "stem_channels": (32, 64, 128, 256),
        "stem_blocks": 2,
        "embed_dim": 256,
        "depths": (2, 6),
        "num_heads": (8, 16),
        "drop_path_rate": 0.2,
    },
    "deeplense-vit-test": {
        "stem_channels": (8, 8),
        "patch_size": 4,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    "deeplense-vit-tiny": {},
    "deeplense-vit-small": {
        "stem_channels": (24, 48, 96, 192),
        "hidden_size": 256,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "drop_path_rate": 0.1,
    },
    "deeplense-vit-base": {
        "stem_channels": (32, 64, 128, 256),
        "stem_blocks": 2,
        "hidden_size": 384,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "drop_path_rate": 0.2,
    },
    # baselines, without pretrained weights
    "resnet-test": {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 8,
            "hidden_sizes": (8, 16),
            "depths": (1, 1),
        },
        "output_stride": 8,
    },
    "resnet-18": {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 64,
            "hidden_sizes": (64, 128, 256, 512),
            "depths": (2, 2, 2, 2),
        },
        "output_stride": 32,
    },
}


# weights of a classifier of one band and three classes; those of a tiny size fit into 10 MB
PARAMETER_COUNTS: dict[str, int] = {
    "deeplense-swin-test": 24_609,
    "deeplense-swin-tiny": 1_645_635,
    "deeplense-swin-equivariant": 1_284_377,
    "deeplense-swin-stock": 2_084_049,
    "deeplense-swin-small": 9_020_775,
    "deeplense-swin-base": 23_897_043,
    "deeplense-vit-test": 11_659,
    "deeplense-vit-tiny": 1_518_899,
    "deeplense-vit-small": 7_068_619,
    "deeplense-vit-base": 24_203_235,
    "resnet-test": 5_323,
    "resnet-18": 11_171_779,
}


def build_config(preset: str, **overrides: Any) -> PreTrainedConfig:
    """Make the configuration of a named size.

    Args:
        preset: A key of `PRESETS`.
        **overrides: Options of the family's configuration, for example `num_channels` or `id2label`.

    Returns:
        The configuration.

    Raises:
        ValueError: If the name or an option is unknown.
    """
    if preset not in PRESETS:
        raise ValueError(f"'{preset}' is not a named size; the names are {', '.join(PRESETS)}.")
    family = FAMILIES[preset.rpartition("-")[0]]
    options = PRESETS[preset] | overrides
    known = {name for base in family.__mro__ for name in getattr(base, "__annotations__", {})}
    unknown = sorted(set(options) - known - {"num_labels", "id2label", "label2id", "problem_type"})
    if unknown:
        raise ValueError(f"{family.__name__} has no option '{unknown[0]}'.")
    return family(**options)
