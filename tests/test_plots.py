import math
import sys

import numpy as np
import pytest

from pyhooks.plots import _smooth, results_png

PNG = b"\x89PNG\r\n\x1a\n"


def test_draws_a_whole_run(tmp_path):
    epochs = [{"train/loss": 1 / e, "val/loss": 1.1 / e, "val/accuracy": 1 - 1 / e, "lr/pg0": 0.1} for e in range(1, 9)]
    batch = {
        "loss": np.random.default_rng(0).random(80),
        "lr": np.linspace(0.1, 0, 80),
        "grad_norm": np.ones(80),
    }
    results_png(epochs, batch, tmp_path / "new" / "results.png")
    assert (tmp_path / "new" / "results.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(
    ("epochs", "batch"),
    [
        ([{"train/loss": 1.0}], {}),
        ([], {"loss": [0.5]}),
        ([{"train/loss": math.nan, "val/loss": math.inf}], {"loss": [math.nan, math.inf]}),
        ([{"train/loss": 1.0}, {"train/loss": 0.5, "val/late": 2.0}], {"lr": np.ones((6, 2)) * [1, 2]}),
        ([{f"val/m{i}": float(i)} for i in range(9)], {}),
    ],
)
def test_odd_histories_are_drawn_too(tmp_path, epochs, batch):
    results_png(epochs, batch, tmp_path / "results.png")
    assert (tmp_path / "results.png").read_bytes().startswith(PNG)


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(ValueError, match="empty history"):
        results_png([], {}, tmp_path / "results.png")


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install pyhooks-torch\[plot\]"):
        results_png([{"train/loss": 1.0}], {}, tmp_path / "results.png")


def test_smoothing_is_a_mean_of_what_is_finite():
    values = np.array([1.0, np.nan, 3.0, 5.0, np.inf])
    assert _smooth(values, 3).tolist() == [1.0, 2.0, 4.0, 4.0, 5.0]
    assert _smooth(values[:1], 1).tolist() == [1.0]
