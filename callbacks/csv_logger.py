"""CSV logger of a run."""

import os
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_gans.files import tolerate_write_errors


class ResilientCSVLogger(CSVLogger):
    """Log to `metrics.csv`, and continue training if the file cannot be written."""

    @rank_zero_only
    def save(self) -> None:
        """Append the new rows; after a write error remove incomplete rows, so that the next call writes them again."""
        path = Path(self.experiment.metrics_file_path)
        size = path.stat().st_size if path.exists() else 0
        complete = False
        with tolerate_write_errors(path):
            super().save()
            complete = True
        if not complete and path.exists() and path.stat().st_size > size:
            os.truncate(path, size)
