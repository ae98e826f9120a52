"""Leaving when asked to, with nothing lost."""

import signal
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from lightning_gans.callbacks.checkpointing import save_last
from lightning_gans.core.distributed import gather
from lightning_gans.core.generative import GenerativeModel

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SYNC_EVERY = 10
"""Several processes agree on leaving every so many batches, not at each."""


class GracefulShutdown(pl.Callback):
    """On SIGTERM and Ctrl-C finish the batch, save, and exit with 143 or 130, which schedulers know from success.

    Samples that are being drawn and scores that are being taken are given up, as some models need minutes for them. A
    second signal leaves at once, and saves nothing: half a batch is no state to go on from. `fit --ckpt_path last` goes
    on from what was saved.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._model: pl.LightningModule | None = None
        self._asked = 0
        self._gave_up = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen, where Python allows it: in the main thread."""
        self._asked, self._gave_up = 0, False
        if threading.current_thread() is threading.main_thread():
            self._model = pl_module if trainer.world_size == 1 else None  # several processes leave together
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._asked:
            raise SystemExit(128 + number)
        self._asked = number
        if isinstance(self._model, GenerativeModel) and self._model.sampling:  # no batch is begun, none is lost
            self._gave_up = True
            raise SystemExit(128 + number)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and leave, if asked to."""
        asked = self._asked
        if trainer.world_size > 1:
            if trainer.global_step % SYNC_EVERY:
                return
            asked = max(gather(asked))
        if asked:
            save_last(trainer)
            raise SystemExit(128 + asked)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen no more."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save, where samples were given up; listen no more."""
        if self._gave_up:
            save_last(trainer)
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
