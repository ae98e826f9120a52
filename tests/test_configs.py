"""Train every recipe for a few batches by its own command, with random files in place of downloaded data sets."""

import pickle
import shlex
import struct
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision import datasets

from lightning_gans.__main__ import main
from lightning_gans.core.checkpoints import load_data
from lightning_gans.core.gan import GAN
from lightning_gans.core.generative import GenerativeModel
from lightning_gans.core.model import load
from lightning_gans.datamodules import CIFAR10

FOLDER = Path(__file__).resolve().parents[1] / "configs"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}

COMMAND = "# python -m lightning_gans "
FEW = shlex.split("--run.name x --wandb.mode disabled --samples.count 4 --evaluation.count 8 --evaluation.k 2")
NARROW = shlex.split("--model.generator.width 2 --model.discriminator.width 2")
NARROWER = {
    "Classifier": shlex.split("--model.network.width 2 --model.network.hidden 4"),
    "FlowGAN": shlex.split("--model.flow.width 2"),
    "LAPGAN": shlex.split("--model.residual_generator.width 2 --model.residual_discriminator.width 2") + NARROW,
    "MADE": shlex.split("--model.network.hidden [4]"),
    "SemiSupervisedGAN": shlex.split("--model.generator.width 4 --model.classifier.hidden [4]"),
    "PixelCNN": shlex.split("--model.network.width 2 --model.network.blocks 1"),
    "VanillaGAN": [],
}
"""Options for small networks, by model, where `NARROW` does not apply."""

FEW_LABELS = ["--data.labels_per_class", "1", "--data.labeled_per_batch", "4"]
"""Options for few labels in small data sets and batches."""
FEW_SPRITES = shlex.split("--data.image_size 16 --data.train_size 64 --data.test_size 16")
"""Options for few small images of `Sprites`."""

SMALL = ["--data.batch_size", "8", "--run.max_images", "40"]


def write_idx(folder: Path, stream: np.random.Generator) -> None:
    """Write the files of MNIST or of Fashion-MNIST with random images."""
    folder.mkdir(parents=True)
    for part, count in (("train", 60), ("t10k", 10)):
        for kind, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            values = stream.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
            header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(header + values.tobytes())


def write_cifar(folder: Path, stream: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the files of CIFAR-10 with random images, and patch the checksums of torchvision."""
    folder.mkdir(parents=True)
    files = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    contents: dict[str, dict[str, object]] = {
        name: {"data": stream.integers(0, 256, (12, 3072), dtype=np.uint8), "labels": [0, 1, 9] * 4} for name in files
    }
    contents["batches.meta"] = {"label_names": list(CIFAR10.class_names or ())}
    digests = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, digests[name]] for name in files[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": digests["batches.meta"]})


def write_folder(folder: Path, stream: np.random.Generator) -> None:
    """Write a folder of color images of different sizes."""
    folder.mkdir(parents=True)
    for index in range(60):
        pixels = stream.integers(0, 256, (40 + index, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a working directory with files for every data set, at the paths of the recipes."""
    stream = np.random.default_rng(0)
    write_idx(tmp_path / "data" / "MNIST" / "raw", stream)
    write_idx(tmp_path / "data" / "FashionMNIST" / "raw", stream)
    write_cifar(tmp_path / "data" / "cifar-10-batches-py", stream, monkeypatch)
    write_folder(tmp_path / "YOUR_FOLDER", stream)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(path: Path) -> list[str]:
    """Return the arguments of the command in the second line of a recipe."""
    second = path.read_text().splitlines()[1]
    assert second.startswith(COMMAND)
    return shlex.split(second.removeprefix(COMMAND))


def test_there_are_recipes() -> None:
    assert {"dcgan_digits", "dcgan_mnist", "wgan_gp_cifar10", "dcgan_image_folder"} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_first_line_is_a_description(name: str) -> None:
    first = RECIPES[name].read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")
    assert COMMAND not in first


@pytest.mark.parametrize("name", RECIPES)
def test_the_second_line_is_the_command(name: str) -> None:
    assert command(RECIPES[name])[:3] == ["fit", "--config", name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_named_after_its_model_and_its_data(name: str) -> None:
    content = yaml.safe_load(RECIPES[name].read_text())
    data = content["data"]  # Toy2D has several data sets, by name
    expected = content["model"]["class_path"] + data.get("init_args", {}).get("name", data["class_path"])
    expected = expected.lower().replace("_", "")
    init_args = content["model"].get("init_args", {})
    generator = init_args.get("generator", {}).get("class_path", "").rpartition(".")[2]
    networks = generator.removesuffix("Generator").lower()
    is_robust = content["model"]["class_path"] == "Classifier" and "adversarial_weight" in init_args
    is_adversarial = init_args.get("likelihood_weight") == 0 or is_robust
    variant = "adversarial" if is_adversarial else networks
    conditional = "conditional" if init_args.get("conditions") else networks
    assert name.replace("_", "") in (expected, expected + variant, expected + conditional)


@pytest.mark.filterwarnings("ignore:.*validation images are too few for scores")
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains(name: str, data: Path) -> None:
    content = yaml.safe_load(RECIPES[name].read_text())
    options = [*FEW, *SMALL]
    if content["data"]["class_path"] not in ("Digits", "ImageFolder"):
        options += ["--data.validation_size", "10"]
    options += FEW_SPRITES if content["data"]["class_path"] == "Sprites" else []
    options += NARROWER.get(content["model"]["class_path"], NARROW)
    options += FEW_LABELS if "labels_per_class" in content["data"].get("init_args", {}) else []
    assert main([*command(RECIPES[name]), *options]) == 0
    model, trained_on = load("runs/x"), load_data("runs/x")
    assert type(model).__name__ == content["model"]["class_path"]
    assert type(trained_on).__name__ == content["data"]["class_path"]
    assert model.images_seen == 40
    assert model.image_shape == trained_on.image_shape
    assert (data / "runs" / "x" / "evaluation.json").is_file()
    assert (data / "runs" / "x" / "training.gif").is_file() == isinstance(model, GenerativeModel)


@pytest.mark.parametrize("name", ["made_digits", "pixel_cnn_digits"])
def test_the_recipe_of_a_density_model_can_be_class_conditional(name: str, data: Path) -> None:
    model = yaml.safe_load(RECIPES[name].read_text())["model"]["class_path"]
    conditional = ["--model.class_conditional", "true"]
    assert main([*command(RECIPES[name]), *FEW, *SMALL, *NARROWER[model], *conditional]) == 0
    loaded = load("runs/x")
    assert isinstance(loaded, GenerativeModel)
    assert loaded.requires == ("image", "label")
    batch = loaded.sample(50, seed=0)
    assert set(batch["label"].tolist()) == set(range(10))


def test_lapgan_has_the_schedules_of_its_authors(data: Path) -> None:
    # eyescream, train_cifar_coarse_to_fine.lua: after each epoch of 45,000 images the learning rate, 0.02 at first, is
    # divided by 1.000004, and the momentum, 0.5 at first, rises by 0.0008, up to 0.7
    init = yaml.safe_load(RECIPES["lapgan_cifar10"].read_text())["model"]["init_args"]
    # `BCECriterion` halves the discriminator's loss
    for player, share in {"generator": 1.0, "discriminator": 0.5}.items():
        rate = init[f"{player}_schedules"]["lr"]["init_args"]
        assert rate["start"] == init[f"{player}_optimizer"]["init_args"]["lr"] == share * 0.02
        assert 0.5 ** (45_000 / rate["half_life"]) == pytest.approx(1 / 1.000004, rel=1e-12)
        assert rate["floor"] == share * 1e-6
        for setting in ("momentum", "dampening"):  # in Torch's optim.sgd the dampening equals the momentum
            assert init[f"{player}_optimizer"]["init_args"][setting] == 0.5
            rise = init[f"{player}_schedules"][setting]["init_args"]
            assert rise == {"start": 0.5, "end": 0.7, "images": 250 * 45_000}


@pytest.mark.parametrize(
    ("name", "generator_steps", "widths"),
    [("sngan_cifar10", 50_000, (256, 128)), ("wgan_gp_cifar10_resnet", 100_000, (128, 128))],
)
def test_the_residual_recipes_have_the_settings_of_their_authors(
    name: str, generator_steps: int, widths: tuple[int, int], data: Path
) -> None:
    # sn_cifar10_unconditional.yml, gan_cifar_resnet.py: Adam with betas (0, 0.9), five batches of 64 per step, and
    # learning rates that decay from 2e-4 to 0
    recipe = yaml.safe_load(RECIPES[name].read_text())
    assert recipe["run"]["max_images"] == generator_steps * 5 * 64
    networks = [recipe["model"]["init_args"][player]["init_args"]["width"] for player in ("generator", "discriminator")]
    assert networks == list(widths)
    assert main([*command(RECIPES[name]), *FEW, *SMALL, "--data.validation_size", "10", *NARROW]) == 0
    model = load("runs/x")
    assert isinstance(model, GAN)
    assert (model.latent_dim, model.discriminator_steps) == (128, 5)
    for state in torch.load("runs/x/checkpoints/last.ckpt", weights_only=True)["optimizer_states"]:
        (group,) = state["param_groups"]
        assert tuple(group["betas"]) == (0.0, 0.9)
        assert group["lr"] == pytest.approx(2e-4 * (1 - 32 / recipe["run"]["max_images"]), rel=1e-12)


def test_the_first_gan_has_the_schedules_of_its_authors(data: Path) -> None:
    # goodfeli/adversarial, mnist.yaml: the learning rate, 0.1 at first, is divided by 1.000004 after each batch of 100
    # images; the momentum rises from 0.5 to 0.7 over 250 epochs of 50,000 images
    assert main([*command(RECIPES["vanilla_gan_mnist"]), *FEW, *SMALL, "--data.validation_size", "10"]) == 0
    states = torch.load("runs/x/checkpoints/last.ckpt", weights_only=True)["optimizer_states"]
    seen = 40 - 8  # before the last batch
    for start, group in zip((0.1, 0.05), (state["param_groups"][0] for state in states), strict=True):
        assert group["lr"] == pytest.approx(start / 1.000004 ** (seen / 100), rel=1e-9)
        assert group["momentum"] == pytest.approx(0.5 + 0.2 * seen / (250 * 50_000), rel=1e-9)
