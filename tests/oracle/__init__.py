"""
Log files in, every number of the default pack out: a plain, slow count, without any code of the extractor.

It is written from docs/numbers.md and from the schema files alone. Where it and the extractor disagree, one of them or
the page is wrong. Nothing here may import the package, and nothing here needs to be fast.

    lines.py       bytes to lines, and what each line is: blank, a reject, an event
    times.py       what is written as a time, slots, the parts of a time-out
    pack.py        the schema files as data
    order.py       which of two events came first
    labels.py      label values, and the limits on them
    observations.py  what one event adds to which series
    runs.py        from the events of a run id to runs: their ends, labels, totals and anomalies
    loops.py       loops that nobody reported
    sequences.py   missing and repeated numbers
    cost.py        what a call costs
    quantiles.py   ranks, and the layout of HdrHistogram
    series.py      observations to samples and exemplars
    count.py       all of it together
    tables.py      the rows of `extractor replay`
    signals.py     the rows of `extractor report`
    exposition.py  samples to text and back
    logs.py        a generator of hard logs; writing.py how they are written, cuts.py into which files
    program.py     the program, as a user starts it
"""
