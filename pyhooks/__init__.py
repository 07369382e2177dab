"""pyhooks: a PyTorch trainer whose loop is C++.

It captures a training step once and runs whole epochs with no Python and without the GIL. What listens to a batch is
native; what listens to an epoch or a run may be Python.

    trainer = pyhooks.Trainer(net, loss=F.cross_entropy, optimizer=torch.optim.Adam(net.parameters()))
    trainer.add_callback("on_train_epoch_end", lambda trainer: print(trainer.epoch, trainer.metrics))
    trainer.fit((x, y), val=(xv, yv), epochs=10, batch_size=64)
"""

from pyhooks import _build_check

_build_check.check()

from pyhooks import callbacks, errors, metrics, native  # noqa: E402
from pyhooks._build_info import PYHOOKS_VERSION as __version__  # noqa: E402
from pyhooks.callbacks import Callback  # noqa: E402
from pyhooks.errors import CallbackError, CaptureError, PyhooksError, TriggerError, UserStepError  # noqa: E402
from pyhooks.history import History, Result  # noqa: E402
from pyhooks.trainer import Trainer  # noqa: E402
from pyhooks.triggers import Firing, call, when  # noqa: E402

__all__ = [
    "Callback",
    "CallbackError",
    "CaptureError",
    "Firing",
    "History",
    "PyhooksError",
    "Result",
    "Trainer",
    "TriggerError",
    "UserStepError",
    "__version__",
    "call",
    "callbacks",
    "errors",
    "metrics",
    "native",
    "when",
]
