"""InfoGAN: the bounds of the mutual information, the codes, and their prediction from images."""

import itertools
import math
from functools import partial
from typing import Any

import pytest
import torch
from cases import MLPS, images
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_gans.callbacks import Evaluation
from lightning_gans.core.schedules import Linear
from lightning_gans.datamodules import Digits
from lightning_gans.models import InfoGAN
from lightning_gans.networks import (
    DCGANDiscriminator,
    MaxoutDiscriminator,
    MLPDiscriminator,
    R3GANDiscriminator,
    ResNetDiscriminator,
    SpectralNormDiscriminator,
    SpectralNormResNetDiscriminator,
)
from lightning_gans.networks.recognition import InfoGANDiscriminator, RecognitionHead
from lightning_gans.objectives.information import categorical_information, continuous_information


def make_model(**arguments: Any) -> InfoGAN:
    torch.manual_seed(0)
    defaults = {"image_shape": (1, 8, 8), "categorical": [3, 2], "continuous": 2, "latent_dim": 11, **MLPS}
    return InfoGAN(**{**defaults, "recognition_head": partial(RecognitionHead, width=8), **arguments})


# -- the bounds of the information -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [1e-9, 0.1, 0.3, 0.75])
def test_the_bound_of_the_posterior_is_the_information(error: float) -> None:
    """Enumerate a symmetric channel of 4 symbols, whose information is log 4 - H(noise)."""
    channel = torch.full((4, 4), error / 3, dtype=torch.float64).fill_diagonal_(1 - error)
    information = math.log(4) + torch.special.xlogy(channel[0], channel[0]).sum().item()
    codes = torch.eye(4, dtype=torch.float64)
    bound = 0.0
    for code, output in itertools.product(range(4), range(4)):
        posterior = channel[:, output].log()  # because codes are uniform and the channel is symmetric
        bound += float(channel[code, output] / 4 * categorical_information(posterior[None], codes[[code]]))
    assert bound == pytest.approx(information, abs=1e-12)


def test_the_bound_of_another_distribution_is_lower() -> None:
    codes = torch.eye(5, dtype=torch.float64)
    assert categorical_information(torch.zeros(5, 5).double(), codes) == pytest.approx(0, abs=1e-12)
    assert categorical_information(1e3 * codes, codes) == pytest.approx(math.log(5))
    for seed in range(5):
        logits = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert categorical_information(logits, codes) < math.log(5)


def test_the_bound_of_continuous_codes_is_the_entropy_plus_the_log_density() -> None:
    stream = torch.Generator().manual_seed(0)
    mean, code = (torch.rand(7, 3, dtype=torch.float64, generator=stream) * 2 - 1 for _ in range(2))
    prior = torch.distributions.Uniform(-torch.ones(3).double(), torch.ones(3).double())
    expected = prior.entropy().sum() + torch.distributions.Normal(mean, 1.0).log_prob(code).sum(1).mean()
    torch.testing.assert_close(continuous_information(mean, code), expected)


def test_the_bound_of_continuous_codes_is_below_the_information() -> None:
    """Add noise N(0, s^2) to a uniform code c: E (c - x)^2 = s^2, so the bound is log 2 - log(2 pi) / 2 - s^2 / 2."""
    stream = torch.Generator().manual_seed(0)
    for deviation in (0.5, 1.0):
        code = torch.rand(400_000, 1, dtype=torch.float64, generator=stream) * 2 - 1
        mean = code + deviation * torch.randn(400_000, 1, dtype=torch.float64, generator=stream)
        bound = math.log(2) - math.log(2 * math.pi) / 2 - deviation**2 / 2
        assert float(continuous_information(mean, code)) == pytest.approx(bound, abs=0.01)
        assert bound < 0.5 * math.log(1 + 1 / (3 * deviation**2))  # the information of a Gaussian code of that variance


def test_bounds_of_16_bit_codes_are_computed_in_float32() -> None:
    code = torch.eye(4).bfloat16()
    assert categorical_information(3 * code, code).dtype == torch.float32
    assert continuous_information(code, code).dtype == torch.float32


# -- the losses --------------------------------------------------------------------------------------------------------


class FirstElements(nn.Module):
    """Discriminator whose features are the first elements of an image and whose logit is their sum."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, samples: Tensor) -> Tensor:
        return self.scale * samples.flatten(1)[:, :7]

    def logit(self, features: Tensor) -> Tensor:
        return features.sum(1, keepdim=True)

    def forward(self, samples: Tensor) -> Tensor:
        return self.logit(self.features(samples)).squeeze(1)


class ScaledIdentity(nn.Module):
    """Recognition head that returns the features."""

    def __init__(self, features: int, codes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * features


@pytest.mark.parametrize(("weight", "factor"), [(1.0, 1.0), (0.0, 0.0), (Linear(2.0, 0.0, images=100), 1.5)])
def test_the_losses_are_cross_entropies_and_negated_bounds(
    weight: Any, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(discriminator=FirstElements, recognition_head=ScaledIdentity, information_weight=weight).double()
    model.images_seen = 25
    real, fake = images((1, 8, 8), 6).double(), images((1, 8, 8), 6, seed=1).double()
    code = torch.cat([torch.eye(3)[[0, 1, 2, 0, 1, 2]], torch.eye(2)[[0, 1] * 3], images((2,), 6)], 1).double()
    monkeypatch.setattr(model, "fake", lambda batch: {"image": fake, "code": code})
    params = fake.flatten(1)[:, :7]
    real_logits, fake_logits = real.flatten(1)[:, :7].sum(1), params.sum(1)
    entropy = F.binary_cross_entropy_with_logits
    categorical = math.log(3) + math.log(2)
    categorical -= F.cross_entropy(params[:, :3], code[:, :3].argmax(1)).item()
    categorical -= F.cross_entropy(params[:, 3:5], code[:, 3:5].argmax(1)).item()
    errors = F.gaussian_nll_loss(params[:, 5:], code[:, 5:], torch.ones(6, 2).double(), full=True).item()
    for terms in (model.discriminator_loss({"image": real}), model.generator_loss({"image": real})):
        assert list(terms) == ["adversarial", "categorical", "continuous"]
        assert float(terms["categorical"].detach()) == pytest.approx(-factor * categorical)
        assert float(terms["continuous"].detach()) == pytest.approx(-factor * 2 * (math.log(2) - errors))
    ones, zeros = torch.ones(6).double(), torch.zeros(6).double()
    discriminator, generator = model.discriminator_loss({"image": real}), model.generator_loss({"image": real})
    torch.testing.assert_close(discriminator["adversarial"], entropy(real_logits, ones) + entropy(fake_logits, zeros))
    torch.testing.assert_close(generator["adversarial"], entropy(fake_logits, ones))


def test_the_weights_of_the_head_belong_to_the_discriminator() -> None:
    """Compare with the authors' code, which has them in `d_vars`."""
    model = make_model()
    generator, discriminator = model.configure_optimizers()
    head = {id(parameter) for parameter in model.discriminator.head.parameters()}
    assert head <= {id(parameter) for parameter in discriminator.param_groups[0]["params"]}
    assert not head & {id(parameter) for parameter in generator.param_groups[0]["params"]}


def test_one_pass_computes_logits_and_codes() -> None:
    combined = InfoGANDiscriminator(FirstElements((2, 4)), ScaledIdentity, (2, 4), codes=7)
    samples = images((2, 4), 3)
    logits, code_params = combined.logits_and_codes(samples)
    torch.testing.assert_close(logits, combined(samples))
    torch.testing.assert_close(code_params, samples.flatten(1)[:, :7])


@pytest.mark.parametrize(
    "discriminator",
    [
        ResNetDiscriminator,
        SpectralNormResNetDiscriminator,
        R3GANDiscriminator,
        DCGANDiscriminator,
        SpectralNormDiscriminator,
        MaxoutDiscriminator,
        MLPDiscriminator,
    ],
)
@pytest.mark.parametrize("width", [4, 5])
def test_codes_can_be_predicted_by_every_discriminator(discriminator: type[nn.Module], width: int) -> None:
    """At width 4 the feature maps of residual networks have as many channels as columns."""
    network = discriminator((1, 16, 16), width=width)
    combined = InfoGANDiscriminator(network, RecognitionHead, (1, 16, 16), codes=6).eval()
    logits, code_params = combined.logits_and_codes(image := images((1, 16, 16), 3))
    torch.testing.assert_close(logits, combined(image))
    assert code_params.shape == (3, 6)


def test_features_of_several_logits_are_refused() -> None:
    class Patches(nn.Module):
        features = nn.Identity()
        logit = nn.Linear(8, 1)

    with pytest.raises(ValueError, match="Patches must map the `features` of a sample to one logit, got 8"):
        InfoGANDiscriminator(Patches(), RecognitionHead, (1, 8, 8), codes=6)


def test_the_settings_are_the_published_ones() -> None:
    """Compare with openai/InfoGAN, run_mnist_exp.py and regularized_gan.py."""
    model = InfoGAN(image_shape=(1, 28, 28))
    assert (model.latent_dim, model.categorical, model.continuous, model.information_weight) == (62 + 12, [10], 2, 1.0)
    rates = [optimizer.param_groups[0] for optimizer in model.configure_optimizers()]
    assert [(group["lr"], group["betas"][0]) for group in rates] == [(1e-3, 0.5), (2e-4, 0.5)]
    assert isinstance(model.discriminator.head, RecognitionHead)
    widths = [layer.out_features for layer in model.discriminator.head.layers if isinstance(layer, nn.Linear)]
    assert widths == [128, 12]


class NoFeatures(nn.Module):
    """Discriminator without `features`."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, samples: Tensor) -> Tensor:
        return samples.flatten(1).sum(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"categorical": [10, 1]}, r"`categorical` must hold sizes of at least 2, got \[10, 1\]"),
        ({"continuous": -1}, "`continuous` must be at least 0, got -1"),
        ({"categorical": [], "continuous": 0}, "`categorical` is empty and `continuous` is 0: there must be a code"),
        ({"latent_dim": 6}, "`latent_dim` must be at least 7, the size of all codes, got 6"),
        ({"information_weight": -1.0}, "`information_weight` must be at least 0, got -1.0"),
        ({"discriminator": NoFeatures}, "`discriminator` NoFeatures must have `features` and `logit`"),
    ],
)
def test_invalid_codes_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make_model(**arguments)
    assert "\n" not in str(error.value)


# -- the codes ---------------------------------------------------------------------------------------------------------


def test_codes_are_uniform() -> None:
    code = make_model(categorical=[4], continuous=1, latent_dim=5).sample(20_000, seed=0)["code"]
    categories, style = code[:, :4], code[:, 4]
    assert torch.equal(categories.sum(1), torch.ones(20_000))
    assert set(categories.unique().tolist()) == {0.0, 1.0}
    deviation = math.sqrt(0.25 * 0.75 / 20_000)
    assert (categories.mean(0) - 0.25).abs().max() < 4 * deviation
    ordered, expected = style.sort().values, torch.linspace(-1, 1, 20_000)
    assert (ordered - expected).abs().max() < 2 * 1.95 / math.sqrt(20_000)  # Kolmogorov-Smirnov, p = 0.001


def test_the_generator_receives_noise_and_codes() -> None:
    model = make_model()
    latents = torch.randn(500, 11)
    samples = model.generate(nn.Flatten(), latents, {})
    assert torch.equal(samples["image"][:, 4:], samples["code"])
    torch.testing.assert_close(samples["image"][:, :4], 2 * torch.distributions.Normal(0, 1).cdf(latents[:, :4]) - 1)
    assert torch.equal(samples["code"][:, :3].argmax(1), latents[:, 4:7].argmax(1))
    assert torch.equal(samples["code"][:, 3:5].argmax(1), latents[:, 7:9].argmax(1))
    assert samples["code"][:, 5:].abs().max() <= 1


def test_codes_are_predicted_in_evaluation_mode_without_side_effects() -> None:
    model = make_model().train()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stream = torch.get_rng_state()
    batch = model.sample(9, seed=0)
    codes = model.codes(batch)
    assert [part.shape for part in codes.categorical] == [(9, 3), (9, 2)]
    assert codes.continuous.shape == (9, 2)
    for part in codes.categorical:
        torch.testing.assert_close(part.sum(1), torch.ones(9))
    torch.testing.assert_close(codes.continuous[:2], model.codes({"image": batch["image"][:2]}).continuous)
    assert torch.equal(stream, torch.get_rng_state())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert model.discriminator.training


def test_a_panel_varies_one_code_only() -> None:
    model = make_model()
    inputs: list[Tensor] = []
    model.ema.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    panels = model.panels(5, seed=3)
    assert {name: len(batch["image"]) for name, batch in panels.items()} == {
        "interpolation": 25,
        "code_0": 15,
        "code_1": 10,
        "code_2": 25,
        "code_3": 25,
    }
    traversals = {name: latents for name, latents in zip(panels, inputs[-5:], strict=True) if name != "interpolation"}
    ranges = {"code_0": (4, 7), "code_1": (7, 9), "code_2": (9, 10), "code_3": (10, 11)}
    for name, (start, end) in ranges.items():
        table = traversals[name].view(-1, 5, 11)
        varied = table[..., start:end]
        others = torch.cat([table[..., :start], table[..., end:]], -1)
        if end - start == 1:
            torch.testing.assert_close(varied[..., 0], torch.linspace(-1, 1, 5).expand(5, 5))
            assert torch.equal(others, others[:, :1].expand_as(others))
        else:
            assert torch.equal(varied, torch.eye(end - start)[:, None].expand(-1, 5, -1))
            assert torch.equal(others, others[:1].expand_as(others))
    again = model.panels(5, seed=3)
    assert all(torch.equal(panels[name]["image"], again[name]["image"]) for name in panels)


# -- the scores --------------------------------------------------------------------------------------------------------


class MeanFeatures(nn.Module):
    """Discriminator whose features identify the label of the examples below."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def features(self, samples: Tensor) -> Tensor:
        level = samples.flatten(1).mean(1, keepdim=True)
        return -self.scale * (level - torch.tensor([0.8, -0.8, 0.0])).square()

    def logit(self, features: Tensor) -> Tensor:
        return features.sum(1, keepdim=True)

    def forward(self, samples: Tensor) -> Tensor:
        return self.logit(self.features(samples)).squeeze(1)


def test_the_score_is_the_clustering_accuracy_of_the_first_code() -> None:
    model = make_model(categorical=[3], continuous=0, discriminator=MeanFeatures, recognition_head=ScaledIdentity)
    levels = torch.tensor([-0.8, 0.0, 0.8])
    label = torch.tensor([0, 1, 2, 1, 0, -1])
    image = levels[label].view(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone()
    assert model.scores({"image": image, "label": label}) == {"cluster_accuracy": 1.0}
    image[0] = 0.8
    assert model.scores({"image": image, "label": label}) == {"cluster_accuracy": 4 / 5}
    assert model.scores({"image": image, "label": torch.full((6,), -1)}) == {}
    assert make_model(categorical=[], continuous=1).scores({"image": image, "label": label}) == {}


def test_evaluation_adds_the_scores_of_the_model() -> None:
    model, data = make_model(categorical=[10], latent_dim=14), Digits()
    assert set(Evaluation(count=20).evaluate(model, data, "test")) == {
        "precision",
        "recall",
        "density",
        "coverage",
        "cluster_accuracy",
    }
