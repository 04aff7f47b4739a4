"""A small agent that works on real files with real tools, and writes down what it does with `extractor.emit`."""
