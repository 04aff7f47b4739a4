"""The program: `extractor`, or `python -m extractor`."""

import os

# numpy would start a thread on every core for the multiplication of matrices; there are none here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from extractor.cli import main  # what it imports loads numpy

if __name__ == "__main__":
    main()
