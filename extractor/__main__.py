"""The program: `extractor`, or `python -m extractor`."""

import os
import signal

# Until the program can answer it, Ctrl-C just ends it; a traceback would say nothing.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# numpy would start a thread on every core for the multiplication of matrices; there are none here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from extractor.cli.streams import open_standard_streams

# isort: split
from extractor.cli.main import main as commands  # what it imports loads numpy


def main() -> None:
    """Run the command that was asked for."""
    open_standard_streams()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    commands()


if __name__ == "__main__":
    main()
