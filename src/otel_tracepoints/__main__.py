"""``python -m otel_tracepoints``: the command line."""

from __future__ import annotations

import sys

from otel_tracepoints.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
