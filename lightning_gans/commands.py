"""`sample` and `evaluate`: what is done with a run."""

import argparse
import json
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

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
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` lists the options")


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run a verb with these arguments; the exit code is 2 for a mistake in them."""
    parser = _Parser(prog=f"python -m lightning_gans {verb}", allow_abbrev=False)
    parser.add_argument("run", help="a run folder, or a checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples (0)")
    parser.add_argument("--trust", action="append", default=[], metavar="MODULE", help="a module of yours to import")
    execute = COMMANDS[verb](parser)
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
    parser.description = "Draw examples; example i depends on the seed and on i alone."
    parser.add_argument("--count", type=int, default=64, help="how many (64)")
    parser.add_argument("--label", type=int, help="the class of all, by its number (each drawn evenly)")
    parser.add_argument("--output", type=Path, default=Path("samples.png"), help="grid.png, samples.npz or folder/")
    parser.add_argument("--interpolate", action="store_true", help="walk between latents, 8 steps in a row")
    return sample


def sample(model: Model, options: argparse.Namespace) -> None:
    """Draw, and write: a grid, an array `image` (n, height, width, channels) of bytes, or one file an example.

    Of points: one image, or an array `image` (n, dimensions) as the model made them. Arrays of a class-conditional
    model have `label` (n,) beside.
    """
    if not isinstance(model, GenerativeModel):
        raise UsageError(f"{type(model).__name__} makes no examples")
    if options.count < 1:
        raise UsageError(f"`--count` must be at least 1, got {options.count}")
    if options.seed < 0:
        raise UsageError(f"`--seed` must be at least 0, got {options.seed}")
    if options.label is not None and "label" not in model.conditions:
        raise UsageError(f"`--label` is for class-conditional models, which this {type(model).__name__} is not")
    columns = 8 if options.interpolate else math.ceil(math.sqrt(options.count))
    write = _writer(model.image_shape, options.output, columns)  # which refuses a name before anything is drawn
    if options.interpolate:
        if not isinstance(model, GAN) or model.conditions:
            raise UsageError(
                f"`--interpolate` walks between latents, which {type(model).__name__} alone does not sample from"
            )
        walks = model.interpolate(-(-options.count // 8), 8, seed=options.seed)["image"]
        write({"image": walks[: options.count]})
    else:
        given: Batch = {} if options.label is None else {"label": torch.full((options.count,), options.label)}
        write(model.sample(options.count, condition=given, seed=options.seed))
    print(f"{options.count:,} samples of {type(model).__name__}, seed {options.seed}: {options.output}")


def _writer(shape: ImageShape, output: Path, columns: int) -> Callable[[Batch], None]:
    """What writes examples of that shape in the form that the name asks for."""
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
    np.savez(output, **{name: array.numpy() for name, array in arrays.items()})  # type: ignore[arg-type]


def _write_files(batch: Batch, folder: Path) -> None:
    for index, image in enumerate(track(to_uint8(batch["image"]), description="", transient=True)):
        save_image(image.permute(1, 2, 0).expand(-1, -1, 3).numpy(), folder / f"{index:06d}.png")


def _evaluate(parser: argparse.ArgumentParser) -> Execute:
    parser.description = (
        "Score samples against held-out examples: precision, recall, density, coverage of pixels; "
        "and models by what they alone can do, such as a classifier's accuracy."
    )
    parser.add_argument("--split", choices=["validation", "test"], default="test", help="which examples (test)")
    parser.add_argument(
        "--count", type=int, default=1000, help="examples to generate, and to compare with at most (1000)"
    )
    parser.add_argument("--k", type=int, default=5, help="nearest neighbors (5)")
    return evaluate


def evaluate(model: Model, options: argparse.Namespace) -> None:
    """Score, and print with the protocol, as JSON."""
    data = load_data(options.run, trust=options.trust)
    data.prepare_data()
    evaluation = Evaluation(count=options.count, k=options.k, seed=options.seed)
    scores = evaluation.evaluate(model, data, options.split)
    protocol = evaluation.protocol(model, data, options.split)
    print(json.dumps({**scores, **protocol, "images_seen": model.images_seen}, indent=2))


COMMANDS: dict[str, Callable[[argparse.ArgumentParser], Execute]] = {"sample": _sample, "evaluate": _evaluate}
