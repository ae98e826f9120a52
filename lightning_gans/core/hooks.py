"""Checks of the methods that a user's class defines: misspelled hooks and overridden final methods."""

import difflib
import inspect

SIMILARITY = 0.9
"""Smallest ratio of `difflib` at which a method's name counts as a misspelled hook."""

SHORTEST = 10
"""Length of the shortest hook that is compared: short names resemble too many others."""

LIBRARIES = ("lightning_gans", "pytorch_lightning", "lightning_fabric", "torch", "abc", "builtins", "typing")
"""Packages whose classes are not checked, and whose methods are hooks."""


def check_hooks(cls: type) -> None:
    """Refuse a class whose method is a misspelled hook or overrides a final method.

    A hook with another name is never called, so the mistake would go unnoticed. Classes of this package and of
    Lightning are not checked. A public method is compared with the hooks if no base class has its name.

    Args:
        cls: Class of a model.

    Raises:
        ValueError: If a method is a misspelled hook or overrides a final method; the message names it.

    Example:
        >>> from lightning_gans import DCGAN
        >>> class MyGAN(DCGAN):
        ...     __module__ = "my_gan"  # a module of the user
        ...
        ...     def after_generator_steps(self) -> None: ...
        >>> check_hooks(MyGAN)
        Traceback (most recent call last):
        ValueError: MyGAN defines `after_generator_steps`, which is never called: did you mean `after_generator_step`?
    """
    for own in cls.__mro__:
        if _is_library(own):
            continue
        inherited = {name for base in own.__mro__[1:] for name in vars(base)}
        hooks = [hook for hook in _hooks(own) if _final_owner(own, hook) is None]
        for name, method in vars(own).items():
            if owner := _final_owner(own, name):
                raise ValueError(f"{own.__name__} overrides `{name}`, which is final in {owner.__name__}")
            is_new = inspect.isfunction(method) and not name.startswith("_") and name not in inherited
            if is_new and (hook := _misspelled(name, hooks)):
                raise ValueError(f"{own.__name__} defines `{name}`, which is never called: did you mean `{hook}`?")


def _is_library(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in LIBRARIES


def _hooks(cls: type) -> list[str]:
    """List the public methods that a class inherits from this package and from Lightning, except for short names."""
    return sorted(
        {
            name
            for base in cls.__mro__[1:]
            if _is_library(base)
            for name, method in vars(base).items()
            if inspect.isfunction(method) and not name.startswith("_") and len(name) >= SHORTEST
        }
    )


def _final_owner(cls: type, name: str) -> type | None:
    """Find the base class whose method of that name is final."""
    owners = (base for base in cls.__mro__[1:] if name in vars(base))
    return next((base for base in owners if getattr(vars(base)[name], "__final__", False)), None)


def _misspelled(name: str, hooks: list[str]) -> str | None:
    """Find the hook that a name stands for: another spelling of it, or the first words of a longer name."""
    american = name.replace("ise", "ize")
    begun = [hook for hook in hooks if hook.startswith(f"{american}_")]
    if len(name) >= SHORTEST and len(begun) == 1:
        return begun[0]
    if any(name.startswith(f"{hook}_") or name.endswith(f"_{hook}") for hook in hooks):  # a helper of that hook
        return None
    return next(iter(difflib.get_close_matches(american, hooks, n=1, cutoff=SIMILARITY)), None)
