"""What is sold, and to whom. Prices are in cents."""

from __future__ import annotations

import dataclasses
from typing import Dict


@dataclasses.dataclass(frozen=True)
class Product:
    sku: str
    title: str
    price: int


@dataclasses.dataclass(frozen=True)
class Customer:
    name: str
    tier: str
    country: str


PRODUCTS: Dict[str, Product] = {
    product.sku: product
    for product in (
        Product("teapot", "Teapot, cast iron", 4000),
        Product("cup", "Cup, glazed", 900),
        Product("tray", "Tray, bamboo", 1500),
    )
}

CUSTOMERS: Dict[str, Customer] = {
    customer.name: customer
    for customer in (
        Customer("ada", "standard", "DE"),
        Customer("bob", "gold", "DE"),
        Customer("cleo", "gold", "FR"),
        Customer("dan", "silver", "FR"),
    )
}
