"""The command `data`: describe a data module, draw its first examples, and write their sound."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_gans.audio import LogMel, write_wav
from lightning_gans.cli import Parser, explain_error
from lightning_gans.core import private
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.summary import summarize
from lightning_gans.errors import UsageError, print_error
from lightning_gans.files import atomic_write
from lightning_gans.recipes import sorted_by_rank
from lightning_gans.rendering.captions import captioned_grid, labeled_rows
from lightning_gans.rendering.images import RGBImage, grid, save_image, side_by_side
from lightning_gans.rendering.points import scatter
from lightning_gans.types import Batch

COLUMNS = 8
"""Images per row."""

DESCRIPTION = (
    "Describe data, and draw training examples: with captions, or in one row per class. Write one sound per class."
)
"""The help of the command."""

MAX_ROWS = 20
"""Maximum number of rows, hence of classes that are drawn."""

MAX_EXAMPLES = 5000
"""Training examples that are searched for examples of each class; they are a random subset."""


def show(arguments: Sequence[str]) -> int:
    """Run `data`.

    Args:
        arguments: Arguments of the command.

    Returns:
        The exit code: 0, or 2 for a usage error.
    """
    private.patch_class_change()
    try:
        data, output = _parse(arguments)
        data.prepare_data()
        print(summarize(data))
        save_image(draw(data), output)
        sounds = write_sounds(data, output)
    except (UsageError, ValueError) as error:
        return print_error(UsageError(explain_error(error)))
    print(f"examples: {output}")
    if sounds:
        print(f"sound as a model receives it (Griffin-Lim): {', '.join(map(str, sounds))}")
    return 0


def draw(data: DataModule) -> RGBImage:
    """Draw training examples: images or spectrograms with captions, in one row per class or in a grid, or points.

    Args:
        data: The data module.
    """
    if "audio" not in (batch := data.dummy_batch(1)) and batch["image"].dim() == 2:
        return scatter(data.examples("train", 2500)["image"][:, :2])
    if data.vocabulary is not None:
        batch = data.examples("train", COLUMNS * COLUMNS // 2)
        return captioned_grid(_tiles(batch), data.vocabulary.decode(batch["text"]), COLUMNS)
    if data.class_names is not None:
        batch = data.examples("train", MAX_EXAMPLES)
        tiles = _tiles(batch)
        return labeled_rows({name: tiles[indices[:COLUMNS]] for name, indices in _classes(data, batch).items()})
    return grid(_tiles(data.examples("train", COLUMNS * COLUMNS)), COLUMNS)


def _tiles(batch: Batch) -> Tensor:
    """Return the images of a batch, or its spectrograms with low frequencies at the bottom, or both side by side."""
    if "audio" not in batch:
        return batch["image"]
    upright = batch["audio"].flip(2)
    return side_by_side(batch["image"], upright) if "image" in batch else upright


def _classes(data: DataModule, batch: Batch) -> dict[str, Tensor]:
    """Return the indices of the examples of each class that has any, in the order of the classes."""
    names = (data.class_names or ())[:MAX_ROWS]
    found = {name: torch.nonzero(batch["label"] == label)[:, 0] for label, name in enumerate(names)}
    return {name: indices for name, indices in found.items() if len(indices)}


def write_sounds(data: DataModule, output: Path) -> list[Path]:
    """Write a training recording of each class as a model receives it: the inverse of its spectrogram by Griffin-Lim.

    Args:
        data: The data module; without classes, one recording is written.
        output: Path of the image of the examples; the sounds have its name, with the class and the suffix ".wav".

    Returns:
        The paths of the files; empty for data without sound.
    """
    if data.audio_shape is None:
        return []
    log_mel = LogMel(**data.preprocessing["log_mel"])
    batch = data.examples("train", 1 if data.class_names is None else MAX_EXAMPLES)
    first = {name: int(indices[0]) for name, indices in _classes(data, batch).items()} or {"": 0}
    waveforms = log_mel.inverse(batch["audio"][list(first.values())])
    paths = []
    for name, waveform in zip(first, waveforms, strict=True):
        path = output.with_name("_".join(filter(None, [output.stem, re.sub(r"[^\w.-]+", "-", name)])) + ".wav")
        with atomic_write(path) as part:
            write_wav(part, waveform, log_mel.sample_rate)
        paths.append(path)
    return paths


def data_parser(command: str, description: str) -> Parser:
    """Create the parser of a command that takes a data module.

    Args:
        command: Name of the command.
        description: Help of the command.
    """
    parser = Parser(prog=f"python -m lightning_gans {command}", description=description, allow_abbrev=False)
    parser.add_lightning_class_args(DataModule, "data", subclass_mode=True)
    parser.set_defaults({"data": {"class_path": "Digits"}})
    return parser


def _parse(arguments: Sequence[str]) -> tuple[DataModule, Path]:
    parser = data_parser("data", DESCRIPTION)
    parser.add_argument("--output", type=str, default="data.png", help="Image of training examples, as PNG.")
    options = parser.parse_args(sorted_by_rank(arguments))
    output = Path(options.output)
    if output.suffix.lower() != ".png":
        raise UsageError(f"`--output` must end in .png, got {options.output!r}")
    return parser.instantiate_classes(options).data, output
