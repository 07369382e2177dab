"""What a pattern names, and what the user is told where it names nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from trainer_helpers import trainer_of

import pyhooks
from pyhooks.native import ActivationStats, GradNoise, GradScale, GradStats, LossMeter, NativeHook


def blocks() -> nn.Module:
    block = lambda: nn.ModuleDict({"conv1": nn.Identity(), "conv2": nn.Linear(4, 4)})  # noqa: E731
    model = nn.ModuleDict({"layer1": nn.ModuleList([block(), block()]), "layer2": nn.ModuleList([block()])})
    model["layer1"][0]["conv2"].bias.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    ("pattern", "on", "names"),
    [
        ("layer1.0.conv1", "output", ["layer1.0.conv1"]),
        ("layer1.*.conv1", "output", ["layer1.0.conv1", "layer1.1.conv1"]),
        ("layer?.0", "grad", ["layer1.0", "layer2.0"]),
        ("*conv2", "grad", ["layer1.0.conv2", "layer1.1.conv2", "layer2.0.conv2"]),
        ("layer[!2]*.1.*", "output", ["layer1.1.conv1", "layer1.1.conv2"]),
        ("model", "output", ["model"]),
        ("*weight", "param_grad", [f"layer{i}.conv2.weight" for i in ("1.0", "1.1", "2.0")]),
        ("layer1.0.*", "param_grad", ["layer1.0.conv2.weight", "layer1.0.conv2.bias"]),  # a frozen one too
    ],
)
def test_globs(pattern: str, on: str, names: list[str]) -> None:
    trainer = trainer_of(blocks())
    hook = ActivationStats() if on == "output" else GradStats()
    handle = trainer.add_hook(pattern, hook, on=on)
    assert handle.names == names
    assert handle.tensors == [] and handle.calls == 0


def test_a_star_names_everything() -> None:
    model = blocks()
    names = [name for name, _ in model.named_modules() if name]
    assert trainer_of(model).add_hook("*", ActivationStats()).names == [*names, "model"]


def test_a_submodule_may_be_called_model() -> None:
    trainer = trainer_of(nn.ModuleDict({"model": nn.Linear(4, 3)}))
    assert trainer.add_hook("model*", ActivationStats()).names == ["model"]
    assert trainer.add_hook("model*", GradStats(), on="param_grad").names == ["model.weight", "model.bias"]


def test_a_module_of_two_names_is_matched_by_either(engine: str) -> None:
    shared = nn.Linear(4, 4)
    trainer = trainer_of(nn.Sequential(shared, nn.Tanh(), shared, nn.Linear(4, 3)), engine=engine)
    by_second = trainer.add_hook("2", ActivationStats("mean"))
    by_both = trainer.add_hook("[02]", ActivationStats("mean"))
    trainer.fit(_data(), epochs=1, batch_size=4)
    assert by_second.tensors == ["2", "2#2"]
    assert by_both.tensors == ["0", "0#2"] and by_both.names == ["0"]


def _data() -> Any:
    return torch.zeros(8, 4), torch.zeros(8, dtype=torch.long)


def test_modules_of_the_loss() -> None:
    model, loss = nn.Linear(4, 3), nn.ModuleDict({"scale": nn.Linear(1, 1)})
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()])
    trainer = pyhooks.Trainer(model, loss, optimizer, progress=False)
    assert trainer.add_hook("loss*", ActivationStats()).names == ["loss", "loss.scale"]
    assert trainer.add_hook("loss.*", GradStats(), on="param_grad").names == ["loss.scale.weight", "loss.scale.bias"]


@pytest.mark.parametrize(
    ("pattern", "on", "says"),
    [
        ("layer1.0.conv", "output", "no module has a name like 'layer1.0.conv'; did you mean 'layer1.0.conv"),
        ("layer1.0.conv2.wieght", "param_grad", "no parameter .*; did you mean 'layer1.0.conv2.weight'"),
        ("zzz", "output", "no module has a name like 'zzz'; there are layer1, layer1.0, .*, ..."),
        ("", "output", "no module has a name like ''; there are layer1"),
        ("*.weight", "output", "it is a parameter's: wanted on='param_grad'?"),
        ("layer1.0.conv2", "param_grad", "it is a module's: wanted on='output' or 'grad'?"),
        ("Layer1.0", "output", "did you mean 'layer1.0'"),
    ],
)
def test_patterns_that_match_nothing(pattern: str, on: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        trainer_of(blocks()).add_hook(pattern, ActivationStats() if on == "output" else GradStats(), on=on)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "says"),
    [
        (
            ("fc", ActivationStats()),
            {"on": "outputs"},
            ValueError,
            "on is 'outputs'; wanted one of 'output' .*param_grad",
        ),
        (("fc", ActivationStats()), {"on": None}, ValueError, "on is None"),
        (("fc", ActivationStats()), {"on": "grad"}, ValueError, 'ActivationStats is not for on="grad": .* on="output"'),
        (("fc", GradStats()), {}, ValueError, 'GradStats is not for on="output": add it with on="grad" or on="param_'),
        (("fc", GradScale(2)), {}, ValueError, 'GradScale is not for on="output"'),
        (("fc", GradNoise()), {}, ValueError, 'GradNoise is not for on="output"'),
        (("fc", ActivationStats), {}, TypeError, r"got the class ActivationStats, wanted an object of it"),
        (("fc", LossMeter()), {}, TypeError, r"LossMeter\(.*is a callback.*add_callback"),
        (("fc", pyhooks.callbacks.EarlyStopping("loss")), {}, TypeError, "is a callback"),
        (("fc", print), {}, TypeError, "wanted a native tensor hook.*register_forward_hook"),
        ((3, ActivationStats()), {}, TypeError, "got an int first; wanted a module's name"),
        (("fc", ActivationStats()), {"every": 0}, ValueError, "every is 0; it must be at least 1"),
        (("fc", ActivationStats()), {"every": 1.5}, TypeError, "every is 1.5"),
    ],
)
def test_what_is_refused(arguments: Any, options: Any, error: type[Exception], says: str) -> None:
    trainer = trainer_of(nn.ModuleDict({"fc": nn.Linear(4, 3)}))
    with pytest.raises(error, match=says):
        trainer.add_hook(*arguments, **options)
    assert trainer.explain() == "engine: auto\nno callbacks"


def test_who_is_on_what(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = trainer_of(nn.Sequential(*[nn.Linear(4, 4) for _ in range(10)]))
    handle = trainer.add_hook("*", ActivationStats())
    other = trainer.add_hook("3.bias", NativeHook("grad_scale", factor=2), on="param_grad", every=5)
    assert trainer.explain().splitlines() == [
        "engine: auto",
        "tensor hooks",
        "  output     ActivationStats (native) on '*': 0, 1, 2, 3, 4, 5, 6, 7 and 3 more",
        "  param_grad grad_scale (native, every=5) on '3.bias': 3.bias",
    ]
    assert repr(handle) == "HookHandle('ActivationStats', '*', on='output')"
    assert repr(other) == "HookHandle('grad_scale', '3.bias', on='param_grad')"


def test_a_hook_is_made_anew_for_each_trainer(engine: str) -> None:
    stats, handles = ActivationStats("histogram", range=1), []
    for epochs in (1, 2):
        trainer = trainer_of(nn.Sequential(nn.Linear(4, 3)), F.cross_entropy, engine=engine)
        handles.append(trainer.add_hook("0", stats))
        trainer.fit(_data(), epochs=epochs, batch_size=8)
    assert [handle.calls for handle in handles] == [1, 2]
    assert [handle.histogram("0")[0].sum() for handle in handles] == [24, 24]
