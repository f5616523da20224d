# The compiled module, `cpp/`. Not every installation has it: `engine.build` says why.
from typing import Callable

from otel_tracepoints.model import RateLimit

class TokenBucket:
    def __init__(self, limit: RateLimit, clock: Callable[[], float] = ...) -> None: ...
    @property
    def dry_until(self) -> float: ...
    def take(self) -> bool: ...
