"""The stock: kept by an asyncio loop in a thread of its own, as a warehouse client would be."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Coroutine, Dict

from .cart import Cart
from .catalog import PRODUCTS


class OutOfStockError(Exception):
    """There is not enough of it."""


class Stock:
    """How many there are of each product. Call it from any thread; the loop does the work."""

    def __init__(self, each: int = 1_000_000) -> None:
        self._left: Dict[str, int] = dict.fromkeys(PRODUCTS, each)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def reserve(self, cart: Cart) -> None:
        """Take a cart's products out of the stock, or raise `OutOfStockError` and take none."""
        self._call(self._reserve(cart))

    def left(self) -> Dict[str, int]:
        """How many there are of each."""
        counts: Dict[str, int] = self._call(self._count())
        return counts

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _reserve(self, cart: Cart) -> None:
        await asyncio.gather(*(self._check(line.product.sku, line.quantity) for line in cart.lines))
        for line in cart.lines:
            self._left[line.product.sku] -= line.quantity

    async def _check(self, sku: str, quantity: int) -> None:
        await asyncio.sleep(0.001)
        left = self._left[sku]
        if left < quantity:  # PROBE: stock
            raise OutOfStockError(sku)

    async def _count(self) -> Dict[str, int]:
        return dict(self._left)
