"""The application under load: ``python service.py``, told by lines on its standard input what to do.

``traffic RATE SECONDS`` calls `order` that often; ``many FILE`` imports a program of many lines;
``stalls`` tells the longest time since the last such question in which no thread of it ran;
``end`` ends it.
"""

import importlib.util
import sys
import threading
import time

THREADS = 4


class Customer:
    def __init__(self, name, tier):
        self.name = name
        self.tier = tier
        self.cards = [{"number": n, "token": "x" * 40} for n in range(3)]


CUSTOMER = Customer("ann", "gold")


def order(number):
    customer = CUSTOMER
    lines = [{"sku": n, "qty": number % 7} for n in range(5)]
    total = len(lines) * number  # TAG: snapshot
    return total + len(customer.name)  # TAG: log


def cold(number):
    return number  # TAG: cold


class Stalls(threading.Thread):
    """Looks at the clock two hundred times a second: what lies between two looks was not its own."""

    def __init__(self):
        super().__init__(daemon=True)
        self.longest = 0.0

    def run(self):
        last = time.perf_counter()
        while True:
            time.sleep(0.005)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last)
            last = now


def traffic(rate, seconds):
    """Calls from several threads, paced; answers how many there were, and how many answers were wrong."""
    calls, wrong = [], []

    def run(number):
        begin = time.monotonic()
        due = begin + number / rate
        while due < begin + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            due += THREADS / rate
            calls.append(None)
            if order(len(calls)) < 0:
                wrong.append(None)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(calls), len(wrong)


def many(path):
    """Import a program by its path."""
    spec = importlib.util.spec_from_file_location("many", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["many"] = module
    spec.loader.exec_module(module)
    return module


def main():
    stalls = Stalls()
    stalls.start()
    print("the service is up", flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "traffic":
            print("calls", *traffic(float(rest[0]), float(rest[1])), flush=True)
        elif word == "many":
            print("many", len(vars(many(rest[0]))), flush=True)
        elif word == "stalls":
            print("longest", stalls.longest, flush=True)
            stalls.longest = 0.0
        elif word == "end":
            break


if __name__ == "__main__":
    main()
