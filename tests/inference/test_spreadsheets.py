"""No cell of a table begins like a formula, and paths stay paths."""

import pytest

from deeplense_hf.inference.spreadsheets import spreadsheet_safe


@pytest.mark.parametrize("name", ["=1+1.npy", "+1.npy", "-1.npy", "@SUM(A1).npy", "\t=1.npy"])
def test_what_begins_like_a_formula_becomes_a_path_from_here(name: str) -> None:
    assert spreadsheet_safe(name) == f"./{name}"


@pytest.mark.parametrize("name", ["lens-1.npy", "a=b.npy", "/data/=1.npy", "./=1.npy", ""])
def test_all_else_stays(name: str) -> None:
    assert spreadsheet_safe(name) == name
