"""``python -m shop``: serves on 127.0.0.1, port ``SHOP_PORT`` (8080), until SIGINT or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from werkzeug.serving import make_server  # type: ignore[import-not-found,unused-ignore]

from .app import create_app
from .stock import Stock
from .worker import ReceiptWriter


def main() -> int:
    port = int(os.environ.get("SHOP_PORT") or 8080)
    stock, receipts = Stock(), ReceiptWriter()
    server = make_server("127.0.0.1", port, create_app(stock, receipts), threaded=True)
    ended = threading.Event()

    def end(*_: Any) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    stock.start()
    receipts.start()
    serving = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    serving.start()
    print(f"The shop is open on http://127.0.0.1:{port}", flush=True)
    # Not one wait for ever: where signals do not interrupt it (Windows), the handler runs between two.
    while not ended.wait(1):
        pass
    server.shutdown()
    serving.join(5)
    receipts.stop()
    stock.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
