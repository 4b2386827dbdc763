"""The application without mesh and cluster."""

import pytest

from shop.server import order


def test_an_order_is_shipped() -> None:
    assert order(7) == {"number": 7, "state": "shipped"}


def test_there_is_no_order_zero() -> None:
    with pytest.raises(ValueError, match="no order 0"):
        order(0)
