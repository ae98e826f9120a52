"""Test that misspelled hooks and overridden final methods of a user's class are refused before training."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Fit

from lightning_gans import models
from lightning_gans.callbacks import Run
from lightning_gans.core.hooks import check_hooks
from lightning_gans.datamodules import Digits
from lightning_gans.models import DCGAN, FlowGAN
from lightning_gans.trainer import Trainer


def subclass(name: str, base: type = DCGAN) -> type:
    return type("MyGAN", (base,), {name: lambda self, *args: None, "__module__": "my_gan"})


@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("initialise", "initialize_from_batch"),
        ("initialize", "initialize_from_batch"),
        ("initialise_from_batch", "initialize_from_batch"),
        ("after_generator_steps", "after_generator_step"),
        ("generator_losses", "generator_loss"),
        ("discriminator_losss", "discriminator_loss"),
        ("sample_latent", "sample_latents"),
        ("generator_parameter", "generator_parameters"),
        ("on_train_batch_ended", "on_train_batch_end"),
    ],
)
def test_a_misspelled_hook_is_refused_with_the_right_name(name: str, hook: str) -> None:
    with pytest.raises(ValueError, match=rf"^MyGAN defines `{name}`, which is never called: did you mean `{hook}`\?$"):
        check_hooks(subclass(name))


@pytest.mark.parametrize("name", ["training_step", "fake", "sample", "configure_optimizers", "interpolate"])
def test_an_overridden_final_method_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^MyGAN overrides `{name}`, which is final in \w+$"):
        check_hooks(subclass(name))


@pytest.mark.parametrize(
    "name",
    [
        *("generator_loss", "generate", "after_generator_step", "on_train_batch_end", "encode", "reconstruction_loss"),
        *("generator_loss_of_pairs", "my_generator_loss", "_generator_losses", "discriminators", "validate"),
        "generated",
    ],
)
def test_hooks_and_helpers_are_accepted(name: str) -> None:
    check_hooks(subclass(name))


@pytest.mark.parametrize("model", models.__all__)
def test_the_models_of_the_package_are_accepted(model: str) -> None:
    check_hooks(type("MyGAN", (getattr(models, model),), {"__module__": "my_gan"}))


def test_base_classes_of_the_user_are_checked_as_well() -> None:
    with pytest.raises(ValueError, match=r"^MyGAN defines `initialise`"):
        check_hooks(type("Derived", (subclass("initialise", FlowGAN),), {"__module__": "my_gan"}))


def test_a_misspelled_hook_is_refused_before_a_run_folder_is_created(tmp_path: Path) -> None:
    model: Any = subclass("initialise")(image_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="did you mean `initialize_from_batch`"):
        Trainer(callbacks=[Run(root=str(tmp_path / "runs"), max_images=64)], accelerator="cpu").fit(model, Digits())
    assert not (tmp_path / "runs").exists()


def test_the_trainer_of_lightning_refuses_it_too(fit: Fit) -> None:
    model: Any = subclass("initialise")(image_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="did you mean `initialize_from_batch`"):
        fit(model, Digits(), max_steps=1)
