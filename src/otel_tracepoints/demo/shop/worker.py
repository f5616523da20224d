"""Receipts: written by a thread in the background, so that no customer waits for them."""

# ruff: noqa: RET504 - a value has a name where one may want to look at it
from __future__ import annotations

import queue
import threading
from typing import Any, Dict, Optional


class ReceiptWriter:
    """Takes orders and writes a receipt for each, one after the other."""

    def __init__(self) -> None:
        self._orders: queue.Queue[Optional[Dict[str, Any]]] = queue.Queue()
        self._receipts: Dict[int, str] = {}
        self._thread = threading.Thread(target=self._run, name="receipts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._orders.put(None)
        self._thread.join(5)

    def submit(self, order: Dict[str, Any]) -> None:
        self._orders.put(order)

    def receipt(self, number: int) -> Optional[str]:
        return self._receipts.get(number)

    def _run(self) -> None:
        while True:
            order = self._orders.get()
            if order is None:
                return
            self._receipts[order["number"]] = self._write(order)

    def _write(self, order: Dict[str, Any]) -> str:
        text = f"{order['customer']} paid {order['total'] / 100:.2f}"
        return text  # PROBE: receipt
