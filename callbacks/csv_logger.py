"""The CSV logger of a run."""

import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_gans.files import tolerate_write_errors


class ResilientCSVLogger(CSVLogger):
    """`metrics.csv`, without which training goes on."""

    @rank_zero_only
    def save(self) -> None:
        """Append what is new; what a full disk cut off is tried again whole the next time."""
        path = Path(self.experiment.metrics_file_path)
        size = path.stat().st_size if path.exists() else 0
        whole = False
        with tolerate_write_errors(path):
            super().save()
            whole = True
        if not whole and path.exists() and path.stat().st_size > size:
            os.truncate(path, size)
