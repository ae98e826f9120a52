"""Test the images of Stacked MNIST, and the metric that counts their modes."""

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from test_configs import write_idx
from torch import Tensor

from lightning_gans.datamodules import MNIST, StackedMNIST
from lightning_gans.datamodules.stacked_mnist import sample_triples
from lightning_gans.metrics.stacked_mnist import StackedMNISTModes

FREQUENCIES = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
"""Frequencies of MNIST's training digits, counted in its label file."""


@pytest.fixture
def root(tmp_path: Path) -> str:
    write_idx(tmp_path / "MNIST" / "raw", np.random.default_rng(0))
    return str(tmp_path)


def make(root: str, **arguments: int) -> StackedMNIST:
    return StackedMNIST(root=root, **{"batch_size": 10, "train_size": 300, "validation_size": 20, **arguments})


def predict(digits: Tensor) -> Tensor:
    return digits.float().mean((1, 2, 3)).round().long()


def constant_images(labels: Tensor) -> Tensor:
    """Create images whose channels have the values of the label's digits, hundreds first."""
    digits = torch.stack([labels // 100, labels // 10 % 10, labels % 10], dim=1)
    return digits.float().view(-1, 3, 1, 1).expand(-1, 3, 4, 4)


def test_the_channels_are_digits_and_the_label_is_their_number(root: str) -> None:
    train, test = make(root).load()
    originals = MNIST(root=root).load()
    assert train["image"].shape == (320, 3, 28, 28)
    assert test["image"].shape == (10_000, 3, 28, 28)
    assert train["image"].dtype == torch.uint8
    for stacked, digits in zip((train, test), originals, strict=True):
        pairs = zip(digits["image"], digits["label"], strict=True)
        known = {image.numpy().tobytes(): int(label) for image, label in pairs}
        for image, label in zip(stacked["image"][:200], stacked["label"][:200].tolist(), strict=True):
            red, green, blue = (known[color.unsqueeze(0).numpy().tobytes()] for color in image)
            assert label == 100 * red + 10 * green + blue


def test_a_triple_depends_only_on_the_seed_and_its_index(root: str) -> None:
    small, large = (make(root, train_size=size).load() for size in (50, 300))
    assert torch.equal(small[0]["image"], large[0]["image"][:70])
    again, other = make(root).load(), make(root, seed=1).load()
    assert torch.equal(large[0]["image"], again[0]["image"])
    assert not torch.equal(large[0]["label"], other[0]["label"])
    assert torch.equal(large[1]["image"], other[1]["image"])  # the test set is fixed


def test_the_splits_have_the_documented_sizes(root: str) -> None:
    assert make(root).sizes == {"train": 300, "validation": 20, "test": 10_000}
    assert StackedMNIST().train_size == 128_000


def test_triples_are_uniform_and_independent() -> None:
    triples = sample_triples(10, 100_000, seed=0)
    assert (triples.min(), triples.max()) == (0, 9)
    expected = 100_000 / 100
    for first, second in itertools.combinations(range(3), 2):
        counts = torch.bincount(10 * triples[:, first] + triples[:, second], minlength=100)
        chi_squared = float(((counts - expected) ** 2 / expected).sum())
        assert chi_squared < 99 + 4 * math.sqrt(2 * 99)


def test_arguments_out_of_range_and_missing_files_are_refused(root: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`train_size` must be at least 1, got 0"):
        make(root, train_size=0)
    with pytest.raises(ValueError, match="MNIST cannot be read from `root`"):
        make(str(tmp_path / "elsewhere")).load()
    with pytest.raises(ValueError, match=r"`root` .* is not a folder"):
        make(str(tmp_path / "elsewhere")).prepare_data()


def test_modes_and_divergence_follow_from_the_histogram() -> None:
    """Reference: the formula in plain Python."""
    labels = torch.randint(0, 1000, (700,), generator=torch.Generator().manual_seed(0))
    labels[:300] = 407
    metric = StackedMNISTModes(predict)
    for part in torch.split(constant_images(labels), 64):
        metric.update(part)
    histogram = Counter(labels.tolist())
    divergence = sum(n / 700 * math.log(1000 * n / 700) for n in histogram.values())
    scores = metric.compute()
    assert scores["modes"] == len(histogram)
    assert scores["reverse_kl"].item() == pytest.approx(divergence, rel=1e-6)
    assert metric.counts[407] == histogram[407]


def test_the_divergence_is_log_1000_for_one_mode_and_zero_for_uniform_modes() -> None:
    metric = StackedMNISTModes(predict)
    metric.update(constant_images(torch.arange(1000)))
    assert metric.compute()["modes"] == 1000
    assert metric.compute()["reverse_kl"] == pytest.approx(0, abs=1e-6)
    metric.reset()
    metric.update(constant_images(torch.full((9,), 123)))
    assert metric.compute()["reverse_kl"].item() == pytest.approx(math.log(1000), rel=1e-6)


def test_a_perfect_sampler_has_all_modes_and_the_known_divergence() -> None:
    """26,000 triples with MNIST's frequencies: 1,000 modes, 0.0236 +- 0.001."""
    divergences = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        digits = rng.choice(10, (26_000, 3), p=np.array(FREQUENCIES) / sum(FREQUENCIES))
        metric = StackedMNISTModes(predict)
        metric.update(constant_images(torch.from_numpy(digits @ [100, 10, 1])))
        scores = metric.compute()
        assert scores["modes"] == 1000
        divergences.append(scores["reverse_kl"].item())
    assert np.mean(divergences) == pytest.approx(0.0236, abs=0.001)


def test_images_without_three_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`images` must be of shape \(b, 3, height, width\), got \(2, 1, 4, 4\)"):
        StackedMNISTModes(predict).update(torch.zeros(2, 1, 4, 4))
