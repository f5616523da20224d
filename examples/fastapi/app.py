"""A greeting that takes a while; see README.md."""

import asyncio
import dataclasses

from fastapi import FastAPI

app = FastAPI()


@dataclasses.dataclass
class User:
    name: str
    visits: int = 0


users: dict = {}


async def load(name: str) -> User:
    await asyncio.sleep(0.01)
    return users.setdefault(name, User(name))


@app.get("/hello/{name}")
async def hello(name: str) -> dict:
    user = await load(name)
    user.visits += 1
    greeting = f"Hello, {user.name}"
    return {"greeting": greeting, "visits": user.visits}  # PROBE: greet
