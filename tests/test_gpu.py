"""Training on a GPU: precisions, exact resuming, samples, checks, no waiting. `--gpu-device cpu` rehearses it."""

import math
import os
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from cases import CASES, Case, images
from conftest import Fit, Record
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor, nn

from lightning_gans.core.health import NonFiniteError
from lightning_gans.networks.dcgan import DCGANCritic
from lightning_gans.objectives.penalties import gradient_penalty, zero_centered_gradient_penalty

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products; read when CUDA starts

pytestmark = pytest.mark.gpu

MODELS = [case for case in CASES if case.name in ("dcgan", "wgan_gp", "r3gan", "flow_gan")]
every_model = pytest.mark.parametrize("case", MODELS, ids=lambda case: case.name)
every_precision = pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
STEPS = 6
SCALE = 1024.0


@pytest.fixture
def device(pytestconfig: pytest.Config) -> Iterator[str]:
    """The device under test, with TF32 off."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield pytestconfig.getoption("--gpu-device")
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Deterministic kernels only; a kernel without a deterministic version raises."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def options(device: str, precision: str = "32-true", **scaler: Any) -> dict[str, Any]:
    """Trainer arguments; in float16 with a scale that the first steps do not overflow."""
    chosen: dict[str, Any] = {"accelerator": "gpu" if device == "cuda" else "cpu", "devices": 1}
    if precision != "16-mixed":
        return chosen | {"precision": precision}
    scaling = torch.amp.GradScaler(device, **{"init_scale": SCALE, **scaler})
    return chosen | {"plugins": [MixedPrecision("16-mixed", device, scaler=scaling)]}


def weights_of(model: nn.Module, player: str) -> list[Tensor]:
    return [weight.detach().cpu().clone() for name, weight in model.named_parameters() if name.startswith(f"{player}.")]


@every_model
@every_precision
def test_both_players_move_and_stay_finite(case: Case, precision: str, device: str, fit: Fit, record: Record) -> None:
    model = case.make(discriminator_steps=1)
    before = {player: weights_of(model, player) for player in ("generator", "discriminator")}
    fit(model, case.data(), max_steps=STEPS, logger=record, log_every_n_steps=1, **options(device, precision))
    for player, weights in before.items():
        after = weights_of(model, player)
        assert all(weight.isfinite().all() and weight.dtype == torch.float32 for weight in after)
        assert any(not torch.equal(ours, theirs) for ours, theirs in zip(weights, after, strict=True)), player
    logged = {name for _, row in record.rows for name in row}
    assert {"discriminator/loss", "generator/loss", "discriminator/gradient_norm"} <= logged
    assert all(math.isfinite(value) for _, row in record.rows for value in row.values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("penalty", ["gradient_penalty", "zero_centered"])
def test_a_penalty_under_autocast_is_computed_in_float32(penalty: str, dtype: torch.dtype, device: str) -> None:
    torch.manual_seed(0)
    critic = DCGANCritic((3, 16, 16), width=8).to(device)
    real, fake = (images((3, 16, 16), 16, seed=seed).to(device) for seed in (0, 1))
    seen: list[torch.dtype] = []
    hooks = [
        layer.register_forward_hook(lambda *arguments: seen.append(arguments[2].dtype))
        for layer in critic.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    share = torch.linspace(0, 1, 16, device=device)

    def value() -> Tensor:
        return (
            gradient_penalty(critic, real, fake, share)
            if penalty == "gradient_penalty"
            else zero_centered_gradient_penalty(critic, real)
        )

    expected = value()
    with torch.autocast(device, dtype=dtype):
        found = value()
    for hook in hooks:
        hook.remove()
    assert set(seen) == {torch.float32}
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def first_row(case: Case, device: str, fit: Fit, precision: str, **scaler: Any) -> Mapping[str, float]:
    model, record = case.make(discriminator_steps=1), Record()
    torch.manual_seed(1)
    model._noise = seeded_noise(model)
    fit(model, [case.batch()], max_steps=1, logger=record, log_every_n_steps=1, **options(device, precision, **scaler))
    return record.rows[0][1]


def seeded_noise(model: Any) -> Any:
    """Draw the same noise on every device."""
    generator = torch.Generator().manual_seed(3)

    def noise(distribution: Any, shape: tuple[int, ...]) -> Tensor:
        return distribution(*shape, generator=generator).to(model.device)  # type: ignore[no-any-return]

    return noise


@every_model
def test_the_loss_scale_is_not_logged(case: Case, device: str, fit: Fit) -> None:
    """Scales 1 and 1,024 log the same losses and gradient norms as float32, to float16's precision."""
    expected = first_row(case, device, fit, "32-true")
    for scale in (1.0, SCALE):
        found = first_row(case, device, fit, "16-mixed", init_scale=scale)
        for name in ("discriminator/loss", "generator/loss", "discriminator/gradient_norm"):
            assert found[name] == pytest.approx(expected[name], rel=0.1, abs=2e-2), (name, scale)


@every_model
def test_the_loss_scale_is_not_clipped(case: Case, device: str, fit: Fit) -> None:
    """With SGD at rate 1 a clipped step has the length of the clipping value, whatever the loss scale."""
    clip = 1e-3
    gentle = partial(torch.optim.SGD, lr=1.0)
    model = case.make(
        discriminator_steps=1, gradient_clip_val=clip, generator_optimizer=gentle, discriminator_optimizer=gentle
    )
    before = torch.cat([weight.flatten() for weight in weights_of(model, "discriminator")]).double()
    fit(model, [case.batch()], max_steps=1, **options(device, "16-mixed"))
    after = torch.cat([weight.flatten() for weight in weights_of(model, "discriminator")]).double()
    assert float((after - before).norm()) == pytest.approx(clip, rel=0.02)


class SaveAt(pl.Callback):
    """Save a checkpoint after so many batches."""

    def __init__(self, path: Path, batches: int) -> None:
        self.path = path
        self.batches = batches

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.batches:
            trainer.save_checkpoint(self.path)


@every_model
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.usefixtures("deterministic")
def test_a_resumed_run_is_bit_exact(case: Case, precision: str, device: str, fit: Fit, tmp_path: Path) -> None:
    path = tmp_path / "saved.ckpt"

    def final(seed: int, **further: Any) -> tuple[dict[str, Tensor], list[Any]]:
        model = case.make()
        torch.manual_seed(seed)
        trainer = fit(model, case.data(), max_steps=13, **options(device, precision), **further)
        state = {name: value.cpu().clone() for name, value in model.state_dict().items()}
        return state, [flat(optimizer.state_dict()["state"]) for optimizer in trainer.optimizers]

    expected, optimizers = final(1, callbacks=[SaveAt(path, 7)])
    assert final(1)[0].keys() == expected.keys()
    resumed, resumed_optimizers = final(77, ckpt_path=path)
    assert [name for name in expected if not torch.equal(expected[name], resumed[name])] == []
    for ours, theirs in zip(optimizers, resumed_optimizers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def flat(state: Mapping[Any, Any]) -> list[Tensor]:
    """List the tensors of an optimizer's state."""
    return [
        value.detach().cpu().clone()
        for entry in state.values()
        for value in entry.values()
        if isinstance(value, Tensor)
    ]


@every_model
def test_samples_of_a_seed_agree_between_cpu_and_gpu(case: Case, device: str, fit: Fit) -> None:
    model = case.make()
    fit(model, case.data(), max_steps=STEPS, **options(device))
    here = model.to("cpu").sample(8, seed=5)["image"]
    there = model.to(device).sample(8, seed=5)["image"]
    assert there.device.type == device
    if case.levels is not None and "levels" in case.arguments:  # one rounding can differ
        assert (here != there.cpu()).float().mean() <= 0.01
    else:
        torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-3)


@every_model
def test_nan_is_named_on_the_next_logging_step(case: Case, device: str, fit: Fit) -> None:
    """A GPU is looked at only then; a CPU at once."""
    batches = [case.batch(seed=seed) for seed in range(8)]
    batches[1]["image"][5].view(-1)[1] = float("nan")
    with pytest.raises(NonFiniteError) as error:
        fit(case.make(accumulate_grad_batches=1), batches, max_steps=8, log_every_n_steps=4, **options(device))
    assert str(error.value).startswith(f"after {32 if device == 'cuda' else 16} images ")
    assert "\n" not in str(error.value)


class Watch(pl.Callback):
    """Let torch warn of every wait for the device, from the second logging step on, except on logging steps."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        following = trainer.global_step + 1
        watched = following > self.every and following % self.every != 0
        torch.cuda.set_sync_debug_mode("warn" if watched else "default")

    def teardown(self, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")


@every_model
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_nothing_waits_for_the_device_between_logging_steps(
    case: Case, precision: str, device: str, fit: Fit, record: Record
) -> None:
    if device != "cuda":
        pytest.skip("counts waits for a CUDA device, and the device under test is the CPU")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(
            case.make(),
            case.data(batch_size=2),  # 20 batches: one epoch
            max_steps=15,
            logger=record,
            log_every_n_steps=5,
            callbacks=[Watch(5)],
            **options(device, precision),
        )
    waits = [f"{each.filename}:{each.lineno}" for each in caught if "synchronizing" in str(each.message)]
    assert waits == []
