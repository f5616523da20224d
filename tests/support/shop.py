"""A module with code of every kind, for the resolver's tests."""

from __future__ import annotations

import importlib
from types import ModuleType

SHOP = '''\
"""A module."""

import functools

def keep(f):  # TAG: keep
    @functools.wraps(f)
    def wrapper(*a):
        return f(*a)  # TAG: wrapper
    return wrapper

LIMIT = 10  # TAG: module

class Cart:
    size = 3  # TAG: class

    def add(self):
        return 1  # TAG: method

    @staticmethod
    def static():
        return 1  # TAG: static

    @property
    def total(self):
        return 1  # TAG: property

    def __hidden(self):
        return 1  # TAG: hidden

    class Item:
        def price(self):
            return 1  # TAG: item

@keep  # TAG: decorator
def decorated():  # TAG: def
    return 1  # TAG: decorated

def outer():
    def inner():
        return 1  # TAG: inner
    return inner

squares = lambda n: [
    i * i  # TAG: comprehension
    for i in n
]

async def coroutine():
    # TAG: comment
    return 1  # TAG: coroutine
'''


def tag(text: str, name: str) -> int:
    """The number of the tagged line."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.rstrip().endswith("# TAG: " + name):
            return number
    raise AssertionError(name)


def load(name: str) -> ModuleType:
    """Import a module."""
    return importlib.import_module(name)
