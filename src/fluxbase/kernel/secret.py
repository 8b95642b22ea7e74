"""``Secret``: a value that cannot be printed, logged, compared by accident or encoded (DESIGN invariant 10)."""

import hmac
from typing import NoReturn


class Secret:
    """Holds a secret string. Only :meth:`reveal` gives it out; everything else shows ``[secret]``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it only where the secret is used."""
        return self._value

    def matches(self, other: str) -> bool:
        """Constant-time comparison with a plain string."""
        return hmac.compare_digest(self._value.encode(), other.encode())

    def __repr__(self) -> str:
        return "[secret]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "[secret]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: pass the file or variable it came from instead")

    def __iter__(self) -> NoReturn:
        raise TypeError("a Secret cannot be iterated")
