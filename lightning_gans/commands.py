"""The commands `sample`, `evaluate`, `predict` and `attack`, which work on a trained model."""

import argparse
import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from lightning_gans.attack_command import attack
from lightning_gans.callbacks import Evaluation
from lightning_gans.core.batches import index_batch
from lightning_gans.core.checkpoints import find_checkpoint
from lightning_gans.core.classification import ClassificationModel
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import Model, load
from lightning_gans.data_options import load_data
from lightning_gans.errors import UsageError, one_line, print_error
from lightning_gans.models.paired_gan import PairedGAN
from lightning_gans.predictions import write_predictions
from lightning_gans.sample_conditions import given_conditions, log_mel_of, read_captions
from lightning_gans.sample_files import ArrayFile, FolderFile, GridFile, SampleFile, ScatterFile
from lightning_gans.sample_progress import track_samples, tracked
from lightning_gans.types import Batch

INTERPOLATION_STEPS = 8
"""Samples per interpolation."""


def run(command: str, options: argparse.Namespace) -> int:
    """Run a command.

    Args:
        command: Name of the command.
        options: Options of the command, from `command_options.parse`.

    Returns:
        The exit code: 0, 2 for a usage error, or 130 after Ctrl-C.
    """
    execute = {"sample": sample, "evaluate": evaluate, "predict": predict, "attack": attack}[command]
    try:
        model = load(options.run, trust=options.trust)
        execute(model.to("cuda" if torch.cuda.is_available() else "cpu"), options)
    except (UsageError, ValueError, OSError) as error:
        message = re.sub(rf"`({'|'.join(vars(options).keys() - {'run'})})`", r"`--\1`", one_line(error))
        return print_error(UsageError(message))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def sample(model: Model, options: argparse.Namespace) -> None:
    """Generate samples and write them to an image grid, an array, or a folder with one file for each sample.

    Samples are written while they are generated. A folder that was not completed is continued. Points are written as a
    scatter plot, or as an array in the units of the model. A folder has the sound of each pair as a WAV file. See
    `sample_files` for the formats.

    Args:
        model: The model.
        options: Options of the command.

    Raises:
        UsageError: If the model does not generate samples, or an option is invalid or does not apply to the model.
    """
    if not isinstance(model, GenerativeModel):
        raise UsageError(f"{type(model).__name__} does not generate samples")
    captions = read_captions(options)
    if options.interpolate and (not isinstance(model, GAN) or model.conditions):
        reason = "is conditional" if isinstance(model, GAN) else "has no latents"
        raise UsageError(f"`--interpolate` needs an unconditional GAN; {type(model).__name__} {reason}")
    condition = given_conditions(model, options, captions)
    file = _sample_file(model, options)  # an error is raised before sampling starts
    if file.start:
        print(f"{options.output} has {file.start:,} of {options.count:,} samples already", file=sys.stderr)
    batches = _sample_batches(model, options, condition, file.start)
    try:
        with track_samples(file.start, options.count) as advance:
            file.write(tracked(batches, advance))
    except OSError as error:
        raise UsageError(f"`--output` {options.output!r} cannot be written: {error.strerror or error}") from error
    print(f"{options.count:,} samples of {type(model).__name__}, seed {options.seed}: {options.output}")


def _sample_batches(
    model: GenerativeModel, options: argparse.Namespace, condition: Batch, start: int
) -> Iterator[Batch]:
    """Yield the samples from the index `start` on."""
    if options.interpolate and isinstance(model, GAN):
        rows = math.ceil(options.count / INTERPOLATION_STEPS)
        batches = model.interpolate_batches(rows, INTERPOLATION_STEPS, seed=options.seed, start=start)
        return _first(batches, options.count - start)
    return model.sample_batches(options.count, condition=condition, seed=options.seed, start=start)


def _first(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """Yield the first samples of batches."""
    for batch in batches:
        if count <= 0:
            return
        yield index_batch(batch, slice(count))
        count -= len(batch["image"])


def _sample_file(model: GenerativeModel, options: argparse.Namespace) -> SampleFile:
    """Return the file in the format that the suffix of a path selects, in upper or lower case."""
    shape = model.image_shape
    path, points = Path(options.output), len(shape) == 1
    folder = options.output.endswith(("/", os.sep)) or path.is_dir()
    match "" if folder else path.suffix.lower():
        case ".npz":
            return ArrayFile(path, options.count)
        case ".png" if not points:
            columns = INTERPOLATION_STEPS if options.interpolate else math.ceil(math.sqrt(options.count))
            return GridFile(path, options.count, shape, columns)
        case ".png" if shape == (2,):
            return ScatterFile(path, options.count)
        case "" if not points:
            settings = {name: getattr(options, name) for name in ("seed", "label", "text", "interpolate")}
            files = {name: getattr(options, name) for name in ("captions", "audio")}
            settings |= {name: None if file is None else _digest(Path(file)) for name, file in files.items()}
            log_mel = log_mel_of(options.run) if isinstance(model, PairedGAN) else None
            checkpoint = _digest(find_checkpoint(options.run))
            return FolderFile(path, options.count, {"checkpoint": checkpoint, **settings}, log_mel)
        case suffix:
            raise UsageError(f"`--output` of points must end in .npz, or in .png in the plane, got {suffix!r}")


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def evaluate(model: Model, options: argparse.Namespace) -> None:
    """Score a model on held-out examples, and print the scores and their protocol as JSON.

    Args:
        model: The model.
        options: Options of the command.
    """
    data = load_data(options.run, places=options.data, trust=options.trust)
    evaluation = Evaluation(count=options.count, k=options.k, seed=options.seed)
    scores = evaluation.evaluate(model, data, options.split)
    protocol = evaluation.protocol(model, data, options.split)
    print(json.dumps({**scores, **protocol, "images_seen": model.images_seen}, indent=2))


def predict(model: Model, options: argparse.Namespace) -> None:
    """Write the class probabilities of the examples of a split, as a table or as arrays.

    Args:
        model: The model.
        options: Options of the command.

    Raises:
        UsageError: If the model is not a classifier, the split is empty, or the output cannot be written.
    """
    if not isinstance(model, ClassificationModel):
        raise UsageError(f"`predict` needs a classifier; {type(model).__name__} predicts no classes")
    path = Path(options.output)
    if path.suffix.lower() not in (".csv", ".npz"):
        raise UsageError(f"`--output` must end in .csv or .npz, got {options.output!r}")
    data = load_data(options.run, places=options.data, trust=options.trust)
    if not data.sizes[options.split]:
        raise UsageError(f"`--split` {options.split} has no examples")
    batch = data.examples(options.split)
    probabilities = model.probabilities(batch["image"]).cpu()
    try:
        write_predictions(path, probabilities, batch["label"], data.class_names)
    except OSError as error:
        raise UsageError(f"`--output` {options.output!r} cannot be written: {error.strerror or error}") from error
    accuracy = "".join(f", {name} {score:.4f}" for name, score in model.scores(batch).items())
    print(f"{len(probabilities):,} predictions of {type(model).__name__}{accuracy}: {options.output}")
