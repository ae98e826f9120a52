"""Conditional networks, made of unconditional ones: the condition is bound to a network while a loss calls it.

Each player owns a `ConditionEncoder`. `bound` encodes the conditions of a batch once, and the layers of the networks
read the vector, so that losses and penalties call the networks with images only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lightning_gans.networks.spectral_norm import SpectralNorm


class ConditionEncoder(nn.Module):
    """Encode the conditions of a batch as one vector, the concatenated vectors of an encoder for each condition.

    Args:
        encoders: The encoder of each condition by its batch key; all have vectors of the same size.
        embedding_dim: Size of the vector of one condition.

    Attributes:
        size: Size of the vector of all conditions.

    Example:
        >>> from lightning_gans.networks.encoders import LabelEncoder
        >>> encoder = ConditionEncoder({"label": LabelEncoder(10, 4)}, 4)
        >>> with bound([encoder], {"label": torch.tensor([3, 1])}):
        ...     encoder.vector.shape
        torch.Size([2, 4])
    """

    def __init__(self, encoders: Mapping[str, nn.Module], embedding_dim: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.size = embedding_dim * len(self.encoders)
        self.bound: tuple[list[Tensor], Tensor] | None = None

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Map the conditions of a batch to vectors (b, size)."""
        return torch.cat([encoder(batch[key]) for key, encoder in self.encoders.items()], dim=1)

    @property
    def vector(self) -> Tensor:
        """Return the vector (b, size) of the bound conditions.

        Raises:
            ValueError: No conditions are bound.
        """
        if self.bound is None:
            raise ValueError(
                f"the network is conditional, but its condition {list(self.encoders)} is not bound:"
                " call it in a loss, or in `with model.condition_on(batch)`"
            )
        return self.bound[1]


@contextmanager
def bound(networks: Iterable[nn.Module], *batches: Mapping[str, Any]) -> Iterator[None]:
    """Bind the conditions of a batch to networks in a `with` block; unconditional networks are unchanged.

    Args:
        networks: The networks.
        *batches: The batch. Of several batches, the mean of their vectors is bound, which interpolates conditions.

    Raises:
        ValueError: A batch lacks a condition.
    """
    encoders = [module for network in networks for module in network.modules() if isinstance(module, ConditionEncoder)]
    previous = [encoder.bound for encoder in encoders]
    try:
        for encoder in encoders:
            _bind(encoder, batches)
        yield
    finally:
        for encoder, binding in zip(encoders, previous, strict=True):
            encoder.bound = binding


def _bind(encoder: ConditionEncoder, batches: tuple[Mapping[str, Any], ...]) -> None:
    for batch in batches:
        if missing := [key for key in encoder.encoders if key not in batch]:
            raise ValueError(f"the network is conditional, but the batch lacks {missing}")
    conditions = [batch[key] for batch in batches for key in encoder.encoders]
    present = [] if encoder.bound is None else encoder.bound[0]
    if list(map(id, present)) != list(map(id, conditions)):  # the same conditions are encoded once
        encoder.bound = conditions, torch.stack([encoder(batch) for batch in batches]).mean(0)


class ConditionalGenerator(nn.Module):
    """Concatenate the vector of the condition and the latents, or leave the latents to conditional normalization.

    Args:
        network: The generator.
        encoder: Encoder of the condition, which becomes a part of the generator.
        concatenate: Whether the network receives the vector before the latent, default True.
    """

    def __init__(self, network: nn.Module, encoder: ConditionEncoder, *, concatenate: bool = True) -> None:
        super().__init__()
        self.network = network
        self.encoder = encoder
        self.concatenate = concatenate

    def forward(self, latents: Tensor, *inputs: Any) -> Any:
        """Map latents (b, latent_dim), and further inputs, to samples."""
        if self.concatenate:
            latents = torch.cat([self.encoder.vector.to(latents.dtype), latents], dim=1)
        return self.network(latents, *inputs)


class ConditionalBatchNorm2d(nn.Module):
    """Normalize a batch, and scale and shift its channels by linear functions of the condition.

    The functions are initialized to 0, so that the initial network ignores the condition.

    Source: Dumoulin et al. 2016, arXiv:1610.07629; in GANs, Miyato and Koyama 2018, arXiv:1802.05637.

    Args:
        norm: The unconditional layer, whose scale and shift remain.
        encoder: Encoder of the condition, which another module owns.
    """

    def __init__(self, norm: nn.BatchNorm2d, encoder: ConditionEncoder) -> None:
        super().__init__()
        self.norm = norm
        self.scale = nn.Linear(encoder.size, norm.num_features, bias=False)
        self.shift = nn.Linear(encoder.size, norm.num_features, bias=False)
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)
        self._encoder = (encoder,)  # in a tuple, because it is a part of another module

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (b, channels, h, w) to the same shape."""
        vector = self._encoder[0].vector.to(inputs.dtype)
        scale, shift = self.scale(vector)[..., None, None], self.shift(vector)[..., None, None]
        outputs: Tensor = self.norm(inputs) * (1 + scale) + shift
        return outputs


def apply_conditional_batch_norm(network: nn.Module, encoder: ConditionEncoder) -> int:
    """Replace every `BatchNorm2d` of a network by a `ConditionalBatchNorm2d`, in place.

    Args:
        network: The network.
        encoder: Encoder of the condition.

    Returns:
        The number of layers that were replaced.
    """

    def conditional(_: str, layer: nn.Module) -> nn.Module | None:
        return ConditionalBatchNorm2d(layer, encoder) if isinstance(layer, nn.BatchNorm2d) else None

    return _replace(network, conditional)


class ProjectionHead(nn.Module):
    """Add the inner product of the features and a linear function of the condition to the logit.

    With spectral normalization of the logit's layer, the linear function is normalized too, and the vector of the
    condition is scaled to a norm of at most 1, so that the added term is 1-Lipschitz.

    Source: Miyato and Koyama 2018, arXiv:1802.05637.

    Args:
        linear: The layer that maps features (b, f) to logits (b, 1).
        encoder: Encoder of the condition, which becomes a part of the head.
    """

    def __init__(self, linear: nn.Linear, encoder: ConditionEncoder) -> None:
        super().__init__()
        self.linear = linear
        self.encoder = encoder
        self.projection = nn.Linear(encoder.size, linear.in_features, bias=False)
        with torch.no_grad():  # for a vector of unit variance, the projection has the scale of the logit's weights
            nn.init.normal_(self.projection.weight, std=(linear.weight.square().mean() / encoder.size).sqrt().item())
        self.is_normalized = parametrize.is_parametrized(linear)
        if self.is_normalized:
            parametrize.register_parametrization(self.projection, "weight", SpectralNorm(self.projection.weight))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (b, f) to logits (b, 1)."""
        vector = self.encoder.vector.to(features.dtype)
        if self.is_normalized:
            vector = F.normalize(vector, dim=1)
        logits: Tensor = self.linear(features) + (features * self.projection(vector)).sum(1, keepdim=True)
        return logits


def add_projection(discriminator: nn.Module, make_encoder: Callable[[], ConditionEncoder]) -> None:
    """Replace every layer `logit` of a discriminator by a `ProjectionHead`, in place.

    Args:
        discriminator: The discriminator.
        make_encoder: Factory of an encoder; each layer gets its own.

    Raises:
        ValueError: The discriminator has no such layer, a linear layer with one output.
    """

    def head(name: str, layer: nn.Module) -> nn.Module | None:
        if name == "logit" and isinstance(layer, nn.Linear) and layer.out_features == 1:
            return ProjectionHead(layer, make_encoder())
        return None

    if not _replace(discriminator, head):
        raise ValueError(
            f"`discriminator` {type(discriminator).__name__} cannot be conditional: name its last layer, an"
            " `nn.Linear` with one output, `logit`, to which the projection of the condition is added"
        )


def _replace(network: nn.Module, replacement: Callable[[str, nn.Module], nn.Module | None]) -> int:
    """Replace the layers of a network, in place.

    Args:
        network: The network.
        replacement: Returns the replacement of a layer, given its own name and the layer; None keeps the layer.

    Returns:
        The number of layers that were replaced.
    """
    count = 0
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if (new := replacement(name, layer)) is not None:
                setattr(parent, name, new)
                count += 1
    return count
