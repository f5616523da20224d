#!/bin/sh
# Copies the demo's shop here and runs it under the agent. Ctrl-C ends it.
set -eu
cd "$(dirname "$0")"
source=$(python3 -c 'import otel_tracepoints.demo as demo; print(demo.__path__[0])')/shop
rm -rf shop
cp -R "$source" shop
OTEL_SERVICE_NAME=${OTEL_SERVICE_NAME:-shop} exec opentelemetry-instrument python3 -m shop
