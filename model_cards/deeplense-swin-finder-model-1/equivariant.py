"""A convolutional stem whose features turn with the image: filters are shared by the eight orientations of the square.

Channels come in groups of eight, one for each orientation: turning an image turns every map and moves it to another
place in its group. A network of that kind need not learn each feature eight times.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from .configuration_deeplense import DeepLenseConfig, first_stride
from .symmetry import ORIENTATIONS, filter_indices


class OrientedConv(nn.Conv2d):
    """A convolution of which only one orientation of each filter is learnt.

    Args:
        channels_in: Channels that come in: bands of an image, or eight for each feature.
        channels_out: Channels that go out, eight for each feature.
        size: Side of the filters.
        lifted: Whether the input already has orientations.

    Source:
        Cohen & Welling (2016), arXiv:1602.07576.
    """

    def __init__(self, channels_in: int, channels_out: int, size: int, lifted: bool = True) -> None:
        self.lifted = lifted
        # weights of one orientation of the output: (features, features in, orientations in * size, size)
        super().__init__(
            channels_in // ORIENTATIONS if lifted else channels_in, channels_out // ORIENTATIONS, size, bias=False
        )
        orientations_in = ORIENTATIONS if lifted else 1
        shape = (self.out_channels, self.in_channels, orientations_in * size, size)
        self.weight = nn.Parameter(torch.empty(shape))
        self.reset_parameters()

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, channels_in, height, width)` to `(batch, channels_out, height, width)`."""
        size = self.kernel_size[0]
        index = torch.from_numpy(filter_indices(size, self.lifted)).to(self.weight.device)
        shared = self.weight.flatten(2)
        filters = shared[:, :, index.flatten()].unflatten(2, index.shape)  # out, in, orientation out, rest
        filters = filters.transpose(1, 2).reshape(
            self.out_channels * ORIENTATIONS, -1, size, size
        )  # (out, orientation out), (in, orientation in)
        return functional.conv2d(features, filters, padding=size // 2)


class OrientedNorm(nn.BatchNorm2d):
    """Batch normalisation with statistics and factors shared by the orientations of a feature.

    While training, the statistics of a batch are those of each channel, which differ by chance only; in evaluation mode
    they are averaged over the orientations, so that no orientation is preferred.

    Args:
        channels: Channels, eight for each feature.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.weight = nn.Parameter(torch.ones(channels // ORIENTATIONS))
        self.bias = nn.Parameter(torch.zeros(channels // ORIENTATIONS))

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `(batch, channels, height, width)`."""
        weight, bias = (part.repeat_interleave(ORIENTATIONS) for part in (self.weight, self.bias))
        mean, variance = self.running_mean, self.running_var
        if mean is None or variance is None:
            raise ValueError("an oriented normalisation needs running statistics.")
        if self.training:
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
            return functional.batch_norm(input, mean, variance, weight, bias, True, self.momentum or 0.1, self.eps)
        by_feature = mean.unflatten(0, (-1, ORIENTATIONS))
        shared_mean = by_feature.mean(dim=1)
        spread = (by_feature - shared_mean[:, None]).square().mean(dim=1)
        shared_variance = variance.unflatten(0, (-1, ORIENTATIONS)).mean(dim=1) + spread
        mean, variance = (part.repeat_interleave(ORIENTATIONS) for part in (shared_mean, shared_variance))
        return functional.batch_norm(input, mean, variance, weight, bias, False, 0.0, self.eps)


class LastOrientedNorm(OrientedNorm):
    """Oriented normalisation that ends a residual branch, and may start from zero so that the branch adds nothing."""


def average_pool(stride: int) -> nn.Module:
    """Make the pooling that divides a resolution and prefers no side; sizes round up as in every stem.

    Args:
        stride: By how much.

    Returns:
        The layer.
    """
    return nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()


class OrientedBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection; halving is average pooling, which prefers no side.

    Args:
        channels_in: Channels that come in.
        channels_out: Channels that go out.
        stride: 2 halves the resolution.
        activation: Name of the activation.

    Source:
        He et al. (2016), arXiv:1512.03385, with the convolutions of Cohen & Welling (2016).
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, activation: str) -> None:
        super().__init__()
        self.pool = average_pool(stride)
        self.conv_1 = OrientedConv(channels_in, channels_out, 3)
        self.norm_1 = OrientedNorm(channels_out)
        self.conv_2 = OrientedConv(channels_out, channels_out, 3)
        self.norm_2 = LastOrientedNorm(channels_out)
        self.activation = ACT2FN[activation]
        self.shortcut = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Sequential(OrientedConv(channels_in, channels_out, 1), OrientedNorm(channels_out))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map `(batch, channels_in, height, width)` to `(batch, channels_out, height / stride, width / stride)`."""
        features = self.pool(features)
        branch = self.activation(self.norm_1(self.conv_1(features)))
        return self.activation(self.norm_2(self.conv_2(branch)) + self.shortcut(features))


class EquivariantStem(nn.Module):
    """Residual stages of oriented convolutions, then the mean over orientations: tokens that turn with the image.

    Args:
        config: `patch_size`, `num_channels`, `stem_channels`, `stem_blocks`, `stem_act`.
        dim: Width of the tokens.

    Source:
        Cohen & Welling (2016), arXiv:1602.07576.
    """

    def __init__(self, config: DeepLenseConfig, dim: int) -> None:
        super().__init__()
        channels, act = list(config.stem_channels), config.stem_act
        stride = first_stride(config.patch_size, channels)
        self.pool = average_pool(stride)
        self.entry = OrientedConv(config.num_channels, channels[0], 3, lifted=False)
        self.norm = OrientedNorm(channels[0])
        self.activation = ACT2FN[act]
        blocks: list[nn.Module] = []
        for stage, width in enumerate(channels):
            before = channels[max(stage - 1, 0)]
            for index in range(max(config.stem_blocks, 1 if stage else 0)):
                first = index == 0
                blocks.append(OrientedBlock(before if first else width, width, 2 if first and stage else 1, act))
        self.blocks = nn.Sequential(*blocks)
        # wide and non-linear before the mean over orientations, which would lose what only differs between them
        self.expand = OrientedConv(channels[-1], dim * ORIENTATIONS, 1)
        self.expand_norm = OrientedNorm(dim * ORIENTATIONS)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Map `(batch, channels, height, width)` to `(batch, dim, rows, columns)`."""
        features = self.entry(self.pool(pixel_values).to(memory_format=torch.channels_last))
        features = self.blocks(self.activation(self.norm(features)))
        features = self.activation(self.expand_norm(self.expand(features)))
        return features.unflatten(1, (-1, ORIENTATIONS)).mean(dim=2)
