"""One shop for each module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from .shop import Shop, shop_in


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with shop_in(tmp_path_factory.mktemp("run")) as shop:
        yield shop
