"""Images per second of a training step: DeepLense Swin and ViT beside transformers' Swin and ViT of equal shape.

    python benchmarks/training_speed.py --device cpu --threads 2

A step is forward, backward and AdamW. Models of a pair have the same stem (patch), widths, depths, heads and windows,
and take turns within the same run; each is judged by its quickest step, which other work on the machine disturbs least.
Prints a table and one line of JSON.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from transformers import (
    HfArgumentParser,
    PreTrainedModel,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from deeplense_hf.models.modeling_deeplense_swin import DeepLenseSwinForImageClassification
from deeplense_hf.models.modeling_deeplense_vit import DeepLenseViTForImageClassification
from deeplense_hf.models.presets import build_config

LABELS = {0: "no_sub", 1: "cdm", 2: "axion"}


@dataclass
class SpeedOptions:
    """What is timed."""

    size: str = field(default="tiny", metadata={"help": "named size of both families"})
    image_size: int = field(default=96, metadata={"help": "side of the images [pixels]"})
    batch_size: int = field(default=64, metadata={"help": "images of a step"})
    steps: int = field(default=8, metadata={"help": "timed steps of each model"})
    device: str = field(default="cpu", metadata={"help": "cpu or cuda"})
    threads: int | None = field(default=None, metadata={"help": "CPU threads; torch decides when absent"})
    bf16: bool = field(default=False, metadata={"help": "autocast to bfloat16"})


def swin_pair(options: SpeedOptions) -> tuple[PreTrainedModel, PreTrainedModel]:
    config = build_config(
        f"deeplense-swin-{options.size}", image_size=options.image_size, stem="patch", id2label=LABELS
    )
    stock = SwinConfig(
        image_size=options.image_size,
        patch_size=config.patch_size,
        num_channels=1,
        embed_dim=config.embed_dim,
        depths=list(config.depths),
        num_heads=list(config.num_heads),
        window_size=config.window_size,
        mlp_ratio=config.mlp_ratio,
        drop_path_rate=config.drop_path_rate,
        id2label=LABELS,
    )
    return DeepLenseSwinForImageClassification(config), SwinForImageClassification(stock)


def vit_pair(options: SpeedOptions) -> tuple[PreTrainedModel, PreTrainedModel]:
    config = build_config(f"deeplense-vit-{options.size}", image_size=options.image_size, stem="patch", id2label=LABELS)
    stock = ViTConfig(
        image_size=options.image_size,
        patch_size=config.patch_size,
        num_channels=1,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=int(config.mlp_ratio * config.hidden_size),
        id2label=LABELS,
    )
    return DeepLenseViTForImageClassification(config), ViTForImageClassification(stock)


def training_step(model: PreTrainedModel, options: SpeedOptions) -> Callable[[], None]:
    torch.nn.Module.to(model, options.device)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    shape = (options.batch_size, 1, options.image_size, options.image_size)
    pixel_values = torch.randn(shape, device=options.device)
    labels = torch.randint(0, 3, (options.batch_size,), device=options.device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(options.device.partition(":")[0], torch.bfloat16, enabled=options.bf16):
            loss = model(pixel_values=pixel_values, labels=labels).loss
        loss.backward()
        optimizer.step()

    return step


def images_per_second(models: dict[str, PreTrainedModel], options: SpeedOptions) -> dict[str, float]:
    steps = {name: training_step(model, options) for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    # the first two rounds warm up
    for turn in range(options.steps + 2):
        for name, step in steps.items():
            begin = time.perf_counter()
            step()
            if options.device.startswith("cuda"):
                torch.cuda.synchronize()
            if turn >= 2:
                seconds[name].append(time.perf_counter() - begin)
    return {name: options.batch_size / min(times) for name, times in seconds.items()}


def main() -> None:
    (options,) = HfArgumentParser(SpeedOptions).parse_args_into_dataclasses()  # type: ignore[arg-type]
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    our_swin, stock_swin = swin_pair(options)
    our_vit, stock_vit = vit_pair(options)
    default = build_config(f"deeplense-swin-{options.size}", image_size=options.image_size, id2label=LABELS)
    models: dict[str, PreTrainedModel] = {
        "DeepLense Swin": our_swin,
        "transformers Swin": stock_swin,
        "DeepLense ViT": our_vit,
        "transformers ViT": stock_vit,
        "DeepLense Swin, its own stem": DeepLenseSwinForImageClassification(default),
    }
    parameters = {name: sum(weights.numel() for weights in model.parameters()) for name, model in models.items()}
    speed = images_per_second(models, options)
    print(f"{'model':30} {'parameters':>12} {'images/s':>10} {'ratio':>7}")
    for name in models:
        stock = name.replace("DeepLense", "transformers")
        ratio = f"{speed[name] / speed[stock]:7.2f}" if stock in speed and stock != name else ""
        print(f"{name:30} {parameters[name]:12,} {speed[name]:10.1f} {ratio}")
    print(json.dumps({"options": vars(options), "parameters": parameters, "images_per_second": speed}))


if __name__ == "__main__":
    main()
