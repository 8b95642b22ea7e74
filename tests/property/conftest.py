"""The server that generated requests are sent to is the one of the contract's cases."""

from tests.contract.conftest import contract

__all__ = ["contract"]
