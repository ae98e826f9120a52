"""Models of one pixel after the other: sums over all images, what sees what, sampling against probabilities."""

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


def randomized(network: nn.Module, *, scale: float = 0.4) -> nn.Module:
    """Draw all weights, those too that start at 0, so that everything that can be seen is."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.normal_(std=scale)
            if name.endswith("embedding.weight"):
                weight[0] = 0  # of what is unknown
    return network


def built(
    model: type[Autoregressive], arguments: dict[str, Any], shape: ImageShape, levels: int, output: Any
) -> Autoregressive:
    """A model of drawn weights, in double precision."""
    made = model(image_shape=shape, levels=levels, output=output, **arguments).double()
    randomized(made.network)
    made.ema.copy(made.network)
    return made


def every_image(shape: ImageShape, levels: int) -> Tensor:
    """All images, (levels ** elements, *shape), double precision."""
    values = [2 * k / (levels - 1) - 1 for k in range(levels)]
    count = shape[0] * shape[1] * shape[2]
    return torch.tensor(list(itertools.product(values, repeat=count)), dtype=torch.float64).view(-1, *shape)


@pytest.mark.parametrize(("model", "arguments", "shape", "levels", "output"), SPACES)
def test_the_probabilities_of_all_images_sum_to_one(
    model: type[Autoregressive], arguments: dict[str, Any], shape: ImageShape, levels: int, output: Any
) -> None:
    made = built(model, arguments, shape, levels, output)
    images = every_image(shape, levels)
    sums = {}
    for label in (-1, 0, 2):
        log_prob = made.log_prob({"image": images, "label": torch.full((len(images),), label)})
        assert log_prob.shape == (len(images),)
        assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-10)
        sums[label] = log_prob[0].item()
    assert (len(set(sums.values())) == 3) == ("num_classes" in arguments)  # what depends on the label, and what not


@pytest.mark.parametrize(("model", "arguments", "shape", "levels", "output"), SPACES)
def test_samples_are_as_frequent_as_they_are_probable(
    model: type[Autoregressive], arguments: dict[str, Any], shape: ImageShape, levels: int, output: Any
) -> None:
    made = built(model, arguments, shape, levels, output)
    count = 4096
    given: Batch = {"label": torch.full((count,), 2)} if "num_classes" in arguments else {}
    batch = made.sample(count, condition=given, seed=0)
    images = every_image(shape, levels)
    expected = made.log_prob({"image": images, "label": torch.full((len(images),), 2)}).exp()
    index = ((batch["image"] + 1) * (levels - 1) / 2).round().long().flatten(1)
    place = (index * levels ** torch.arange(index.shape[1] - 1, -1, -1)).sum(1)
    torch.testing.assert_close(batch["image"], images[place], atol=1e-12, rtol=0)  # on the levels
    seen = place.bincount(minlength=len(images)).double() / count
    # the most probable images one by one, and the sum of squares over all: E |seen - p|^2 = (1 - |p|^2) / count
    largest = expected.topk(5).indices if len(images) > 5 else torch.arange(len(images))
    assert ((seen - expected)[largest].abs() < 4 * (expected[largest] / count).sqrt() + 1e-9).all()
    assert (seen - expected).pow(2).sum() < 2 * (1 - expected.pow(2).sum()) / count


NETWORKS = [
    pytest.param(partial(MADENetwork, hidden=(200,)), (1, 4, 5), id="made"),
    pytest.param(partial(MADENetwork, hidden=(150, 200)), (3, 3, 4), id="made-colors"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=6, kernel=3), (1, 6, 5), id="pixel_cnn-all"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=3, kernel=5), (3, 5, 6), id="pixel_cnn-colors"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=2, kernel=3), (1, 7, 9), id="pixel_cnn-short"),
    pytest.param(partial(GatedPixelCNN, width=5, blocks=1, kernel=7), (2, 9, 9), id="pixel_cnn-one-block"),
]


@pytest.mark.parametrize(("make", "shape"), NETWORKS)
def test_a_pixel_sees_the_earlier_ones_in_reach_and_no_others(
    make: Callable[..., nn.Module], shape: ImageShape
) -> None:
    """Every output is differentiated; 0 from itself and later pixels, in all channels, else not 0: no blind spot."""
    network = randomized(make(shape, 2)).double()
    image = torch.rand(4, *shape, dtype=torch.float64, requires_grad=True)
    numbers = network(image)
    reach = network.reach if isinstance(network, GatedPixelCNN) else 100
    height, width = shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    for row, column in itertools.product(range(height), range(width)):
        gradients = [
            torch.autograd.grad(numbers[:, index, row, column].sum(), image, retain_graph=True)[0] for index in (0, 1)
        ]
        earlier = (rows < row) | ((rows == row) & (columns < column))
        side = reach - 1  # to the right the vertical stack sees one step less: nothing moves it
        within = (rows >= row - reach) & (columns <= column + side)
        left = (rows == row) & (columns >= column - reach)
        above = (rows < row) & (columns >= column - (reach - 1))
        for gradient in gradients:
            seen = (gradient != 0).any(0)
            assert not seen[:, ~earlier].any()
            assert seen[:, earlier & within & (left | above)].all(), (row, column)
            assert not seen[:, ~(within & (columns >= column - 2 * reach))].any()


@pytest.mark.parametrize("label", [None, 1])
def test_a_row_told_by_what_it_can_see_is_as_in_the_whole(label: int | None) -> None:
    network = randomized(GatedPixelCNN((2, 9, 11), 3, num_classes=4, width=5, blocks=2, kernel=3)).double()
    image = torch.rand(2, 2, 9, 11, dtype=torch.float64)
    given = torch.full((2,), -1 if label is None else label)
    whole = network(image, given)
    reach = network.reach
    assert reach == 3
    for row in range(9):
        first = max(0, row - reach)
        torch.testing.assert_close(network(image[:, :, first : row + 1], given)[:, :, -1], whole[:, :, row])
        told = network.vertical_stack(image[:, :, first : row + 1], given)
        torch.testing.assert_close(
            network.horizontal_stack(image[:, :, row : row + 1], told)[:, :, 0], whole[:, :, row]
        )
        if row > reach:  # one row less is not enough
            short = network(image[:, :, first + 1 : row + 1], given)[:, :, -1]
            assert not torch.allclose(short, whole[:, :, row], rtol=1e-9, atol=1e-9)


class Foreign(nn.Module):
    """Someone else's network, which knows of no rows."""

    def __init__(self, image_shape: ImageShape, outputs: int, num_classes: int) -> None:
        super().__init__()
        self.inner = GatedPixelCNN(image_shape, outputs, num_classes=num_classes, width=5, blocks=2, kernel=3)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        numbers: Tensor = self.inner(image, label)
        return numbers


@pytest.mark.parametrize(
    ("model", "network"),
    [
        (PixelCNN, partial(GatedPixelCNN, width=5, blocks=2, kernel=3)),
        (MADE, partial(MADENetwork, hidden=(20, 30))),
        (PixelCNN, partial(MADENetwork, hidden=(20, 30))),
        (MADE, Foreign),
    ],
)
def test_a_row_is_told_as_by_the_whole(
    model: type[Autoregressive], network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixel by pixel, with less work by a network of this project, by another as it is."""
    made = model(image_shape=(2, 8, 10), levels=3, network=network, output=Categorical, **CLASSES).double()
    randomized(made.network)
    image, label = torch.rand(3, 2, 8, 10, dtype=torch.float64), torch.tensor([0, -1, 2])
    whole = made.network(image, label)
    if network is not Foreign:
        monkeypatch.setattr(type(made.network), "forward", lambda *_: pytest.fail("a whole pass"))
    for row in range(8):
        predict = row_predictor(made.network, image, row, label)
        for column in range(10):
            torch.testing.assert_close(predict(column), whole[:, :, row, column])


def test_images_of_another_size_are_told_by_the_same_pixel_cnn() -> None:
    assert GatedPixelCNN((1, 8, 8), 2, width=4, blocks=2)(torch.zeros(2, 1, 5, 13)).shape == (2, 2, 5, 13)


def test_a_pixel_cnn_knows_its_place_only_near_the_edges() -> None:
    """The channel of ones is what the padding is told from; far from it all pixels of an even image look alike."""
    network = randomized(GatedPixelCNN((1, 20, 20), 1, width=4, blocks=2, kernel=3))
    numbers = network(torch.full((1, 1, 20, 20), 0.3))[0, 0]
    inside = numbers[network.reach :, 2 * network.reach : -network.reach]
    torch.testing.assert_close(inside, inside[:1, :1].expand_as(inside))
    assert numbers.std() > 1e-3
    assert not torch.allclose(network(torch.zeros(1, 1, 20, 20))[0, 0, 0], numbers[-1], atol=1e-3)


def test_an_unknown_class_is_none() -> None:
    shift = ClassEmbedding(3, 4)
    nn.init.normal_(shift.embedding.weight[1:])
    assert not shift(torch.tensor([-1])).any()
    optimizer = torch.optim.Adam(shift.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (shift(torch.tensor([-1, 0, 2])).sum() * 3).backward()
        optimizer.step()
    assert not shift(torch.tensor([-1])).any()
    assert shift(torch.tensor([0])).any()


def test_a_class_shifts_both_stacks() -> None:
    """Each of the halves of the shift tells: the gates of the vertical stack, and of the horizontal one."""
    network = randomized(GatedPixelCNN((1, 4, 4), 1, width=4, blocks=2, num_classes=3))
    image = torch.zeros(1, 1, 4, 4)
    embeddings = [block.shift.embedding.weight for block in network.blocks]  # type: ignore[union-attr]
    for half in (slice(0, 8), slice(8, 16)):
        before = network(image, torch.tensor([1]))
        with torch.no_grad():
            for weight in embeddings:
                weight[:, half] += 1  # type: ignore[operator, index]
        assert (network(image, torch.tensor([1])) - before).abs().max() > 1e-3


@pytest.mark.parametrize("network", [GatedPixelCNN, MADENetwork])
def test_a_network_with_classes_is_told_one_and_compiles(network: Any) -> None:
    made = randomized(network((1, 4, 4), 2, num_classes=3))
    image, label = torch.rand(2, 1, 4, 4), torch.tensor([1, -1])
    with pytest.raises(ValueError, match="`label` is missing: this network is class-conditional"):
        made(image)
    compiled = torch.compile(made, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(image, label), made(image, label))


def test_drawing_prints_nothing_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    MADE(image_shape=(1, 2, 2), levels=2).sample(70)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("label", [-2, 3])
def test_labels_beyond_the_classes_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match=r"`label` must be from 0 to 2, or -1, got \[.*\]"):
        ClassEmbedding(3, 4)(torch.tensor([0, label]))


def test_hidden_degrees_cover_all_pixels_evenly() -> None:
    network = MADENetwork((1, 4, 4), 1, hidden=(45,))
    mask = network.layers[0].mask
    degrees = mask.sum(1) - 1  # the last pixel seen
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
def test_what_cannot_be_built_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("model", "arguments"), [(MADE, SMALL_MADE), (PixelCNN, SMALL_PIXEL_CNN)])
def test_the_first_of_many_samples_are_those_of_few(model: type[Autoregressive], arguments: dict[str, Any]) -> None:
    made = model(image_shape=(1, 4, 5), levels=17, **arguments, **CLASSES)
    ten, many = made.sample(10, seed=3), made.sample(100, seed=3)
    assert torch.equal(ten["image"], many["image"][:10])
    assert torch.equal(ten["label"], many["label"][:10])
    assert not torch.equal(ten["image"], made.sample(10, seed=4)["image"])


@pytest.mark.parametrize(("model", "arguments"), [(MADE, SMALL_MADE), (PixelCNN, SMALL_PIXEL_CNN)])
def test_a_deterministic_image_is_learned(model: type[Autoregressive], arguments: dict[str, Any]) -> None:
    """Each class has one image: it is certain given the class, and one of three without."""
    torch.manual_seed(0)
    images = torch.randint(2, (3, 1, 3, 4)).float() * 2 - 1
    made = model(image_shape=(1, 3, 4), levels=2, output=Bernoulli, **arguments, **CLASSES)
    optimizer = torch.optim.Adam(made.network.parameters(), lr=0.01)
    label = torch.arange(3).repeat(2)
    batch: Batch = {"image": images.repeat(2, 1, 1, 1), "label": torch.cat([label[:3], torch.full((3,), -1)])}
    for _ in range(400):
        optimizer.zero_grad()
        (-made.log_density(made.network, batch).mean()).backward()
        optimizer.step()
    made.ema.copy(made.network)
    probabilities = made.log_prob(batch).exp()
    assert (probabilities[:3] > 0.97).all()
    assert probabilities[3:].sum() > 0.8
    assert probabilities[3:].min() > 0.05
    sampled = made.sample(3, condition={"label": torch.tensor([2, 0, 1])}, seed=0)["image"]
    assert (sampled == images[[2, 0, 1]]).float().mean() > 0.9
