import numpy as np
import pytest
import torch
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Profiles.nfw import NFW
from lenstronomy.LensModel.Profiles.tnfw import TNFW

from deeplense_hf.simulation.truncated_haloes import (
    COARSE_WIDTHS,
    FINE_WIDTHS,
    NODES,
    WEAK_DEFLECTION,
    TruncatedHaloes,
    gaussian_weights,
    mean_convergence,
)

TRUNCATIONS = (0.5, 1.0, 1.7, 6.0, 33.0, 200.0)
RADIUS = np.geomspace(1.001e-3, 900, 700)


def one_halo(scale_radius: float, truncation: float, deflection: float = 1.0) -> TruncatedHaloes:
    values = (0.13, -0.21, scale_radius, truncation * scale_radius, deflection)
    return TruncatedHaloes(*(np.full((1, 1), value) for value in values))


def random_haloes(batch: int, haloes: int, seed: int = 0) -> TruncatedHaloes:
    random = np.random.default_rng(seed)
    x, y = random.uniform(-3, 3, (2, batch, haloes))
    scale_radius = 10 ** random.uniform(-2, 0, (batch, haloes))
    truncation_radius = scale_radius * 10 ** random.uniform(0, 1.5, (batch, haloes))
    return TruncatedHaloes(x, y, scale_radius, truncation_radius, 10 ** random.uniform(-4, -2, (batch, haloes)))


def pad(haloes: TruncatedHaloes, more: int) -> TruncatedHaloes:
    return TruncatedHaloes(
        *(np.pad(getattr(haloes, name), ((0, 0), (more, more))) for name in haloes.__dataclass_fields__)
    )


def grid(size: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-3.2, 3.2, size, dtype=dtype)
    return axis[None, None, :], axis[None, :, None]


def deflections(haloes: TruncatedHaloes, x: torch.Tensor, y: torch.Tensor, rows: slice | None = None) -> torch.Tensor:
    rows = slice(0, len(haloes)) if rows is None else rows
    shape = torch.broadcast_shapes(x.shape, y.shape)[1:]
    result = torch.zeros(2, len(range(*rows.indices(len(haloes)))), *shape, dtype=x.dtype)
    haloes.add_deflection_(result[0], result[1], x, y, rows)
    return result


def expected_deflection(haloes: TruncatedHaloes, system: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    keys = ("center_x", "center_y", "Rs", "r_trunc", "alpha_Rs")
    columns = (getattr(haloes, name)[system].tolist() for name in haloes.__dataclass_fields__)
    arguments = [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]
    return np.stack(LensModel(["TNFW"] * len(arguments)).alpha(x, y, arguments))


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_closed_form_equals_lenstronomy(truncation: float) -> None:
    expected = TNFW().derivatives(RADIUS, np.zeros_like(RADIUS), 1.0, 1.0, truncation)[0]
    actual = RADIUS * mean_convergence(torch.from_numpy(RADIUS), torch.tensor(truncation, dtype=torch.float64)).numpy()
    # lenstronomy loses digits near the centre
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=5e-7)


@pytest.mark.parametrize(("widths", "tolerance"), [(FINE_WIDTHS, 2e-5), (COARSE_WIDTHS, 1.2e-3)])
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_gaussians_add_up_to_lenstronomy(widths: tuple[float, ...], tolerance: float, truncation: float) -> None:
    expected = TNFW().derivatives(RADIUS, np.zeros_like(RADIUS), 1.0, 1.0, truncation)[0]
    terms = np.exp(-0.5 * (RADIUS[:, None] / np.array(widths)) ** 2)
    actual = RADIUS * (terms @ gaussian_weights(np.array([truncation]), widths)[0])
    assert np.abs(actual - expected).max() < tolerance * expected.max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("scale_radius", [0.01, 0.1, 1.0])
def test_grid_equals_lenstronomy(scale_radius: float, truncation: float, dtype: torch.dtype) -> None:
    for size in (31, 81):  # without and with interpolation of the wide terms
        x, y = grid(size, dtype)
        haloes = one_halo(scale_radius, truncation)
        columns, rows = (axis.double().expand(1, size, size).numpy().ravel() for axis in (x, y))
        expected = expected_deflection(haloes, 0, columns, rows)
        largest = np.hypot(*TNFW().derivatives(RADIUS, 0 * RADIUS, 1.0, 1.0, truncation)).max()
        actual = deflections(haloes, x, y)[:, 0].double().numpy().reshape(2, -1)
        assert np.abs(actual - expected).max() < 2e-5 * largest
    assert NODES < 81


def test_weak_haloes_are_right_to_a_millionth_of_an_arc_second() -> None:
    x, y = grid(81)
    haloes = one_halo(0.05, 6.0, 0.999 * WEAK_DEFLECTION)
    columns, rows = (axis.double().expand(1, 81, 81).numpy().ravel() for axis in (x, y))
    actual = deflections(haloes, x, y)[:, 0].double().numpy().reshape(2, -1)
    assert 1e-8 < np.abs(actual - expected_deflection(haloes, 0, columns, rows)).max() < 1.5e-6


def test_many_haloes_equal_lenstronomy() -> None:
    x, y = grid(81)
    haloes = random_haloes(2, 60)
    columns, rows = (axis.double().expand(1, 81, 81).numpy().ravel() for axis in (x, y))
    actual = deflections(haloes, x, y).double().numpy().reshape(2, 2, -1)
    for system in range(2):
        expected = expected_deflection(haloes, system, columns, rows)
        assert np.abs(actual[:, system] - expected).max() < 1e-5


def test_positions_off_a_grid_equal_lenstronomy() -> None:
    random = np.random.default_rng(1)
    x, y = random.uniform(-3, 3, (2, 1, 7, 11))
    haloes = random_haloes(1, 20)
    for dtype in (torch.float64, torch.float32):
        positions = [torch.from_numpy(axis).to(dtype) for axis in (x, y)]
        actual = deflections(haloes, positions[0], positions[1])[:, 0].double().numpy()
        expected = expected_deflection(haloes, 0, x.ravel(), y.ravel()).reshape(2, 7, 11)
        np.testing.assert_allclose(actual, expected, atol=1e-9 if dtype == torch.float64 else 1e-6)


def test_far_truncation_is_no_truncation() -> None:
    radius = np.geomspace(0.01, 30, 50)
    expected = NFW().derivatives(radius, 0 * radius, 1.0, 1.0)[0]
    actual = radius * mean_convergence(torch.from_numpy(radius), torch.tensor(1000.0, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(actual, expected, rtol=0.005)


def test_a_ray_on_a_halo_is_not_deflected_by_it() -> None:
    haloes = TruncatedHaloes(*(np.full((1, 1), value) for value in (0.5, -0.25, 0.1, 0.5, 1.0)))
    x, y = torch.tensor([[[0.0, 0.5]]]), torch.tensor([[[-0.25], [1.0]]])
    assert deflections(haloes, x, y)[:, 0, 0, 1].tolist() == [0.0, 0.0]
    full = [axis.expand(1, 2, 2).contiguous() for axis in (x, y)]
    assert deflections(haloes, full[0], full[1])[:, 0, 0, 1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("size", [33, 64, 75])
def test_a_system_does_not_depend_on_what_is_around_it(size: int) -> None:
    haloes, (x, y) = random_haloes(5, 70), grid(size)
    together = deflections(haloes, x, y)
    padded = deflections(pad(haloes, 9), x, y)
    tail = deflections(haloes, x, y, slice(3, 5))
    own_axes = deflections(haloes, x.repeat(5, 1, 1), y.repeat(5, 1, 1))
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3, 4):
            torch.set_num_threads(number)
            assert torch.equal(deflections(haloes, x, y), together)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(padded, together)
    assert torch.equal(tail, together[:, 3:])
    assert torch.equal(own_axes, together)
    for system in range(5):
        assert torch.equal(deflections(haloes, x, y, slice(system, system + 1))[:, 0], together[:, system])


def test_deflections_are_added() -> None:
    haloes, (x, y) = random_haloes(1, 3), grid(16, torch.float64)
    result = torch.ones(2, 1, 16, 16, dtype=torch.float64)
    haloes.add_deflection_(result[0], result[1], x, y, slice(0, 1))
    torch.testing.assert_close(result - 1, deflections(haloes, x, y), atol=1e-12, rtol=0)


def test_settings_for_training_do_not_blur_deflections() -> None:
    haloes, (x, y) = random_haloes(1, 50), grid(64)
    exact = deflections(haloes, x, y)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        torch.testing.assert_close(deflections(haloes, x, y), exact, atol=1e-7, rtol=0)
    finally:
        torch.set_float32_matmul_precision(before)


def test_no_haloes_deflect_nothing() -> None:
    x, y = grid(8)
    none = TruncatedHaloes(*(np.zeros((2, 0)) for _ in range(5)))
    absent = TruncatedHaloes(*(np.zeros((2, 3)) for _ in range(5)))
    assert not deflections(none, x, y).any()
    assert not deflections(absent, x, y).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_graphics_card_gives_the_same() -> None:
    haloes, (x, y) = random_haloes(2, 50), grid(96)
    result = torch.zeros(2, 2, 96, 96, device="cuda")
    haloes.add_deflection_(result[0], result[1], x.cuda(), y.cuda(), slice(0, 2))
    torch.testing.assert_close(result.cpu(), deflections(haloes, x, y), atol=1e-6, rtol=0)


def test_unphysical_haloes_are_named() -> None:
    with pytest.raises(ValueError, match="deflection=-1"):
        one_halo(0.1, 5.0, -1.0)
    with pytest.raises(ValueError, match="deflection=nan"):
        one_halo(0.1, 5.0, np.nan)
    with pytest.raises(ValueError, match="scale_radius=0"):
        one_halo(0.0, 5.0)
    with pytest.raises(ValueError, match=r"use 0\.1 to 1000"):
        one_halo(0.1, 2000.0)
    with pytest.raises(ValueError, match="must all be the same"):
        TruncatedHaloes(np.zeros((1, 2)), *(np.zeros((1, 1)) for _ in range(4)))
