"""Frame → values, within limits, redacted."""
