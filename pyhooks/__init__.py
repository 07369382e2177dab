"""pyhooks: a PyTorch trainer whose loop is C++.

It captures a training step once and runs whole epochs with no Python and without the GIL. What listens to a batch is
native; what listens to an epoch or a run may be Python.

    trainer = pyhooks.Trainer(net, loss=F.cross_entropy, optimizer=torch.optim.Adam(net.parameters()))
    trainer.add_callback("on_train_epoch_end", lambda trainer: print(trainer.epoch, trainer.metrics))
    trainer.fit((x, y), val=(xv, yv), epochs=10, batch_size=64)
"""

from pyhooks import _build_check

_build_check.check()

from pyhooks import callbacks, errors, metrics, native, plugins, schedules  # noqa: E402
from pyhooks._build_info import PYHOOKS_VERSION as __version__  # noqa: E402
from pyhooks.averages import load_weights  # noqa: E402
from pyhooks.callbacks import Callback  # noqa: E402
from pyhooks.errors import (  # noqa: E402
    CallbackError,
    CaptureError,
    ExportError,
    NativeFunctionError,
    PluginError,
    PyhooksError,
    TriggerError,
    UserStepError,
)
from pyhooks.history import History, Result  # noqa: E402
from pyhooks.native_function import native_callback  # noqa: E402
from pyhooks.paths import cmake_prefix_path, get_include  # noqa: E402
from pyhooks.plugins import load_plugin  # noqa: E402
from pyhooks.trainer import Trainer  # noqa: E402
from pyhooks.triggers import Firing, call, when  # noqa: E402

__all__ = [
    "Callback",
    "CallbackError",
    "CaptureError",
    "ExportError",
    "Firing",
    "History",
    "NativeFunctionError",
    "PluginError",
    "PyhooksError",
    "Result",
    "Trainer",
    "TriggerError",
    "UserStepError",
    "__version__",
    "call",
    "callbacks",
    "cmake_prefix_path",
    "errors",
    "get_include",
    "load_plugin",
    "load_weights",
    "metrics",
    "native",
    "native_callback",
    "plugins",
    "schedules",
    "when",
]
