"""A client that stays: for each line on standard input one batch, answered with its seconds."""
import sys
import time

from peer_celery.app import calculate_power_and_rank_batch

TIMEOUT_S = 1800


def main():
    for _ in sys.stdin:
        start = time.perf_counter()
        result = calculate_power_and_rank_batch.apply_async()
        status = result.get(timeout=TIMEOUT_S)["status"]
        print(status, time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
