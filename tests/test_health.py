"""A value that is not finite stops the run and names its cause; the last checkpoint remains finite."""

import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import MLPS, Case, cases, images, is_adversarial, is_density, is_gan
from conftest import Fit
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from lightning_gans.__main__ import main
from lightning_gans.callbacks.checkpointing import save_atomically
from lightning_gans.core.checkpoints import read_checkpoint
from lightning_gans.core.gan import GAN
from lightning_gans.errors import NonFiniteError
from lightning_gans.models import ACGAN, LAPGAN, FlowGAN, InfoGAN, PairedGAN, VanillaGAN
from lightning_gans.types import Batch, Losses

every_case = pytest.mark.parametrize("case", cases())
NAN, INF = float("nan"), float("inf")
KEPT = "(the last good checkpoint is kept)"
STEP = "; try a lower learning rate, or `gradient_clip_val` "


def message(fit: Fit, model: GAN, data: Any, **options: Any) -> str:
    with pytest.raises(NonFiniteError) as error:
        fit(model, data, max_steps=6, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@every_case
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_nonfinite_example_is_named(case: Case, value: float, fit: Fit) -> None:
    model = case.make(accumulate_grad_batches=1)
    batches = [case.batch(seed=seed) for seed in range(4)]
    batches[2]["image"][5].view(-1)[1] = value
    text = message(fit, model, batches)
    assert re.match(r"after 24 images the term `\w+` of the discriminator's loss is -?(nan|inf): the batch", text)
    assert text.endswith(f": the batch itself contains {value:.0f}: `image`, example 5; check the data {KEPT}")
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("case", cases(lambda case: is_density(case) and not is_gan(case)))
def test_a_nonfinite_example_of_a_likelihood_is_named(case: Case, fit: Fit) -> None:
    model = case.make()
    batches = [case.batch(seed=seed) for seed in range(4)]
    batches[2]["image"][5].view(-1)[1] = NAN
    text = message(fit, model, batches)
    assert text.startswith("after 24 images the term `negative_log_likelihood` of the model's loss is nan: the batch")
    assert text.endswith(f": the batch itself contains nan: `image`, example 5; check the data {KEPT}")
    assert all(parameter.isfinite().all() for parameter in model.parameters())


class Root(nn.Module):
    """The square root of a negative number: NaN for every input but 0."""

    def forward(self, x: Tensor) -> Tensor:
        return (-x.abs()).sqrt()


# the test appends a layer to a player that maps a tensor to a tensor: the players of LAPGAN return lists,
# PairedGAN's generator a pair, the discriminators of InfoGAN and ACGAN have a second output, and a flow has an inverse
@pytest.mark.parametrize(
    "case", cases(lambda case: is_adversarial(case) and case.model not in (ACGAN, LAPGAN, InfoGAN, FlowGAN, PairedGAN))
)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_the_layer_of_the_first_nonfinite_output_is_named(case: Case, player: str, fit: Fit) -> None:
    """The innermost layer is named, and not the layers around or behind it, which propagate its NaN."""
    model = case.make(discriminator_steps=1)
    network = getattr(model, player)
    setattr(model, player, nn.Sequential(network, nn.Sequential(nn.Identity(), Root(), nn.Identity())))
    if player == "generator":
        model.ema.network = nn.Sequential(model.ema.network, nn.Sequential(nn.Identity(), Root(), nn.Identity()))
    text = message(fit, model, [case.batch()])
    assert re.match(r"after 8 images the term `\w+` of the discriminator's loss is nan", text)
    assert text.endswith(f", first in the layer `{player}.1.1 (Root)`{STEP}{KEPT}")
    assert not any(module._forward_hooks for module in model.modules())


# the term is a function of a test, which a checkpoint cannot record
ignore_unrecorded_term = pytest.mark.filterwarnings("ignore:a checkpoint cannot record `extra`")


class Scripted(VanillaGAN):
    """A GAN with an extra term of the generator's loss, after a number of batches."""

    def __init__(self, *, extra: Callable[[Tensor], Tensor], delay: int = 1, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.extra, self.delay = extra, delay

    def generator_loss(self, batch: Batch) -> Losses:
        losses = super().generator_loss(batch)
        if self.batches_seen >= self.delay:
            losses["extra"] = self.extra(next(iter(self.generator.parameters())).sum())
        return losses


def scripted(extra: Callable[[Tensor], Tensor], **arguments: Any) -> Scripted:
    torch.manual_seed(0)
    return Scripted(extra=extra, image_shape=(2,), latent_dim=3, **MLPS, **arguments)


def points(count: int = 4) -> list[Batch]:
    return [{"image": images((2,), 8, seed=seed)} for seed in range(count)]


@ignore_unrecorded_term
def test_the_term_and_the_player_are_named(fit: Fit) -> None:
    text = message(fit, scripted(lambda x: x.square() * INF, delay=3), points())
    assert text == f"after 24 images the term `extra` of the generator's loss is inf{STEP}{KEPT}"


@ignore_unrecorded_term
def test_a_nonfinite_gradient_of_a_finite_loss_is_named(fit: Fit) -> None:
    """The derivative of sqrt at 0 is infinite, and the derivative of sqrt(0 x) is 0 times infinity."""
    model = scripted(lambda x: (0 * x).sqrt(), delay=2)
    name = next(iter(model.generator.named_parameters()))[0]
    text = message(fit, model, points())
    assert text == (
        f"after 16 images the generator's gradient of `generator.{name}` is not finite, though its loss is{STEP}{KEPT}"
    )
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@ignore_unrecorded_term
def test_a_loss_scale_may_overflow(fit: Fit) -> None:
    """A GradScaler finds its scale by infinite gradients: it skips the step, and training continues."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    model = scripted(lambda x: x)
    before = model.generator.state_dict()["layers.0.weight"].clone()
    fit(model, points(1), max_steps=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])
    assert scaler.get_scale() < 2.0**127
    assert torch.equal(before, model.generator.state_dict()["layers.0.weight"])


@ignore_unrecorded_term
def test_weights_that_overflow_are_named_at_the_next_loss(fit: Fit) -> None:
    steep = partial(torch.optim.SGD, lr=1e38)
    model = scripted(lambda x: 1e3 * x, generator_optimizer=steep)
    text = message(fit, model, points())
    assert re.match(r"after 16 images the term `adversarial` of the discriminator's loss is nan: the weight", text)
    assert f": the weight `generator.layers.0.weight` is not finite{STEP}" in text


@every_case
@pytest.mark.parametrize("where", ["generator", "discriminator", "ema"])
def test_nonfinite_weights_are_not_saved(case: Case, where: str, fit: Fit, tmp_path: Path) -> None:
    model = case.make()
    trainer = fit(model, [case.batch()], max_steps=1)
    name, weight = list(getattr(model, where).named_parameters())[-1]
    weight.data.view(-1)[0] = INF
    with pytest.raises(NonFiniteError, match=re.escape(f"after 8 images the weight `{where}.{name}` is not finite")):
        save_atomically(trainer, tmp_path / "bad.ckpt")
    assert list(tmp_path.glob("bad*")) == []


@ignore_unrecorded_term
def test_between_logging_steps_no_check_waits_for_the_device(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device other than the CPU, here a CPU under another name, the check waits for the logging step."""
    monkeypatch.setattr(GAN, "device", property(lambda self: torch.device("meta")))
    monkeypatch.setattr(GAN, "_noise", lambda self, distribution, shape: distribution(*shape))
    monkeypatch.setattr(GAN, "to_device_and_dtype", lambda self, tensor: tensor)
    monkeypatch.setattr(pl.LightningModule, "toggled_optimizer", lambda self, _: nullcontext())
    batches = points(6)
    batches[1]["image"][0] = NAN
    text = message(fit, scripted(lambda x: x), batches, log_every_n_steps=4)
    assert text.startswith("after 32 images the term `adversarial` of the discriminator's loss is nan: the weight `gen")


BAD = """
from cases import Noise

class Bad(Noise):
    def load(self):
        train, test = super().load()
        train["image"][30, 0] = float("nan")
        return train, test
"""


def test_the_command_line_prints_the_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("bad_data.py").write_text(BAD)
    networks = ["--model.generator", "MLPGenerator", "--model.discriminator", "MLPDiscriminator"]
    data = [
        "--data",
        "bad_data.Bad",
        "--data.image_shape",
        "[2]",
        "--data.batch_size",
        "4",
        "--data.validation_size",
        "8",
    ]
    run = ["--run.name", "x", "--run.max_images", "400", "--save.every", "4", "--wandb.mode", "disabled"]
    assert main(["fit", "--model", "VanillaGAN", *networks, *data, *run]) == 1
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if line.startswith("error")] == err[-1:]
    assert re.match(
        r"error: after \d+ images the term `adversarial` of the discriminator's loss is nan: the ba", err[-1]
    )
    checkpoint = read_checkpoint("runs/x")
    assert f"after {checkpoint['lightning_gans']['images_seen'] + 4} images" in err[-1]
    assert all(weight.isfinite().all() for weight in checkpoint["state_dict"].values())
