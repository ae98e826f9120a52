"""The command `data`: describe a data module, and draw its first examples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from lightning_gans.cli import Parser
from lightning_gans.core import private
from lightning_gans.datamodules import DataModule
from lightning_gans.datamodules.summary import summarize
from lightning_gans.error_messages import translate_error
from lightning_gans.errors import UsageError, print_error
from lightning_gans.recipes import sorted_by_rank
from lightning_gans.rendering.captions import captioned_grid, labeled_rows
from lightning_gans.rendering.images import RGBImage, grid, save_image
from lightning_gans.rendering.points import scatter
from lightning_gans.types import Batch

COLUMNS = 8
"""Images per row."""

DESCRIPTION = "Describe data, and draw training examples: with captions, or in one row per class."
"""The help of the command."""

MAX_ROWS = 20
"""Maximum number of rows, hence of classes that are drawn."""


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
    except (UsageError, ValueError) as error:
        return print_error(UsageError(translate_error(str(error))))
    print(f"examples: {output}")
    return 0


def draw(data: DataModule) -> RGBImage:
    """Draw training examples: images or spectrograms with captions, in one row per class or in a grid, or points.

    Args:
        data: The data module.
    """
    if "audio" in (batch := data.dummy_batch(1)):
        return _draw_spectrograms(data)
    if batch["image"].dim() == 2:
        return scatter(data.examples("train", 2500)["image"][:, :2])
    if data.vocabulary is not None:
        batch = data.examples("train", COLUMNS * COLUMNS // 2)
        return captioned_grid(batch["image"], data.vocabulary.decode(batch["text"]), COLUMNS)
    if data.class_names is not None:
        return labeled_rows(_rows(data.class_names[:MAX_ROWS], data.examples("train"), "image"))
    return grid(data.examples("train", COLUMNS * COLUMNS)["image"], COLUMNS)


def _draw_spectrograms(data: DataModule) -> RGBImage:
    """Draw log-mel spectrograms, with low frequencies at the bottom."""
    batch = data.examples("train")
    upright: Batch = {**batch, "audio": batch["audio"].flip(2)}
    if data.class_names is not None:
        return labeled_rows(_rows(data.class_names[:MAX_ROWS], upright, "audio"))
    return grid(upright["audio"][: COLUMNS * COLUMNS], COLUMNS)


def _rows(names: Sequence[str], batch: Batch, key: Literal["image", "audio"]) -> dict[str, Tensor]:
    """Return the first examples of each class that has any."""
    rows = {name: batch[key][batch["label"] == label][:COLUMNS] for label, name in enumerate(names)}
    return {name: examples for name, examples in rows.items() if len(examples)}


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
