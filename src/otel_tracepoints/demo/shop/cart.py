"""A cart: products and how many of each."""

from __future__ import annotations

import dataclasses
from typing import Dict, List

from .catalog import PRODUCTS, Product


class UnknownProductError(Exception):
    """The shop does not sell this."""


@dataclasses.dataclass(frozen=True)
class Line:
    product: Product
    quantity: int

    def amount(self) -> int:
        return self.product.price * self.quantity


@dataclasses.dataclass
class Cart:
    lines: List[Line]

    @classmethod
    def of(cls, items: Dict[str, int]) -> Cart:
        """A cart of SKUs and quantities."""
        lines = []
        for sku, quantity in items.items():
            if sku not in PRODUCTS or quantity < 1:
                raise UnknownProductError(sku)
            lines.append(Line(PRODUCTS[sku], quantity))
        return cls(lines)

    def subtotal(self) -> int:
        return sum(line.amount() for line in self.lines)
