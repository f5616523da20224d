"""The program that is measured: a function of ten locals over an object graph, and a hot loop.

Every system under test puts its probe on the same tagged lines.
"""

from __future__ import annotations

import pathlib
from typing import Any, Dict, List


class Address:
    def __init__(self, city: str, zip_code: str) -> None:
        self.city = city
        self.zip_code = zip_code


class Customer:
    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.status = "guest"
        self.address = address


class Order:
    def __init__(self, number: int, customer: Customer) -> None:
        self.number = number
        self.customer = customer
        self.lines = [{"sku": f"sku-{n}", "qty": n, "price": n * 1.5} for n in range(3)]


def make_order() -> Order:
    return Order(7, Customer("ann", Address("Paris", "75001")))


def handle(order: Order, qty: int, items: List[int]) -> float:
    user = order.customer
    city = user.address.city
    prices = [line["price"] for line in order.lines]
    discount = 0.1
    label = "order"
    flags: Dict[str, Any] = {"gift": False, "express": True}
    total = sum(prices) * (1 - discount)
    return total  # TAG: handle


def hot(n: int) -> int:
    total = 0
    for i in range(n):
        total += i & 7
    done = total  # TAG: after
    return done


def elsewhere() -> int:
    return 1  # TAG: elsewhere


def nested(depth: int, order: Order, items: List[int]) -> float:
    """Fifteen frames above the probe, as a request of a web service has."""
    return nested(depth - 1, order, items) if depth else handle(order, 5, items)


def line_of(tag: str) -> int:
    """The number of the line that carries the tag."""
    for number, line in enumerate(pathlib.Path(__file__).read_text("utf-8").splitlines(), 1):
        if line.rstrip().endswith(f"# TAG: {tag}"):
            return number
    raise LookupError(tag)
