import math

import pytest
import torch
from sklearn import metrics as reference
from torch.fx.experimental.proxy_tensor import make_fx

from pyhooks.errors import UserStepError
from pyhooks.metrics import R2, MeanMetric, Metric, accuracy, as_metric, direction, mae, mse, r2, top_k


def over_batches(metric, outputs, targets, sizes):
    """The epoch's value from batches of unequal size, summed in float64 as the native loop does."""
    total = torch.zeros(metric.size, dtype=torch.float64)
    for out, target in zip(outputs.split(sizes), targets.split(sizes), strict=True):
        stats = metric.stats(out, target)
        assert stats.shape == (metric.size,) and stats.is_floating_point()
        total += stats
    value = metric.compute(total.tolist())
    if metric.is_ratio:
        assert value == pytest.approx((total[0] / total[1]).item(), nan_ok=True, abs=0)
    return value


@pytest.fixture
def scores():
    torch.manual_seed(0)
    return torch.randn(50, 7), torch.randint(0, 7, (50,))


@pytest.fixture
def regression():
    torch.manual_seed(0)
    targets = torch.randn(50) * 3 + 100
    return targets + torch.randn(50), targets


SIZES = [20, 20, 10]


def test_accuracy(scores):
    outputs, targets = scores
    wanted = reference.accuracy_score(targets, outputs.argmax(1))
    assert over_batches(accuracy, *scores, SIZES) == pytest.approx(wanted)
    assert accuracy(outputs, targets).item() == pytest.approx(wanted)


@pytest.mark.parametrize("k", [1, 2, 5, 7])
@pytest.mark.filterwarnings("ignore:.*will result in a perfect score")  # k = all classes is asked for
def test_top_k(scores, k):
    wanted = reference.top_k_accuracy_score(scores[1], scores[0], k=k, labels=range(7))
    assert over_batches(top_k(k), *scores, SIZES) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("metric", "wanted"), [(mae, "mean_absolute_error"), (mse, "mean_squared_error"), (r2, "r2_score")]
)
def test_regression(regression, metric, wanted):
    outputs, targets = regression
    value = getattr(reference, wanted)(targets, outputs)
    assert over_batches(metric, outputs, targets, SIZES) == pytest.approx(value, rel=1e-5)
    assert metric(outputs, targets).item() == pytest.approx(value, rel=1e-5)
    column = outputs[:, None], targets[:, None]
    assert over_batches(metric, *column, SIZES) == pytest.approx(value, rel=1e-5)


def test_several_columns(regression):
    outputs = torch.stack([regression[0], regression[1] * 2], 1)
    targets = torch.stack([regression[1], regression[0]], 1)
    for metric, wanted in (
        (mae, "mean_absolute_error"),
        (mse, "mean_squared_error"),
        (R2(columns=2), "r2_score"),
    ):
        value = getattr(reference, wanted)(targets, outputs)
        assert over_batches(metric, outputs, targets, SIZES) == pytest.approx(value, rel=1e-5)


def test_r2_far_from_zero_keeps_its_digits():
    targets = torch.randn(1000, dtype=torch.float64) + 1e5
    outputs = targets + torch.randn(1000, dtype=torch.float64) / 2
    assert over_batches(r2, outputs, targets, [500, 500]) == pytest.approx(
        reference.r2_score(targets, outputs), rel=1e-4
    )


def test_r2_of_constant_targets_and_of_one_row():
    constant = torch.full((5,), 0.1)
    assert over_batches(r2, constant, constant, [5]) == reference.r2_score(constant, constant) == 1.0
    assert over_batches(r2, constant + 1, constant, [5]) == reference.r2_score(constant, constant + 1) == 0.0
    assert math.isnan(over_batches(r2, torch.ones(1), torch.ones(1), [1]))


def test_classes_that_cross_entropy_leaves_out_are_left_out(scores):
    outputs, targets = scores
    some = targets.clone()
    some[::3] = -100
    kept = some != -100
    wanted = reference.accuracy_score(targets[kept], outputs[kept].argmax(1))
    assert over_batches(accuracy, outputs, some, SIZES) == pytest.approx(wanted)
    assert math.isnan(over_batches(accuracy, outputs, torch.full_like(targets, -100), SIZES))


def test_pixels_and_words():
    torch.manual_seed(0)
    outputs, targets = torch.randn(3, 5, 4, 4), torch.randint(0, 5, (3, 4, 4))
    wanted = reference.accuracy_score(targets.flatten(), outputs.argmax(1).flatten())
    assert over_batches(accuracy, outputs, targets, [2, 1]) == pytest.approx(wanted)
    assert over_batches(top_k(2), outputs, targets, [2, 1]) >= wanted


@pytest.mark.parametrize("shape", [(20,), (20, 1), (1,)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_yes_or_no(shape, dtype):
    torch.manual_seed(0)
    logits, targets = torch.randn(shape), (torch.rand(shape) > 0.5).to(dtype)
    wanted = reference.accuracy_score(targets.flatten().bool(), logits.flatten() > 0)
    assert accuracy(logits, targets).item() == pytest.approx(wanted)


def test_one_row_of_as_many_scores_as_targets_is_not_taken_for_yes_or_no():
    with pytest.raises(UserStepError, match="one-hot"):
        accuracy.stats(torch.randn(1, 4), torch.rand(1, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_and_double_outputs(dtype):
    torch.manual_seed(0)
    outputs, targets = torch.randn(300, 4).to(dtype), torch.randint(0, 4, (300,), dtype=torch.int32)
    assert over_batches(accuracy, outputs, targets, [300]) == reference.accuracy_score(
        targets, outputs.float().argmax(1)
    )
    ones = torch.ones(70_000, dtype=dtype)
    assert over_batches(mse, ones, ones * 3, [70_000]) == 4.0


CASES = {
    "accuracy": (accuracy, torch.randn(8, 3), torch.randint(0, 3, (8,))),
    "top_k": (top_k(2), torch.randn(8, 3), torch.randint(0, 3, (8,))),
    "binary": (accuracy, torch.randn(8, 1), torch.rand(8, 1).round()),
    "mae": (mae, torch.randn(8), torch.randn(8)),
    "mse": (mse, torch.randn(8, 2), torch.randn(8, 2)),
    "r2": (r2, torch.randn(8), torch.randn(8)),
    "R2": (R2(2), torch.randn(8, 2), torch.randn(8, 2)),
    "function": (as_metric("spread", lambda o, t: (o - t).std()), torch.randn(8), torch.randn(8)),
    "picked": (mae.on(lambda o, t: (o * 2, t)), torch.randn(8), torch.randn(8)),
}


@pytest.mark.parametrize("name", CASES)
def test_traces_with_fake_tensors_and_answers_other_batches(name):
    metric, outputs, targets = CASES[name]
    graph = make_fx(lambda *batch: metric.stats(*batch), tracing_mode="fake")(outputs, targets)
    other = outputs.flip(0) * 1.5
    assert torch.equal(graph(other, targets), metric.stats(other, targets))


def test_a_plain_function_is_averaged_by_rows():
    metric = as_metric("mean_output", lambda outputs, targets: outputs["y"].mean())
    batches = [torch.ones(6), torch.zeros(2)]
    total = sum(metric.stats({"y": batch}, (batch.to(torch.int64), None)) for batch in batches)
    assert metric.compute(total.tolist()) == 0.75
    assert isinstance(metric, MeanMetric) and metric.is_ratio and metric.higher_is_better
    assert not as_metric("my_loss", lambda outputs, targets: outputs.mean()).higher_is_better


def test_a_metric_on_a_part_of_the_outputs(scores):
    picked = accuracy.on(lambda outputs, targets: (outputs["logits"], targets[0]))
    assert picked.is_ratio and picked.size == 2
    assert torch.equal(picked({"logits": scores[0]}, [scores[1]]), accuracy(*scores))
    assert not mae.on(lambda o, t: (o, t)).higher_is_better


def test_a_metric_of_ones_own():
    class Largest(Metric):
        size = 1

        def stats(self, outputs, targets):
            return outputs.amax().reshape(1)

        def compute(self, total):
            return math.sqrt(total[0])

    assert as_metric("largest", Largest())(torch.tensor([1.0, 9.0]), None) == 3.0
    with pytest.raises(NotImplementedError, match="Metric must define stats"):
        Metric().stats(None, None)
    with pytest.raises(NotImplementedError, match="compute"):
        Metric().compute([1.0])


@pytest.mark.parametrize(
    ("metric", "outputs", "targets", "says"),
    [
        (mse, torch.zeros(4, 1), torch.zeros(4), r"\[4, 1\].*\[4\].*unsqueeze"),
        (mae, {"y": 1}, torch.zeros(4), "dict.*one tensor.*mae.on"),
        (accuracy, torch.zeros(4, 3), torch.zeros(5, dtype=torch.int64), r"wanted outputs .* = \[4\]"),
        (accuracy, torch.zeros(4, 3), torch.zeros(4), "class numbers"),
        (accuracy, torch.zeros(4, 3), torch.zeros(4, 3, dtype=torch.int64), r"\[N, C, ...\]"),
        (accuracy, torch.zeros(4), torch.zeros(3, dtype=torch.int64), r"\[N, C, ...\]"),
        (top_k(5), torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), "wants 5 classes"),
        (r2, torch.zeros(4, 2), torch.zeros(4, 2), r"R2\(columns=2\)"),
        (as_metric("odd", lambda o, t: 0.5), torch.zeros(4), torch.zeros(4), "'odd' returned float"),
        (as_metric("odd", lambda o, t: o), torch.zeros(4), torch.zeros(4), r"'odd' returned .*\[4\].*mean"),
    ],
)
def test_wrong_shapes_are_refused_with_a_way_out(metric, outputs, targets, says):
    with pytest.raises(UserStepError, match=says):
        metric.stats(outputs, targets)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (3, "int, wanted"),
        (top_k, "top_k"),
        (R2, r"R2\(\)"),
        (lambda outputs: outputs, "outputs, targets"),
        (dict, "wanted"),
    ],
)
def test_what_is_no_metric_is_refused(given, says):
    with pytest.raises(TypeError, match=says):
        as_metric("m", given)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_wrong_k_and_columns(k):
    with pytest.raises(ValueError, match="at least 1"):
        top_k(k)
    with pytest.raises(ValueError, match="at least 1"):
        R2(k)


def test_direction_of_names():
    assert direction("val/loss") == direction("rmse") == direction("train/box_loss") == "min"
    assert direction("val/accuracy") == direction("mAP50") == direction("val/f1_score") == "max"
    assert direction("lr/pg0") is direction("val/laptop") is None
