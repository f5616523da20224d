"""``otel-tracepoints demo``: a web shop with a bug, found while it runs."""
