"""Test the encoders of conditions: unknown conditions, padding and the order of words."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from lightning_gans.networks import BagOfWords, GRUEncoder, LabelEncoder, LogMelEncoder

WORDS = ("<pad>", "<unk>", "small", "big", "red", "heart")
every_text_encoder = pytest.mark.parametrize("encoder", [BagOfWords, GRUEncoder])
Factory = Callable[[Sequence[str], int], nn.Module]


@every_text_encoder
def test_padding_and_empty_captions(encoder: Factory) -> None:
    network = encoder(WORDS, 7)
    vectors = network(torch.tensor([[2, 4, 5], [4, 5, 0], [0, 0, 0]]))
    assert vectors.shape == (3, 7)
    longer = network(torch.tensor([[2, 4, 5, 0, 0], [4, 5, 0, 0, 0], [0, 0, 0, 0, 0]]))
    torch.testing.assert_close(vectors, longer)
    assert not vectors[2].any()
    assert vectors[0].any()
    assert not torch.allclose(vectors[0], vectors[1])


@every_text_encoder
def test_the_vector_of_a_caption_does_not_depend_on_the_batch(encoder: Factory) -> None:
    network, text = encoder(WORDS, 7), torch.tensor([[2, 4, 5], [3, 0, 0], [5, 4, 0]])
    torch.testing.assert_close(network(text)[1], network(text[1:2])[0])


@every_text_encoder
def test_an_unknown_word_has_the_zero_vector_until_training_has_seen_one(encoder: Factory) -> None:
    words: Any = encoder(WORDS, 7).words
    assert not words.weight[:2].any()
    assert words.weight[2:].any(1).all()


def test_only_the_recurrent_encoder_reads_the_order_of_words() -> None:
    text, other = torch.tensor([[2, 5, 4]]), torch.tensor([[4, 5, 2]])
    bag, gru = BagOfWords(WORDS, 7), GRUEncoder(WORDS, 7)
    torch.testing.assert_close(bag(text), bag(other))
    assert not torch.allclose(gru(text), gru(other))


@every_text_encoder
def test_padding_gets_no_gradient(encoder: Factory) -> None:
    network: Any = encoder(WORDS, 7)
    network(torch.tensor([[2, 4, 0], [0, 0, 0]])).square().sum().backward()
    assert network.words.weight.grad[[2, 4]].any(1).all()
    assert not network.words.weight.grad[[0, 1, 3, 5]].any()


def test_an_unknown_label_has_the_zero_vector_and_a_wrong_one_is_refused() -> None:
    encoder = LabelEncoder(3, 7)
    vectors = encoder(torch.tensor([0, 2, -1]))
    assert vectors[:2].any(1).all()
    assert not vectors[2].any()
    with pytest.raises(ValueError, match="`label` must be from 0 to 2, or -1"):
        encoder(torch.tensor([3]))


@pytest.mark.parametrize("shape", [(1, 64, 64), (1, 20, 7), (1, 5, 90)])
def test_spectrograms_of_any_size_are_encoded(shape: tuple[int, int, int]) -> None:
    vectors = LogMelEncoder(shape, 7, width=2)(torch.randn(2, *shape))
    assert vectors.shape == (2, 7)
    assert not torch.equal(vectors[0], vectors[1])
