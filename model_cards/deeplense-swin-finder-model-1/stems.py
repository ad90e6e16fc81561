"""Stems: from the pixels of an image to a map of tokens."""

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from .configuration_deeplense import DeepLenseConfig, first_stride
from .equivariant import EquivariantStem
from .layers import LastNorm


class PatchStem(nn.Module):
    """Non-overlapping patches by one strided convolution; images are padded to whole patches.

    Args:
        config: `patch_size` and `num_channels`.
        dim: Width of the tokens.
    """

    def __init__(self, config: DeepLenseConfig, dim: int) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = nn.Conv2d(config.num_channels, dim, config.patch_size, config.patch_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map `(batch, channels, height, width)` to `(batch, dim, rows, columns)`."""
        height, width = pixel_values.shape[-2:]
        bottom, right = -height % self.patch_size, -width % self.patch_size
        if bottom or right:
            pixel_values = nn.functional.pad(pixel_values, (0, right, 0, bottom))
        return self.projection(pixel_values)


class ResidualConvBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection.

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: 2 halves the resolution.
        activation: Name of the activation.

    Source:
        He et al. (2016), arXiv:1512.03385, with the pooled shortcut of He et al. (2019), arXiv:1812.01187. Batch
        normalisation, since group normalisation halves the speed of training on a CPU.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation: str) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(channels_out)
        self.conv_2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm_2 = LastNorm(channels_out)
        self.activation = ACT2FN[activation]
        self.shortcut = pooled_shortcut(channels_in, channels_out, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, channels_in, height, width)` to `(batch, channels_out, height / stride, width / stride)`."""
        branch = self.activation(self.norm_1(self.conv_1(features)))
        return self.activation(self.norm_2(self.conv_2(branch)) + self.shortcut(features))


def pooled_shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Make the shortcut of a residual block: nothing, or average pooling and a 1x1 convolution.

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: 2 halves the resolution.

    Returns:
        The layers.

    Source:
        He et al. (2019), arXiv:1812.01187, figure 2c.
    """
    layers: list[nn.Module] = []
    if stride > 1:
        # odd sizes round up as the strided convolution does
        layers.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
    if stride > 1 or channels_in != channels_out:
        layers += [nn.Conv2d(channels_in, channels_out, 1, bias=False), nn.BatchNorm2d(channels_out)]
    return nn.Sequential(*layers)


class InvertedBlock(nn.Module):
    """Expand by a 1x1 convolution, mix space by a depthwise one, project back; with a residual connection.

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: 2 halves the resolution.
        activation: Name of the activation.

    Source:
        Sandler et al. (2018), arXiv:1801.04381, as the convolutional stages of CoAtNet (Dai et al. 2021,
        arXiv:2106.04803), without squeeze-and-excitation.
    """

    expansion = 4

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation: str) -> None:
        super().__init__()
        hidden = self.expansion * channels_in
        self.expand = nn.Conv2d(channels_in, hidden, 1, bias=False)
        self.norm_1 = nn.BatchNorm2d(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False)
        self.norm_2 = nn.BatchNorm2d(hidden)
        self.project = nn.Conv2d(hidden, channels_out, 1, bias=False)
        self.norm_3 = LastNorm(channels_out)
        self.activation = ACT2FN[activation]
        self.shortcut = pooled_shortcut(channels_in, channels_out, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, channels_in, height, width)` to `(batch, channels_out, height / stride, width / stride)`."""
        branch = self.activation(self.norm_1(self.expand(features)))
        branch = self.activation(self.norm_2(self.depthwise(branch)))
        return self.norm_3(self.project(branch)) + self.shortcut(features)


class ConvStem(nn.Module):
    """Residual convolutional stages; every stage but the first halves the resolution.

    Substructure shows at the scale of a pixel or two, which overlapping convolutions at full resolution see and
    patches of several pixels must learn to undo.

    Args:
        config: `patch_size`, `num_channels`, `stem_channels`, `stem_blocks`, `stem_act`.
        dim: Width of the tokens.
        block: What the stages are made of.

    Source:
        Xiao et al. (2021), arXiv:2106.14881 (early convolutions), with residual stages.
    """

    def __init__(self, config: DeepLenseConfig, dim: int, block: type[ResidualConvBlock] | type[InvertedBlock]) -> None:
        super().__init__()
        channels = list(config.stem_channels)
        act = config.stem_act
        self.entry = nn.Conv2d(
            config.num_channels, channels[0], 3, first_stride(config.patch_size, channels), 1, bias=False
        )
        self.norm = nn.BatchNorm2d(channels[0])
        self.activation = ACT2FN[act]
        blocks: list[nn.Module] = []
        for stage, width in enumerate(channels):
            before = channels[max(stage - 1, 0)]
            # without residual blocks a stage is the halving block alone
            count = max(config.stem_blocks, 1 if stage else 0)
            for index in range(count):
                first = index == 0
                blocks.append(block(before if first else width, width, 2 if first and stage else 1, act))
        self.blocks = nn.Sequential(*blocks)
        self.projection = nn.Conv2d(channels[-1], dim, 1)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map `(batch, channels, height, width)` to `(batch, dim, rows, columns)`."""
        # in this layout training is 1.6 times as fast on a CPU (not `contiguous`: it leaves one band as it is)
        features = self.entry(pixel_values.to(memory_format=torch.channels_last))
        features = self.activation(self.norm(features))
        return self.projection(self.blocks(features))


def build_stem(config: DeepLenseConfig, dim: int) -> nn.Module:
    """Make the stem that a configuration asks for.

    Args:
        config: A family's configuration.
        dim: Width of the tokens.

    Returns:
        A layer from pixels `(batch, num_channels, height, width)` to a map of tokens `(batch, dim, rows, columns)`.
    """
    if config.stem == "patch":
        return PatchStem(config, dim)
    if config.stem == "equivariant":
        return EquivariantStem(config, dim)
    return ConvStem(config, dim, InvertedBlock if config.stem == "inverted" else ResidualConvBlock)
