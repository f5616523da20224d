"""Live tracepoints and logpoints for running Python services, out as OpenTelemetry."""
