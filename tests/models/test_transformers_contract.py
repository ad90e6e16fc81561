"""transformers' own tests of models, configurations and image processors, run on ours."""

import sys
import unittest
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from deeplense_hf.models import (
    DeepLenseImageProcessor,
    DeepLenseSwinForImageClassification,
    DeepLenseSwinModel,
    DeepLenseViTForImageClassification,
    DeepLenseViTModel,
)

sys.path.insert(0, str(Path(__file__).parent))
from transformers_common_tests import fetch

sys.path.insert(0, str(fetch()))
with warnings.catch_warnings():
    # their marks are registered in their own configuration of pytest
    warnings.simplefilter("ignore", pytest.PytestUnknownMarkWarning)
    from common.test_configuration_common import ConfigTester
    from common.test_image_processing_common import ImageProcessingTester, ImageProcessingTestMixin
    from common.test_modeling_common import ModelTesterMixin, floats_tensor, ids_tensor

# the tests tell by class names which models take labels
MODEL_MAPPING_NAMES.update(deeplense_swin="DeepLenseSwinModel", deeplense_vit="DeepLenseViTModel")
MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES.update(
    deeplense_swin="DeepLenseSwinForImageClassification", deeplense_vit="DeepLenseViTForImageClassification"
)


class ModelTester:
    """Tiny configurations and inputs, as transformers' tests want them."""

    is_training = True
    batch_size = 3
    image_size = 16
    num_channels = 2
    num_labels = 3

    def __init__(self, parent: unittest.TestCase, config_class: Any, **options: Any) -> None:
        self.parent = parent
        self.config_class = config_class
        self.options = options
        config = self.get_config()
        self.hidden_size = config.hidden_size
        self.num_hidden_layers = config.num_hidden_layers

    def get_config(self) -> Any:
        # a zero residual branch would make most comparisons trivial
        return self.config_class(
            image_size=self.image_size,
            num_channels=self.num_channels,
            num_labels=self.num_labels,
            residual_init="normal",
            **self.options,
        )

    def prepare_config_and_inputs(self) -> tuple[Any, torch.Tensor, torch.Tensor]:
        shape = [self.batch_size, self.num_channels, self.image_size, self.image_size]
        return self.get_config(), floats_tensor(shape), ids_tensor([self.batch_size], self.num_labels)

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        config, pixel_values, _ = self.prepare_config_and_inputs()
        return config, {"pixel_values": pixel_values}


class FamilyTests(ModelTesterMixin):
    """What holds for both families."""

    test_resize_embeddings = False  # there is no vocabulary

    tester_options: dict[str, Any]

    def setUp(self) -> None:
        config_class = self.all_model_classes[0].config_class
        self.model_tester = ModelTester(self, config_class, **self.tester_options)
        self.config_tester = ConfigTester(self, config_class=config_class, has_text_modality=False)

    def test_config(self) -> None:
        self.config_tester.run_common_tests()

    @unittest.skip("the input layer is a stem of convolutions, not a torch.nn.Embedding")
    def test_model_get_set_embeddings(self) -> None: ...


class DeepLenseViTTest(FamilyTests, unittest.TestCase):
    all_model_classes = (DeepLenseViTModel, DeepLenseViTForImageClassification)
    tester_options = {  # noqa: RUF012
        "patch_size": 8, "stem_channels": (4, 8), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "pooling": "cls",
    }  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        self.model_tester.seq_length = 5
        self.model_tester.num_attention_heads = 2


class DeepLenseSwinTest(FamilyTests, unittest.TestCase):
    all_model_classes = (DeepLenseSwinModel, DeepLenseSwinForImageClassification)
    tester_options = {  # noqa: RUF012
        "patch_size": 2, "stem_channels": (4, 8), "embed_dim": 8, "depths": (2, 1), "num_heads": (2, 4),
        "window_size": 4,
    }  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        self.model_tester.seq_length = 64
        # the tests look at the first hidden state, and the width doubles with every stage
        self.model_tester.hidden_size = 8
        # hidden states come as sequences and as maps
        self.model_tester.num_hidden_states_types = 2

    def test_attention_outputs(self) -> None:
        # attention is recorded of each of 3 blocks, not of each of 2 stages: 4 windows of 2 heads and 16 tokens
        self.model_tester.num_hidden_layers = 3
        self.model_tester.num_attention_heads = 8
        self.model_tester.seq_length = 16
        super().test_attention_outputs()


class ProcessorTester(ImageProcessingTester):
    """Options and images, as transformers' tests want them."""

    def __init__(self, parent: unittest.TestCase) -> None:
        super().__init__(parent, batch_size=3, min_resolution=20, max_resolution=40)
        self.size = {"height": 18, "width": 18}

    def _get_image_processing_classes(self) -> dict[str, type]:
        return {"pil": DeepLenseImageProcessor, "torchvision": DeepLenseImageProcessor}

    def prepare_image_processor_dict(self) -> dict[str, Any]:
        return {"size": self.size, "do_resize": True, "stretch": "log", "normalisation": "minmax"}


class DeepLenseImageProcessorTest(ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = ProcessorTester
    test_cast_dtype = True

    @unittest.skip("the picture it compares backends on is on the Hub; the batched test compares them on random images")
    def test_backends_equivalence(self) -> None: ...

    def test_image_processor_from_dict_with_kwargs_has_attributes(self) -> None:
        # as upstream, with an option that ours has: it never converts to 8-bit colours
        for stretch in ("asinh", "sqrt"):
            processor = DeepLenseImageProcessor.from_dict(self.image_processor_dict, stretch=stretch)
            assert processor.stretch == stretch

    def test_call_numpy_4_channels(self) -> None:
        # as upstream, without the conversion to 8-bit colours and with the normalisation that has a mean
        processor = DeepLenseImageProcessor(size=18)
        self.image_processor_tester.num_channels = 4
        images = self.image_processor_tester.prepare_image_inputs(numpify=True)
        fixed = {"normalisation": "fixed", "image_mean": [0.0] * 4, "image_std": [1.0] * 4}
        values = processor(images, return_tensors="pt", input_data_format="channels_last", **fixed).pixel_values
        assert values.shape == (3, 4, 18, 18)


# the base classes are no tests of their own
del ModelTesterMixin, ImageProcessingTestMixin, FamilyTests
