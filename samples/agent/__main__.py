"""The command line of the sample agent."""

import argparse
import multiprocessing
import signal
import sys
from pathlib import Path
from types import FrameType

from samples.agent.pace import Pace
from samples.agent.worker import Worker

SIGNALS = {signal.SIGINT, signal.SIGTERM}


def main() -> int:
    """Start the workers, wait for them, and pass on the wish to stop."""
    options = parse()
    options.logs.mkdir(parents=True, exist_ok=True)
    runs = None if options.forever else options.runs
    # A worker that is told to stop before it listens would leave a traceback: signals wait until everybody listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    workers = [
        multiprocessing.Process(target=work, args=(options.logs, number, options.seed, options.pace, runs))
        for number in range(1, options.workers + 1)
    ]
    for worker in workers:
        worker.start()

    def stop(_number: int, _frame: FrameType | None) -> None:
        for worker in workers:
            worker.terminate()

    for number in SIGNALS:
        signal.signal(number, stop)
    print(f"{len(workers)} workers write to {options.logs}")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for worker in workers:
        worker.join()
    return 0 if all(worker.exitcode == 0 for worker in workers) else 1


def work(logs: Path, number: int, seed: int, pace: float, runs: int | None) -> None:
    """What one worker process does."""
    waits = Pace(pace)
    waits.listen()
    Worker(logs / f"worker-{number}.jsonl", number, seed, waits).work(runs)


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m samples.agent", description="Run the sample agent.")
    parser.add_argument("--logs", type=Path, required=True, help="the directory to write to")
    parser.add_argument("--workers", type=int, default=3, help="processes, each with a file of its own (%(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="tasks for each worker (%(default)s)")
    parser.add_argument("--forever", action="store_true", help="go on until SIGINT or SIGTERM")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same tasks (%(default)s)")
    parser.add_argument("--pace", type=float, default=0.2, help="scales all waiting; 0 is none (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
