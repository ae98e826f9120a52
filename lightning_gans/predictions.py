"""Files of class probabilities."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor


def write_predictions(path: Path, probabilities: Tensor, label: Tensor, class_names: Sequence[str] | None) -> None:
    """Write the class probabilities of examples.

    A table has the columns `index`, `label` (empty where unknown), `prediction`, and the probability of each class by
    its name. Arrays have the names `probabilities`, `label` and `prediction`, with classes as integers.

    Args:
        path: A file that ends in .csv or .npz.
        probabilities: (n, classes).
        label: (n,) int64 true classes, -1 where unknown.
        class_names: Name of each class; None for their indices.

    Raises:
        OSError: If the file cannot be written.

    Example:
        >>> import torch
        >>> from tempfile import NamedTemporaryFile
        >>> with NamedTemporaryFile(suffix=".csv") as file:
        ...     write_predictions(Path(file.name), torch.tensor([[0.25, 0.75]]), torch.tensor([0]), ["cat", "dog"])
        ...     Path(file.name).read_text().splitlines()
        ['index,label,prediction,cat,dog', '0,cat,dog,0.25,0.75']
    """
    prediction = probabilities.argmax(1)
    if path.suffix.lower() == ".npz":
        np.savez(path, probabilities=probabilities.numpy(), label=label.numpy(), prediction=prediction.numpy())
        return
    names = list(class_names or map(str, range(probabilities.shape[1])))
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["index", "label", "prediction", *names])
        rows = zip(label.tolist(), prediction.tolist(), probabilities.tolist(), strict=True)
        for index, (true, predicted, row) in enumerate(rows):
            values = [f"{probability:.6g}" for probability in row]
            table.writerow([index, names[true] if true >= 0 else "", names[predicted], *values])
