"""The conditions of the samples of `sample`: classes, captions and sound, as a batch."""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from lightning_gans.audio import LogMel
from lightning_gans.core.checkpoints import CHECKPOINT_KEY, read_checkpoint
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.datamodules.audio_decoding import decode_audio
from lightning_gans.datamodules.bad_files import describe_error
from lightning_gans.datamodules.vocabulary import Vocabulary
from lightning_gans.errors import UsageError
from lightning_gans.types import Batch

DEFAULT_COUNT = 64
"""Number of samples, unless `--count` or `--captions` are given."""

OPTIONS = {"label": ("label",), "text": ("text", "captions"), "audio": ("audio",)}
"""The options that give a condition."""

NEEDED = {
    "label": "a class-conditional model",
    "text": "a model of captions (`conditions` has text)",
    "audio": "a model of sound (`conditions` has audio)",
}
"""The model that the options of a condition need."""


def read_captions(options: argparse.Namespace) -> list[str]:
    """Read the captions of `--captions`, one a line, and set `count` to their number, or to its default without them.

    Args:
        options: Options of `sample`; `count` is changed.

    Raises:
        UsageError: The file cannot be read or is empty, or `--count` is another number.
    """
    captions: list[str] = []
    if options.captions is not None:
        try:
            captions = Path(options.captions).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"`--captions` {options.captions!r} cannot be read: {error}") from error
        if not captions:
            raise UsageError(f"`--captions` {options.captions!r} has no captions")
        if options.count not in (None, len(captions)):
            raise UsageError(f"`--count` is {options.count}, but `--captions` has {len(captions)}: leave out `--count`")
    options.count = options.count if options.count is not None else len(captions) or DEFAULT_COUNT
    return captions


def given_conditions(model: GenerativeModel, options: argparse.Namespace, captions: list[str]) -> Batch:
    """Return the conditions that the options give, one row per sample; print a line about unknown words.

    Args:
        model: The model.
        options: Options of `sample`.
        captions: The captions of `--captions`, if they are given.

    Raises:
        UsageError: The model has no such condition, requires another one, or a sound cannot be decoded.
    """
    for key, names in OPTIONS.items():
        given = [name for name in names if getattr(options, name) is not None]
        if given and key not in model.conditions:
            raise UsageError(f"`--{given[0]}` needs {NEEDED[key]}, unlike this {type(model).__name__}")
        if not given and key in model.required_conditions:
            choices = " or ".join(f"`--{name}`" for name in names)
            raise UsageError(f"this {type(model).__name__} is conditional: {choices} must be given")
    condition: Batch = {}
    if options.label is not None:
        condition["label"] = torch.tensor(options.label).expand(options.count)
    if options.text is not None:
        condition["text"] = _encode(model, [options.text]).expand(options.count, -1)
    elif captions:
        condition["text"] = _encode(model, captions)
    if options.audio is not None:
        condition["audio"] = _read_sound(model, options).expand(options.count, -1, -1, -1)
    return condition


def _encode(model: GenerativeModel, captions: list[str]) -> Tensor:
    """Convert captions to the indices of the model's words."""
    assert isinstance(model, GAN)
    vocabulary = Vocabulary((model.vocabulary or ())[2:])
    if unknown := dict.fromkeys(word for caption in captions for word in vocabulary.unknown(caption)):
        print(f"unknown to the model, which ignores them: {', '.join(map(repr, unknown))}", file=sys.stderr)
    return vocabulary.encode(captions)


def _read_sound(model: GenerativeModel, options: argparse.Namespace) -> Tensor:
    """Decode a recording, and transform it as the model's data were transformed, (1, 1, bands, frames)."""
    assert isinstance(model, GAN)
    log_mel = log_mel_of(options.run)
    num_samples = (model.audio_shape or (1, 1, 1))[2] * log_mel.hop_length - log_mel.hop_length
    try:
        waveform, _ = decode_audio(Path(options.audio), sample_rate=log_mel.sample_rate, num_samples=num_samples)
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(f"`--audio` {options.audio!r} cannot be decoded: {describe_error(error)}") from error
    return log_mel(torch.from_numpy(waveform)[None])


def log_mel_of(run: str) -> LogMel:
    """Return the transform between sound and spectrograms of the data on which a model was trained.

    Args:
        run: A checkpoint, or a run folder.

    Raises:
        UsageError: The checkpoint does not record it.
    """
    checkpoint = read_checkpoint(run)
    record = checkpoint[CHECKPOINT_KEY]["data"]
    state = checkpoint.get(record["state_key"], {}) if record else {}
    settings = state.get("preprocessing", {}).get("log_mel")
    if settings is None:
        raise UsageError(f"{run!r} does not record how its data transform sound into spectrograms")
    return LogMel(**settings)
