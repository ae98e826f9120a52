"""Test autoregressive models: sums over all images, receptive fields, and samples against probabilities."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_gans.core.autoregressive import Autoregressive
from lightning_gans.models import MADE, PixelCNN
from lightning_gans.networks.causal import row_predictor
from lightning_gans.networks.class_embedding import ClassEmbedding
from lightning_gans.networks.made import MADENetwork
from lightning_gans.networks.outputs import Bernoulli, Categorical, DiscretizedLogisticMixture
from lightning_gans.networks.pixel_cnn import GatedPixelCNN
from lightning_gans.types import Batch, ImageShape

MIXTURE = partial(DiscretizedLogisticMixture, components=2)
SMALL_MADE: dict[str, Any] = {"network": partial(MADENetwork, hidden=(30,))}
SMALL_PIXEL_CNN: dict[str, Any] = {"network": partial(GatedPixelCNN, width=6, blocks=3, kernel=3)}
CLASSES: dict[str, Any] = {"class_conditional": True, "num_classes": 3}

SPACES = [
    pytest.param(MADE, SMALL_MADE, (1, 2, 4), 2, Bernoulli, id="made-2^8"),
    pytest.param(MADE, SMALL_MADE | CLASSES, (1, 4, 2), 2, Bernoulli, id="made-conditional-2^8"),
    pytest.param(
        MADE, {"network": partial(MADENetwork, hidden=(9, 20))}, (1, 1, 5), 3, Categorical, id="made-two-layers-3^5"
    ),
    pytest.param(MADE, SMALL_MADE, (3, 1, 2), 3, MIXTURE, id="made-colors-3^6"),
    pytest.param(MADE, SMALL_MADE, (1, 1, 1), 4, MIXTURE, id="made-one-pixel"),
    pytest.param(PixelCNN, SMALL_PIXEL_CNN, (1, 2, 4), 2, Bernoulli, id="pixel_cnn-2^8"),
    pytest.param(PixelCNN, SMALL_PIXEL_CNN | CLASSES, (1, 4, 2), 2, Bernoulli, id="pixel_cnn-conditional-2^8"),
    pytest.param(PixelCNN, SMALL_PIXEL_CNN, (3, 2, 1), 3, MIXTURE, id="pixel_cnn-colors-3^6"),
    pytest.param(
        PixelCNN, {"network": partial(GatedPixelCNN, width=2, blocks=2)}, (1, 2, 3), 2, MIXTURE, id="pixel_cnn-width-2"
    ),
]


def randomize(network: nn.Module, *, scale: float = 0.4) -> nn.Module:
    """Randomize all weights, also weights that are initialized to 0, so that no part of the network is inactive."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.normal_(std=scale)
            if name.endswith("embedding.weight"):
                weight[0] = 0  # the vector of an unknown class
    return network


def make_random_model(
    cls: type[Autoregressive], arguments: dict[str, Any], shape: ImageShape, levels: int, output: Any
) -> Autoregressive:
    """Build a model with random weights in double precision."""
    model = cls(image_shape=shape, levels=levels, output=output, **arguments).double()
    randomize(model.network)
    model.ema.copy(model.network)
    return model


def all_images(shape: ImageShape, levels: int) -> Tensor:
    """Enumerate all images, (levels ** elements, *shape), in double precision."""
    values = [2 * k / (levels - 1) - 1 for k in range(levels)]
    count = shape[0] * shape[1] * shape[2]
    return torch.tensor(list(itertools.product(values, repeat=count)), dtype=torch.float64).view(-1, *shape)


@pytest.mark.parametrize(("cls", "arguments", "shape", "levels", "output"), SPACES)
def test_the_probabilities_of_all_images_sum_to_one(
    cls: type[Autoregressive], arguments: dict[str, Any], shape: ImageShape, levels: int, output: Any
) -> None:
    model = make_random_model(cls, arguments, shape, levels, output)
    images = all_images(shape, levels)
    first = {}
    for label in (-1, 0, 2):
        log_prob = model.log_prob({"image": images, "label": torch.full((len(images),), label)})
        assert log_prob.shape == (len(images),)
        assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-10)
        first[label] = log_prob[0].item()
    assert (len(set(first.values())) == 3) == ("num_classes" in arguments)  # only conditional models use the label


@pytest.mark.parametrize(("cls", "arguments", "shape", "levels", "output"), SPACES)
def test_the_frequencies_of_samples_are_their_probabilities(
    cls: type[Autoregressive], arguments: dict[str, Any], shape: ImageShape, levels: int, output: Any
) -> None:
    model = make_random_model(cls, arguments, shape, levels, output)
    count = 4096
    condition: Batch = {"label": torch.full((count,), 2)} if "num_classes" in arguments else {}
    batch = model.sample(count, condition=condition, seed=0)
    images = all_images(shape, levels)
    expected = model.log_prob({"image": images, "label": torch.full((len(images),), 2)}).exp()
    digits = ((batch["image"] + 1) * (levels - 1) / 2).round().long().flatten(1)
    index = (digits * levels ** torch.arange(digits.shape[1] - 1, -1, -1)).sum(1)
    torch.testing.assert_close(batch["image"], images[index], atol=1e-12, rtol=0)  # samples have levels
    frequency = index.bincount(minlength=len(images)).double() / count
    # compare the most probable images individually, and all by the sum of squares: E |f - p|^2 = (1 - |p|^2) / count
    largest = expected.topk(5).indices if len(images) > 5 else torch.arange(len(images))
    assert ((frequency - expected)[largest].abs() < 4 * (expected[largest] / count).sqrt() + 1e-9).all()
    assert (frequency - expected).pow(2).sum() < 2 * (1 - expected.pow(2).sum()) / count


NETWORKS = [
    pytest.param(partial(MADENetwork, hidden=(200,)), (1, 4, 5), id="made"),
    pytest.param(partial(MADENetwork, hidden=(150, 200)), (3, 3, 4), id="made-colors"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=6, kernel=3), (1, 6, 5), id="pixel_cnn-all"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=3, kernel=5), (3, 5, 6), id="pixel_cnn-colors"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=2, kernel=3), (1, 7, 9), id="pixel_cnn-short"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=1, kernel=7), (2, 9, 9), id="pixel_cnn-one-block"),
]


@pytest.mark.parametrize(("make", "shape"), NETWORKS)
def test_the_receptive_field_of_a_pixel_is_all_earlier_pixels_within_reach(
    make: Callable[..., nn.Module], shape: ImageShape
) -> None:
    """Differentiate every output by the image: gradients are 0 at later pixels, and not 0 at earlier pixels in reach.

    There is no blind spot, and no channel of a pixel depends on another channel of the same pixel.
    """
    network = randomize(make(shape, 2)).double()
    image = torch.rand(4, *shape, dtype=torch.float64, requires_grad=True)
    outputs = network(image)
    reach = network.reach if isinstance(network, GatedPixelCNN) else 100
    height, width = shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    for row, column in itertools.product(range(height), range(width)):
        gradients = [
            torch.autograd.grad(outputs[:, index, row, column].sum(), image, retain_graph=True)[0] for index in (0, 1)
        ]
        earlier = (rows < row) | ((rows == row) & (columns < column))
        side = reach - 1  # the vertical stack is not shifted sideways, so it sees one pixel less to the right
        within = (rows >= row - reach) & (columns <= column + side)
        left = (rows == row) & (columns >= column - reach)
        above = (rows < row) & (columns >= column - (reach - 1))
        for gradient in gradients:
            seen = (gradient != 0).any(0)
            assert not seen[:, ~earlier].any()
            assert seen[:, earlier & within & (left | above)].all(), (row, column)
            assert not seen[:, ~(within & (columns >= column - 2 * reach))].any()


@pytest.mark.parametrize("label", [None, 1])
def test_a_row_depends_on_the_rows_within_reach_only(label: int | None) -> None:
    network = randomize(GatedPixelCNN((2, 9, 11), 3, num_classes=4, width=5, blocks=2, kernel=3)).double()
    image = torch.rand(2, 2, 9, 11, dtype=torch.float64)
    labels = torch.full((2,), -1 if label is None else label)
    expected = network(image, labels)
    reach = network.reach
    assert reach == 3
    for row in range(9):
        first = max(0, row - reach)
        torch.testing.assert_close(network(image[:, :, first : row + 1], labels)[:, :, -1], expected[:, :, row])
        vertical = network.vertical_stack(image[:, :, first : row + 1], labels)
        outputs = network.horizontal_stack(image[:, :, row : row + 1], vertical)
        torch.testing.assert_close(outputs[:, :, 0], expected[:, :, row])
        if row > reach:  # a smaller number of rows is not enough
            outputs = network(image[:, :, first + 1 : row + 1], labels)
            assert not torch.allclose(outputs[:, :, -1], expected[:, :, row], rtol=1e-9, atol=1e-9)


class UserNetwork(nn.Module):
    """Network of a user, which is not a `CausalImageNetwork`."""

    def __init__(self, image_shape: ImageShape, outputs: int, num_classes: int) -> None:
        super().__init__()
        self.inner = GatedPixelCNN(image_shape, outputs, num_classes=num_classes, width=5, blocks=2, kernel=3)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        outputs: Tensor = self.inner(image, label)
        return outputs


@pytest.mark.parametrize(
    ("cls", "network"),
    [
        (PixelCNN, partial(GatedPixelCNN, width=5, blocks=2, kernel=3)),
        (MADE, partial(MADENetwork, hidden=(20, 30))),
        (PixelCNN, partial(MADENetwork, hidden=(20, 30))),
        (MADE, UserNetwork),
    ],
)
def test_pixels_are_predicted_as_in_a_complete_forward_pass(
    cls: type[Autoregressive], network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks of this package predict a row without calling `forward`; other networks call it for each pixel."""
    model = cls(image_shape=(2, 8, 10), levels=3, network=network, output=Categorical, **CLASSES).double()
    randomize(model.network)
    image, label = torch.rand(3, 2, 8, 10, dtype=torch.float64), torch.tensor([0, -1, 2])
    expected = model.network(image, label)
    if network is not UserNetwork:
        monkeypatch.setattr(type(model.network), "forward", lambda *_: pytest.fail("`forward` was called"))
    for row in range(8):
        predict = row_predictor(model.network, image, row, label)
        for column in range(10):
            torch.testing.assert_close(predict(column), expected[:, :, row, column])


def test_a_pixel_cnn_accepts_images_of_another_size() -> None:
    assert GatedPixelCNN((1, 8, 8), 2, width=4, blocks=2)(torch.zeros(2, 1, 5, 13)).shape == (2, 2, 5, 13)


def test_a_pixel_cnn_distinguishes_positions_only_near_the_edges() -> None:
    """The channel of ones distinguishes an image from its padding; far from it all pixels of a constant image agree."""
    network = randomize(GatedPixelCNN((1, 20, 20), 1, width=4, blocks=2, kernel=3))
    outputs = network(torch.full((1, 1, 20, 20), 0.3))[0, 0]
    inside = outputs[network.reach :, 2 * network.reach : -network.reach]
    torch.testing.assert_close(inside, inside[:1, :1].expand_as(inside))
    assert outputs.std() > 1e-3
    assert not torch.allclose(network(torch.zeros(1, 1, 20, 20))[0, 0, 0], outputs[-1], atol=1e-3)


def test_the_embedding_of_an_unknown_class_remains_zero_in_training() -> None:
    embedding = ClassEmbedding(3, 4)
    nn.init.normal_(embedding.embedding.weight[1:])
    assert not embedding(torch.tensor([-1])).any()
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (embedding(torch.tensor([-1, 0, 2])).sum() * 3).backward()
        optimizer.step()
    assert not embedding(torch.tensor([-1])).any()
    assert embedding(torch.tensor([0])).any()


def test_a_class_shifts_the_gates_of_both_stacks() -> None:
    """One half of the embedding shifts the vertical stack, the other half shifts the horizontal stack."""
    network = randomize(GatedPixelCNN((1, 4, 4), 1, width=4, blocks=2, num_classes=3))
    image = torch.zeros(1, 1, 4, 4)
    embeddings = [block.shift.embedding.weight for block in network.blocks]  # type: ignore[union-attr]
    for half in (slice(0, 8), slice(8, 16)):
        before = network(image, torch.tensor([1]))
        with torch.no_grad():
            for weight in embeddings:
                weight[:, half] += 1  # type: ignore[operator, index]
        assert (network(image, torch.tensor([1])) - before).abs().max() > 1e-3


@pytest.mark.parametrize("network", [GatedPixelCNN, MADENetwork])
def test_a_class_conditional_network_needs_labels_and_compiles(network: Any) -> None:
    conditional = randomize(network((1, 4, 4), 2, num_classes=3))
    image, label = torch.rand(2, 1, 4, 4), torch.tensor([1, -1])
    with pytest.raises(ValueError, match="`label` is missing: this network is class-conditional"):
        conditional(image)
    compiled = torch.compile(conditional, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(image, label), conditional(image, label))


def test_sampling_prints_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    MADE(image_shape=(1, 2, 2), levels=2).sample(70)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("label", [-2, 3])
def test_labels_beyond_the_classes_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match=r"`label` must be from 0 to 2, or -1, got \[.*\]"):
        ClassEmbedding(3, 4)(torch.tensor([0, label]))


def test_hidden_units_are_divided_equally_among_the_degrees() -> None:
    network = MADENetwork((1, 4, 4), 1, hidden=(45,))
    mask = network.layers[0].mask
    degrees = mask.sum(1) - 1  # the index of the last pixel in the receptive field
    assert torch.equal(degrees.bincount(), torch.full((15,), 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MADENetwork((2,), 1), r"MADENetwork works on images .* got `image_shape` \(2,\)"),
        (lambda: MADENetwork((1, 2, 2), 1, hidden=()), r"`hidden` must hold sizes of at least 1, got \(\)"),
        (lambda: MADENetwork((1, 2, 2), 0), "`outputs` must be at least 1, got 0"),
        (lambda: MADENetwork((1, 2, 2), 1, num_classes=0), "`num_classes` must be at least 1, got 0"),
        (lambda: GatedPixelCNN((2,), 1), r"GatedPixelCNN works on images .* got `image_shape` \(2,\)"),
        (lambda: GatedPixelCNN((1, 2, 2), 1, kernel=4), "`kernel` must be odd and at least 3, got 4"),
        (lambda: GatedPixelCNN((1, 2, 2), 1, kernel=1), "`kernel` must be odd and at least 3, got 1"),
        (lambda: GatedPixelCNN((1, 2, 2), 1, blocks=0), "`blocks` must be at least 1, got 0"),
        (lambda: MADE(image_shape=(2,), levels=2), r"MADE works on images .*, got `image_shape` \(2,\)"),
        (lambda: MADE(image_shape=(1, 2, 2), levels=None), "`levels` is None: MADE needs data of discrete values"),
        (lambda: PixelCNN(image_shape=(1, 2, 2), levels=3, output=Bernoulli), "`levels` must be 2, got 3"),
        (
            lambda: PixelCNN(image_shape=(1, 2, 2), levels=2, class_conditional=True),
            "`class_conditional` is true, but `num_classes` is None",
        ),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("cls", "arguments"), [(MADE, SMALL_MADE), (PixelCNN, SMALL_PIXEL_CNN)])
def test_samples_do_not_depend_on_their_number(cls: type[Autoregressive], arguments: dict[str, Any]) -> None:
    model = cls(image_shape=(1, 4, 5), levels=17, **arguments, **CLASSES)
    ten, many = model.sample(10, seed=3), model.sample(100, seed=3)
    assert torch.equal(ten["image"], many["image"][:10])
    assert torch.equal(ten["label"], many["label"][:10])
    assert not torch.equal(ten["image"], model.sample(10, seed=4)["image"])


@pytest.mark.parametrize(("cls", "arguments"), [(MADE, SMALL_MADE), (PixelCNN, SMALL_PIXEL_CNN)])
def test_a_model_learns_the_only_image_of_each_class(cls: type[Autoregressive], arguments: dict[str, Any]) -> None:
    """The image of a class is certain given the label; without a label the three images are equally probable."""
    torch.manual_seed(0)
    images = torch.randint(2, (3, 1, 3, 4)).float() * 2 - 1
    model = cls(image_shape=(1, 3, 4), levels=2, output=Bernoulli, **arguments, **CLASSES)
    optimizer = torch.optim.Adam(model.network.parameters(), lr=0.01)
    label = torch.arange(3).repeat(2)
    batch: Batch = {"image": images.repeat(2, 1, 1, 1), "label": torch.cat([label[:3], torch.full((3,), -1)])}
    for _ in range(400):
        optimizer.zero_grad()
        (-model.log_density(model.network, batch).mean()).backward()
        optimizer.step()
    model.ema.copy(model.network)
    probabilities = model.log_prob(batch).exp()
    assert (probabilities[:3] > 0.97).all()
    assert probabilities[3:].sum() > 0.8
    assert probabilities[3:].min() > 0.05
    samples = model.sample(3, condition={"label": torch.tensor([2, 0, 1])}, seed=0)["image"]
    assert (samples == images[[2, 0, 1]]).float().mean() > 0.9
