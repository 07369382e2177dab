"""The base class of Python callbacks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pyhooks.callbacks.protocol import TrainerLike


class Callback:
    """Base of all Python callbacks: override what you listen to, the rest stays silent and costs nothing.

    Python listens to *runs* and *epochs*. What listens to a *batch* is native, because a Python call a batch
    would cost more than many a training step; ``trainer.add_callback("on_train_batch_end", ...)`` names the
    native ways.

    Within one event callbacks run by ``phase``, then in the order they were added: ``vote`` (may stop the
    run), ``mutate`` (changes the model or the optimizer), ``save``, ``observe``.

    What still fires, by how a run ends:

    ===================  ==========  ========  =============  ============  =============  ======
    ends by              batches     epoch     on_early_stop  on_train_end  on_interrupt,  fit()
                         left        end [1]_                               on_exception
    ===================  ==========  ========  =============  ============  =============  ======
    the last epoch       -           yes       no             yes           no             result
    a stop in a batch    no          yes       yes, before    yes           no             result
    a stop in an epoch   -           yes       yes, before    yes           no             result
    Ctrl-C               no [2]_     no        no             no            both           raises
    an exception         no          no        no             no            on_exception   raises
    ===================  ==========  ========  =============  ============  =============  ======

    .. [1] ``on_train_epoch_end``, validation and ``on_fit_epoch_end``, of the shortened epoch after a stop.
    .. [2] The current batch finishes.

    ``teardown`` always fires, last. ``fit`` raises the original exception with its traceback. A stop never
    silences a later callback.

    Attributes:
        phase: when it runs within one event. Default: "observe".
        logs: names of metrics it adds to ``trainer.metrics``. Default: none.
        handles_sigterm: let SIGTERM end training after the batch, with the events of an exception and SystemExit(143),
            in the main thread and where nobody else handles the signal. Default: False.

    Example:
        >>> class Shout(Callback):
        ...     def on_fit_epoch_end(self, trainer):
        ...         print(f"epoch {trainer.epoch + 1}: {trainer.metrics['val/loss']:.3f}!")
    """

    phase: ClassVar[Literal["vote", "mutate", "save", "observe"]] = "observe"
    logs: ClassVar[tuple[str, ...]] = ()
    handles_sigterm: bool = False

    def on_pretrain_routine_start(self, trainer: TrainerLike) -> None:
        """``fit`` was called; nothing is set up yet."""

    def on_pretrain_routine_end(self, trainer: TrainerLike) -> None:
        """Data, capture and resume are set up, ``trainer.metric_names`` known. Refuse wrong options here."""

    def on_resume(self, trainer: TrainerLike) -> None:
        """A checkpoint was loaded, this callback's own state included."""

    def on_train_start(self, trainer: TrainerLike) -> None:
        """Training begins. The place to reset, so that the object can be used for a second ``fit``."""

    def on_train_epoch_start(self, trainer: TrainerLike) -> None:
        """An epoch begins; ``trainer.epoch`` is its number, from 0."""

    def on_train_epoch_end(self, trainer: TrainerLike) -> None:
        """The epoch's batches are done, validation is not; ``trainer.metrics`` holds the ``train/`` ones."""

    def on_val_start(self, trainer: TrainerLike) -> None:
        """Validation begins."""

    def on_val_end(self, trainer: TrainerLike) -> None:
        """Validation is done; ``trainer.metrics`` holds the ``val/`` ones too."""

    def on_fit_epoch_end(self, trainer: TrainerLike) -> None:
        """Everything of this epoch is known: metrics and fitness. Fires exactly once an epoch."""

    def on_model_save(self, trainer: TrainerLike) -> None:
        """A checkpoint was handed to the writer."""

    def on_checkpoint_durable(self, trainer: TrainerLike) -> None:
        """A checkpoint is on disk: synced and renamed."""

    def on_early_stop(self, trainer: TrainerLike) -> None:
        """A callback stopped the run: see ``trainer.stop_reason``. ``on_train_end`` follows."""

    def on_train_end(self, trainer: TrainerLike) -> None:
        """Training ended, by its last epoch or by a stop; not after Ctrl-C or an exception."""

    def on_interrupt(self, trainer: TrainerLike) -> None:
        """Ctrl-C was pressed and the current batch is done; ``on_exception`` and ``teardown`` follow."""

    def on_exception(self, trainer: TrainerLike) -> None:
        """An exception ends the run; it is raised again after ``teardown``."""

    def teardown(self, trainer: TrainerLike) -> None:
        """The very last event, however the run ended."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep of this callback: JSON-able values and tensors. Default: nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned, before ``on_train_start``. Default: nothing."""
