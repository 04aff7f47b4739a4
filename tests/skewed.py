"""
`python -m tests.skewed FILE COMMAND…`: the program on a host whose clock is wrong by the seconds that FILE holds.

They are read each time that the time is asked for, so that a test can set the clock while the program runs.
"""

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    offset, true_time = Path(sys.argv[1]), time.time

    def skewed_time() -> float:
        """The time that the wrong clock shows."""
        return true_time() + float(offset.read_text() or 0)

    time.time = skewed_time
    sys.argv = ["extractor", *sys.argv[2:]]
    from extractor.__main__ import main

    main()
