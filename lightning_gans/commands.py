"""The commands `sample` and `evaluate`, which work on a trained model."""

import argparse
import json
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from rich.progress import track

from lightning_gans.callbacks import Evaluation
from lightning_gans.core.checkpoints import load_data
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model, load
from lightning_gans.errors import UsageError, one_line, print_error
from lightning_gans.rendering.images import grid, save_image, to_uint8
from lightning_gans.rendering.points import scatter
from lightning_gans.types import Batch, ImageShape


class _Parser(argparse.ArgumentParser):
    """Parse arguments, and raise a `UsageError` instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists the options")


def run(command: str, arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        command: Name of the command.
        arguments: Arguments of the command.

    Returns:
        The exit code: 0, or 2 for a usage error.
    """
    parser = _Parser(prog=f"python -m lightning_gans {command}", allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help="a run folder, or a checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples (default: 0)")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="MODULE",
        help="module to import that defines classes of the run",
    )
    execute = COMMANDS[command](parser)
    try:
        options = parser.parse_args(arguments)
    except UsageError as error:
        return print_error(error)
    try:
        model = load(options.run, trust=options.trust)
        execute(model.to("cuda" if torch.cuda.is_available() else "cpu"), options)
    except (UsageError, ValueError, OSError) as error:
        message = re.sub(rf"`({'|'.join(vars(options).keys() - {'run'})})`", r"`--\1`", one_line(error))
        return print_error(UsageError(message))
    return 0


Execute = Callable[[Model, argparse.Namespace], None]


def _sample(parser: argparse.ArgumentParser) -> Execute:
    parser.description = "Generate samples. Sample i depends on the seed and on i only."
    parser.add_argument("--count", type=int, default=64, help="number of samples (default: 64)")
    parser.add_argument("--label", type=int, help="class of all samples, by its index (default: random classes)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("samples.png"),
        help="an image grid (.png), an array (.npz), or a folder with a file for each sample (default: samples.png)",
    )
    parser.add_argument(
        "--interpolate", action="store_true", help="write rows of 8 samples that interpolate between two latents"
    )
    return sample


def sample(model: Model, options: argparse.Namespace) -> None:
    """Generate samples and write them to an image grid, an array, or a folder with one file for each sample.

    The array `image` has the shape (n, height, width, channels) and the type uint8. Points are written as a scatter
    plot, or as an array `image` (n, dimensions) in the units of the model. A class-conditional model adds the array
    `label` (n,).

    Args:
        model: The model.
        options: Options of the command.

    Raises:
        UsageError: If the model does not generate samples, or an option is invalid or does not apply to the model.
    """
    if not isinstance(model, GenerativeModel):
        raise UsageError(f"{type(model).__name__} does not generate samples")
    if options.count < 1:
        raise UsageError(f"`--count` must be at least 1, got {options.count}")
    if options.seed < 0:
        raise UsageError(f"`--seed` must be at least 0, got {options.seed}")
    if options.label is not None and "label" not in model.conditions:
        raise UsageError(f"`--label` needs a class-conditional model, unlike this {type(model).__name__}")
    columns = 8 if options.interpolate else math.ceil(math.sqrt(options.count))
    write = _writer(model.image_shape, options.output, columns)  # an error is raised before sampling starts
    if options.interpolate:
        if not isinstance(model, GAN) or model.conditions:
            reason = "is conditional" if isinstance(model, GAN) else "has no latents"
            raise UsageError(f"`--interpolate` needs an unconditional GAN; {type(model).__name__} {reason}")
        rows = model.interpolate(math.ceil(options.count / 8), 8, seed=options.seed)["image"]
        write({"image": rows[: options.count]})
    else:
        condition: Batch = {} if options.label is None else {"label": torch.full((options.count,), options.label)}
        write(model.sample(options.count, condition=condition, seed=options.seed))
    print(f"{options.count:,} samples of {type(model).__name__}, seed {options.seed}: {options.output}")


def _writer(shape: ImageShape, output: Path, columns: int) -> Callable[[Batch], None]:
    """Return a function that writes a batch in the format that the suffix of a path selects."""
    points = len(shape) == 1
    match output.suffix:
        case ".npz":
            return partial(_write_arrays, output=output)
        case ".png" if not points:
            return lambda batch: save_image(grid(batch["image"], columns), output)
        case ".png" if shape == (2,):
            return lambda batch: save_image(scatter(batch["image"]), output)
        case "" if not points:
            return partial(_write_files, folder=output)
        case suffix if points:
            raise UsageError(f"`--output` of points must end in .npz, or in .png in the plane, got {suffix!r}")
        case suffix:
            raise UsageError(f"`--output` must end in .png, .npz or be a folder, got {suffix!r} in {str(output)!r}")


def _write_arrays(batch: Batch, output: Path) -> None:
    image = batch["image"]
    arrays = {"image": image.float().cpu() if image.dim() == 2 else to_uint8(image).permute(0, 2, 3, 1)}
    if "label" in batch:
        arrays["label"] = batch["label"].cpu()
    output.parent.mkdir(parents=True, exist_ok=True)
    numpy_arrays: dict[str, Any] = {name: array.numpy() for name, array in arrays.items()}
    np.savez(output, **numpy_arrays)


def _write_files(batch: Batch, folder: Path) -> None:
    for index, image in enumerate(track(to_uint8(batch["image"]), description="", transient=True)):
        save_image(image.permute(1, 2, 0).expand(-1, -1, 3).numpy(), folder / f"{index:06d}.png")


def _evaluate(parser: argparse.ArgumentParser) -> Execute:
    parser.description = (
        "Score samples against held-out examples: precision, recall, density and coverage, on pixels. "
        "Some models add scores of their own, such as log-probabilities or the accuracy of a classifier."
    )
    parser.add_argument(
        "--split", choices=["validation", "test"], default="test", help="split of the data (default: test)"
    )
    parser.add_argument(
        "--count", type=int, default=1000, help="number of samples, and maximum number of examples (default: 1000)"
    )
    parser.add_argument("--k", type=int, default=5, help="number of nearest neighbors (default: 5)")
    return evaluate


def evaluate(model: Model, options: argparse.Namespace) -> None:
    """Score a model on held-out examples, and print the scores and their protocol as JSON.

    Args:
        model: The model.
        options: Options of the command.
    """
    data = load_data(options.run, trust=options.trust)
    data.prepare_data()
    evaluation = Evaluation(count=options.count, k=options.k, seed=options.seed)
    scores = evaluation.evaluate(model, data, options.split)
    protocol = evaluation.protocol(model, data, options.split)
    print(json.dumps({**scores, **protocol, "images_seen": model.images_seen}, indent=2))


COMMANDS: dict[str, Callable[[argparse.ArgumentParser], Execute]] = {"sample": _sample, "evaluate": _evaluate}
