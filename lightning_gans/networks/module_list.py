"""A `torch.nn.ModuleList` whose elements have a type."""

from typing import TYPE_CHECKING, Generic, TypeVar

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    M = TypeVar("M", bound=nn.Module)

    class ModuleList(nn.ModuleList, Generic[M]):
        """Hold modules of one type, so that type checkers know the type of an element."""

        def __iter__(self) -> Iterator[M]: ...

else:
    ModuleList = nn.ModuleList
