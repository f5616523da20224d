"""The HTTP side of the shop."""

# mypy: allow-untyped-decorators
from __future__ import annotations

import itertools
from typing import Any, Dict, Tuple

import flask

from .cart import Cart, UnknownProductError
from .catalog import CUSTOMERS
from .pricing import quote
from .stock import OutOfStockError, Stock
from .worker import ReceiptWriter

Answer = Tuple[Dict[str, Any], int]


def create_app(stock: Stock, receipts: ReceiptWriter) -> flask.Flask:
    """The application; the parts that run by themselves are started and stopped by the caller."""
    # By the module, not by name: the instrumentation replaces flask.Flask when the program starts.
    app = flask.Flask("shop")
    numbers = itertools.count(1)
    orders: Dict[int, Dict[str, Any]] = {}

    @app.get("/ready")
    def ready() -> Answer:
        return {"status": "ready"}, 200

    @app.post("/checkout")
    def checkout() -> Answer:
        wish = flask.request.get_json()
        customer = CUSTOMERS.get(wish.get("customer"))
        if customer is None:
            return {"error": "No such customer."}, 404
        try:
            cart = Cart.of(wish.get("items") or {})
            stock.reserve(cart)
        except UnknownProductError as error:
            return {"error": f"No such product: {error}."}, 404
        except OutOfStockError as error:
            return {"error": f"Out of stock: {error}."}, 409
        price = quote(cart, customer)
        number = next(numbers)
        order = {
            "number": number,
            "customer": customer.name,
            "subtotal": price.subtotal,
            "total": price.total,
        }
        orders[number] = order
        receipts.submit(order)
        return order, 201

    @app.get("/orders/<int:number>")
    def order(number: int) -> Answer:
        if number not in orders:
            return {"error": "No such order."}, 404
        return {**orders[number], "receipt": receipts.receipt(number)}, 200

    @app.get("/stock")
    def stock_left() -> Answer:
        return stock.left(), 200

    return app
