"""Counts primes until Ctrl-C; see README.md."""

import time

import otel_tracepoints


def is_prime(candidate: int) -> bool:
    return all(candidate % divisor for divisor in range(2, int(candidate**0.5) + 1))


def main() -> None:
    otel_tracepoints.start()
    candidate, count = 2, 0
    try:
        while True:
            if is_prime(candidate):
                count += 1
                time.sleep(0.01)  # PROBE: found
            candidate += 1
    except KeyboardInterrupt:
        print(f"{count} primes below {candidate}")
    finally:
        otel_tracepoints.stop()


if __name__ == "__main__":
    main()
