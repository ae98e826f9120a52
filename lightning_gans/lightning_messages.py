"""Warnings and lines of Lightning that do not apply to this framework."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

IGNORED_WARNINGS = (
    "Found .* module.* in eval mode",  # the EMA of the generator
    "You passed in a `val_dataloader` but have no `validation_step`",  # `Evaluation` uses the validation data
    "The number of training batches .* is smaller than the logging interval",
    "Using ModelCheckpoint with manual optimization and every_n_train_steps",  # it saves after the step, as it should
    "Checkpoint directory .* exists and is not empty",  # the folder of a resumed run
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # in Lightning's own code
)
"""Beginnings of ignored warnings, as regular expressions."""

IGNORED_LINES = re.compile(
    r"\W*Tip: |(GPU|TPU|IPU|HPU) available: |`Trainer\.fit` stopped: |Using (16bit|bfloat16) |"
    r"Running in `fast_dev_run`|Restor(ing|ed all) states |\s*Detected KeyboardInterrupt"
)
"""Beginnings of ignored lines: advertisements, and facts that `Progress` prints."""

LOGGER = "pytorch_lightning.utilities.rank_zero"
"""Name of the logger of these lines."""


def _is_wanted(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or not IGNORED_LINES.match(record.getMessage())


@contextmanager
def ignored_messages() -> Iterator[None]:
    """Ignore the warnings and the lines in a `with` block.

    Example:
        >>> with ignored_messages():
        ...     logging.getLogger(LOGGER).info("GPU available: False, used: False")
    """
    logger = logging.getLogger(LOGGER)
    logger.addFilter(_is_wanted)
    try:
        with warnings.catch_warnings():
            for message in IGNORED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.removeFilter(_is_wanted)
