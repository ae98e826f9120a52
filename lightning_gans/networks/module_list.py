"""A `torch.nn.ModuleList` whose elements have a type."""

from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    M = TypeVar("M", bound=nn.Module)

    class ModuleList(nn.ModuleList, Generic[M]):
        """Hold modules of one type, which type checkers know when they iterate over it."""

        def __iter__(self) -> Iterator[M]: ...

else:
    ModuleList = nn.ModuleList
