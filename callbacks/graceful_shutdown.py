"""Checkpoint and exit on SIGTERM or Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from lightning_gans.callbacks.checkpointing import save_last
from lightning_gans.core.distributed import gather
from lightning_gans.core.generative import GenerativeModel

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of Ctrl-C."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop training."""

SYNC_EVERY = 10
"""Batches between two synchronizations of the signal over several processes."""


@contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in a `with` block that Ctrl-C has ended.

    `GracefulShutdown` exits with 130, and Lightning with 1, after which it ignores Ctrl-C. In Python, and above all in
    a notebook, people expect and catch the exception.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if error.code != INTERRUPTED and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


class GracefulShutdown(pl.Callback):
    """Finish the batch, save a checkpoint, and exit with 143 on SIGTERM or 130 on Ctrl-C.

    `Trainer.fit` of this framework raises Ctrl-C as `KeyboardInterrupt`; the command line exits with 130.

    These exit codes, 128 plus the number of the signal, keep schedulers from mistaking the exit for success.
    `fit --ckpt_path last` resumes the run. Sampling and evaluation are aborted, because they take minutes for some
    models. A second signal exits immediately without saving, because training cannot resume from half a batch.
    """

    def __init__(self) -> None:
        self._previous_handlers: dict[int, Any] = {}
        self._model: pl.LightningModule | None = None
        self._signal = 0
        self._aborted_sampling = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the signal handlers; Python allows this only in the main thread."""
        self._signal, self._aborted_sampling = 0, False
        if threading.current_thread() is threading.main_thread():
            self._model = pl_module if trainer.world_size == 1 else None  # several processes must exit together
            self._previous_handlers = {number: signal.signal(number, self._handle_signal) for number in SIGNALS}

    def _handle_signal(self, number: int, _: FrameType | None) -> None:
        if self._signal:
            raise SystemExit(128 + number)
        self._signal = number
        if isinstance(self._model, GenerativeModel) and self._model.sampling:  # between batches, so no batch is lost
            self._aborted_sampling = True
            raise SystemExit(128 + number)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and exit if a signal was received."""
        number = self._signal
        if trainer.world_size > 1:
            if trainer.global_step % SYNC_EVERY:
                return
            number = max(gather(number))
        if number:
            save_last(trainer)
            raise SystemExit(128 + number)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the previous signal handlers."""
        self._restore_handlers()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save if a signal aborted sampling, and restore the previous signal handlers."""
        if self._aborted_sampling:
            save_last(trainer)
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        while self._previous_handlers:
            signal.signal(*self._previous_handlers.popitem())
