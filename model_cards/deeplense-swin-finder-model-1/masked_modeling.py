"""Masked image modelling: hide parts of an image and let the model fill them in; no label is needed."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple

from .configuration_deeplense import as_pair
from .heads import PooledHeadMixin
from .modeling_deeplense import check_pixels
from .outputs import DeepLenseMaskedImageModelingOutput, DeepLenseModelOutput

_DECODER_CHANNELS = 32
_LAST_FACTOR = 4


class PixelDecoder(nn.Module):
    """A light decoder: features to a map of a quarter of the resolution, one convolution, and on to pixels.

    Args:
        width: Width of the features.
        stride: Pixels per feature along an axis.
        num_channels: Bands of an image.

    Source:
        Xie et al. (2022), arXiv:2111.09886 (SimMIM: a light decoder suffices), with sub-pixel convolutions of Shi et
        al. (2016), arXiv:1609.05158.
    """

    def __init__(self, width: int, stride: int, num_channels: int) -> None:
        super().__init__()
        last = _LAST_FACTOR if stride % _LAST_FACTOR == 0 else 1
        first = stride // last
        self.expand = nn.Conv2d(width, _DECODER_CHANNELS * first**2, 1)
        self.to_map = nn.PixelShuffle(first)
        self.mix = nn.Conv2d(_DECODER_CHANNELS, _DECODER_CHANNELS, 3, padding=1)
        self.activation = nn.GELU()
        self.project = nn.Conv2d(_DECODER_CHANNELS, num_channels * last**2, 3, padding=1)
        self.to_pixels = nn.PixelShuffle(last)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Map `(batch, width, rows, columns)` to images `(batch, num_channels, height, width)` of a size."""
        maps = self.activation(self.to_map(self.expand(features)))
        images = self.to_pixels(self.project(self.activation(self.mix(maps))))
        return images[..., : size[0], : size[1]]


class MaskedImageModelingMixin(PooledHeadMixin):
    """Fill in hidden squares of images, to be mixed into a family's `PreTrainedModel`.

    Squares are hidden in the image itself, not among the tokens, so that a convolutional stem cannot look behind them.

    Args:
        config: The configuration; `mask_ratio` and `mask_size` say how much is hidden.

    Source:
        Xie et al. (2022), arXiv:2111.09886 (SimMIM).
    """

    def build_head(self) -> None:
        """Make the decoder and the value that hides pixels."""
        channels = self.config.num_channels
        self.decoder = PixelDecoder(self.config.hidden_size, self.config.output_stride, channels)
        self.mask_value = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Set initial weights, also of what a checkpoint lacks."""
        super()._init_weights(module)  # type: ignore[misc] # the next base is the family's PreTrainedModel
        if isinstance(module, MaskedImageModelingMixin):
            # as the mean of a standardised image; learnt from there
            init.zeros_(module.mask_value)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        bool_masked_pos: Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> DeepLenseMaskedImageModelingOutput:
        """Hide parts of images and reconstruct them.

        Args:
            pixel_values: Processed images, `(batch, num_channels, height, width)`.
            bool_masked_pos: Which squares are hidden, `(batch, squares)` row by row; when absent they are drawn anew
                for every image while training, and in evaluation mode the same ones are hidden in every image.
            interpolate_pos_encoding: Whether learnt positions may be interpolated to another image size (ViT).
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            Reconstruction, mask and errors.
        """
        images = check_pixels(pixel_values, self.config.num_channels)
        mask = self._mask(images, bool_masked_pos)
        outputs, reconstruction = self.reconstruct(
            images, mask, interpolate_pos_encoding=interpolate_pos_encoding, **kwargs
        )
        errors = masked_errors(images, reconstruction, mask)
        return DeepLenseMaskedImageModelingOutput(
            loss=errors.mean(),
            reconstruction_error=errors,
            reconstruction=reconstruction,
            mask=mask,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            feature_maps=outputs.feature_maps,
        )

    def reconstruct(self, images: Tensor, mask: Tensor, **kwargs: Any) -> tuple[DeepLenseModelOutput, Tensor]:
        """Reconstruct images of which parts are hidden.

        Args:
            images: Processed images, `(batch, num_channels, height, width)`.
            mask: 1 where a pixel is hidden, `(batch, 1, height, width)`.
            **kwargs: For the backbone.

        Returns:
            Features, and images of the shape of `images`.
        """
        hidden = self.mask_value[:, None, None].to(images.dtype)
        outputs = self.backbone(images * (1 - mask) + hidden * mask, return_dict=True, **kwargs)
        size = (images.shape[-2], images.shape[-1])
        backbone: Any = self.backbone
        maps = backbone.last_map(outputs, size)
        return outputs, self.decoder(maps, size)

    def _mask(self, images: Tensor, squares: Tensor | None) -> Tensor:
        """Draw or check the hidden squares, and return them as pixels."""
        grid = mask_grid(images, self.config.mask_size)
        if grid[0] * grid[1] < 2:
            raise ValueError(
                f"mask_size={self.config.mask_size} hides an image of {images.shape[-2]}x{images.shape[-1]} pixels "
                "whole; use a smaller one."
            )
        if squares is None:
            squares = draw_squares(
                len(images), grid, self.config.mask_ratio, images.device, seed=None if self.training else 0
            )
        elif squares.shape != (len(images), grid[0] * grid[1]):
            raise ValueError(
                f"bool_masked_pos has shape {tuple(squares.shape)}, but these images have {grid[0]}x{grid[1]} squares "
                f"of mask_size={self.config.mask_size} pixels: ({len(images)}, {grid[0] * grid[1]}) is needed."
            )
        return squares_to_pixels(squares, grid, images, self.config.mask_size)


def mask_grid(images: Tensor, mask_size: int) -> tuple[int, int]:
    """Count the squares of images.

    Args:
        images: `(batch, num_channels, height, width)`.
        mask_size: Side of a square [pixels].

    Returns:
        Rows and columns, rounded up.
    """
    height, width = as_pair((images.shape[-2], images.shape[-1]))
    return -(-height // mask_size), -(-width // mask_size)


def draw_squares(
    images: int, grid: tuple[int, int], mask_ratio: float, device: torch.device, seed: int | None
) -> Tensor:
    """Choose squares at random.

    Args:
        images: Number of images.
        grid: Rows and columns of squares.
        mask_ratio: Share of the squares, at least one and not all.
        device: Where the result is wanted.
        seed: Seed of one choice for all images; a choice for each image by torch's own generator when absent.

    Returns:
        True for chosen squares, `(images, squares)`.
    """
    squares = grid[0] * grid[1]
    count = min(max(1, round(mask_ratio * squares)), max(1, squares - 1))
    if seed is None:
        numbers = torch.rand(images, squares, device=device)
    else:
        # on the CPU, so that every device has the same squares hidden
        generator = torch.Generator().manual_seed(seed)
        numbers = torch.rand(1, squares, generator=generator).to(device).expand(images, -1)
    return numbers.argsort(dim=1).argsort(dim=1) < count


def squares_to_pixels(squares: Tensor, grid: tuple[int, int], images: Tensor, mask_size: int) -> Tensor:
    """Turn chosen squares into a mask of pixels.

    Args:
        squares: True for chosen squares, `(batch, squares)`.
        grid: Rows and columns of squares.
        images: `(batch, num_channels, height, width)`, for size and type.
        mask_size: Side of a square [pixels].

    Returns:
        1 for chosen pixels, `(batch, 1, height, width)`.
    """
    mask = squares.unflatten(1, grid).repeat_interleave(mask_size, 1).repeat_interleave(mask_size, 2)
    return mask[:, None, : images.shape[-2], : images.shape[-1]].to(images.dtype)


def masked_errors(images: Tensor, reconstruction: Tensor, mask: Tensor) -> Tensor:
    """Average the squared error over hidden pixels.

    Args:
        images: Processed images, `(batch, num_channels, height, width)`.
        reconstruction: Reconstructed images, of the same shape.
        mask: 1 where a pixel was hidden, `(batch, 1, height, width)`.

    Returns:
        One mean squared error per image, `(batch,)`, in units of the processed images.
    """
    squared = ((reconstruction - images) * mask).float().square().sum(dim=(1, 2, 3))
    return squared / (mask.float().sum(dim=(1, 2, 3)) * images.shape[1]).clamp(min=1)
