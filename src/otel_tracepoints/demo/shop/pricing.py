"""What a cart costs a customer: the sum of its lines, less the discount of the customer's tier."""

# ruff: noqa: RET504 - a value has a name where one may want to look at it
from __future__ import annotations

import dataclasses
import time
from typing import Dict

from .cart import Cart
from .catalog import Customer

#: Percent off, as the shop promises it to its customers.
TIER_PERCENT = {"standard": 0, "silver": 10, "gold": 20}

#: Answers of the discount service, which takes its time.
_percent_cache: Dict[str, int] = {}


@dataclasses.dataclass(frozen=True)
class Quote:
    subtotal: int
    percent: int
    total: int


def quote(cart: Cart, customer: Customer) -> Quote:
    """The price of a cart for this customer."""
    subtotal = cart.subtotal()
    percent = percent_off(customer)
    total = subtotal - subtotal * percent // 100
    return Quote(subtotal, percent, total)  # PROBE: quote


def percent_off(customer: Customer) -> int:
    """The customer's discount, asked of the discount service once."""
    key = customer.country
    if key not in _percent_cache:
        _percent_cache[key] = ask_discount_service(customer)
    percent = _percent_cache[key]
    return percent  # PROBE: percent


def ask_discount_service(customer: Customer) -> int:
    """Stands for a slow call over the network."""
    time.sleep(0.02)
    return TIER_PERCENT[customer.tier]
