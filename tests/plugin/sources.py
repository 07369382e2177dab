"""What the tests of plugins compile and run."""

from __future__ import annotations

from string import Template

TEMPLATE = Template(r"""
#include <pyhooks/plugin.h>

$before
class $name final : public pyhooks::Callback {
 public:
  explicit $name(const pyhooks::Options& options) : factor_(options.get<double>("factor")) {}
  std::vector<std::string> logs() const override { return {"$column"}; }
  void on_train_batch_end(pyhooks::BatchContext& ctx) override { ctx.log("$column", factor_ * $value); }

 private:
  double factor_;
};

PYHOOKS_CALLBACK($name, "$column", "Logs a number for every batch.", {"factor", "float", 1.0, "times this"});
""")


def plugin(name: str = "Scaled", column: str = "scaled", value: str = "ctx.loss()", before: str = "") -> str:
    """A plugin that logs, under ``column``, ``factor`` times a C++ expression."""
    return TEMPLATE.substitute(name=name, column=column, value=value, before=before)


TENSORS = plugin(
    "ParamSum",
    "param_sum",
    "ctx.param(0).abs().sum().item<double>()",
    "#include <ATen/core/Tensor.h>\n#include <ATen/ops/abs.h>\n#include <ATen/ops/sum.h>\n",
)
"""A plugin that looks into tensors. It takes some 15 s to compile, where the other takes 1.5 s."""

PRELUDE = """
import numpy as np
import torch
from torch import nn

import pyhooks


def train(*callbacks):
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    trainer = pyhooks.Trainer(net, nn.functional.cross_entropy, optimizer, callbacks=callbacks, progress=False, seed=0)
    trainer.fit((torch.randn(24, 4), torch.randint(3, (24,))), epochs=2, batch_size=8)
    return trainer.history.batch


def refusal(source, **options):
    try:
        pyhooks.load_plugin(source, **options)
    except pyhooks.PluginError as error:
        return str(error)
    return "loaded"
"""

CHECK = (
    PRELUDE
    + """
import sys

hooks = pyhooks.load_plugin(sys.argv[1])
batch = train(hooks.Scaled(factor=3))
assert len(batch["scaled"]) == 6 and (batch["scaled"] == 3 * batch["loss"]).all(), batch
print(hooks.Scaled().name, repr(hooks.__torch__))
"""
)
"""A program that loads the plugin it is given, and trains with it."""

CHECK_TENSORS = (
    PRELUDE
    + """
import sys

hooks = pyhooks.load_plugin(sys.argv[1])
batch = train(hooks.ParamSum(factor=2))
assert len(batch["param_sum"]) == 6 and (batch["param_sum"] > 0).all(), batch
assert hooks.__torch__ == torch.__version__.partition("+")[0]
print(hooks.ParamSum().name)
"""
)
