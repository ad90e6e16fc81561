"""The moving average follows the weights, is put in place for a while, and survives a kill."""

from pathlib import Path

import pytest
import torch
from torch import nn

from deeplense_hf.training.averaging import MovingAverage


def test_average_of_weights_and_statistics(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = MovingAverage(model, 0.5)
    history = []
    for step in range(12):
        with torch.no_grad():
            model[0].weight.fill_(float(step))
        model(torch.randn(8, 2))
        average.update()
        history.append((model[0].weight.clone(), model[1].running_mean.clone()))
    expected, mean = history[0]
    for step, (weight, running) in enumerate(history[1:], start=2):
        decay = min(0.5, (1 + step) / (10 + step))
        expected, mean = decay * expected + (1 - decay) * weight, decay * mean + (1 - decay) * running
    with average.in_place():
        torch.testing.assert_close(model[0].weight, expected)
        torch.testing.assert_close(model[1].running_mean, mean)
    assert (model[0].weight == 11).all(), "afterwards the model has its own weights again"
    average.save_raw_weights(tmp_path)
    with average.in_place():
        of_checkpoint = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    resumed = MovingAverage(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 0.5)
    resumed.model.load_state_dict(of_checkpoint)
    resumed.resume(tmp_path)
    assert (resumed.model[0].weight == 11).all(), "training goes on with its own weights"
    for one in (average, resumed):
        with torch.no_grad():
            one.model[0].weight.fill_(20.0)
        one.update()
        one.apply()
    torch.testing.assert_close(resumed.model[0].weight, average.model[0].weight, rtol=0, atol=0)
    with pytest.raises(FileNotFoundError, match="no moving average that this version can read"):
        resumed.resume(tmp_path / "elsewhere")


def test_what_has_no_average_is_kept() -> None:
    class Model(nn.Module):
        """As some of timm's, with a table of indices, and as anomaly models, with places for images."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.register_buffer("indices", torch.arange(1000))
            self.register_buffer("references", torch.full((3, 2), torch.inf))

    model = Model()
    average = MovingAverage(model, 0.999)
    for _ in range(20):
        average.update()
    average.apply()
    assert torch.equal(model.indices, torch.arange(1000))
    assert model.references.isposinf().all()
