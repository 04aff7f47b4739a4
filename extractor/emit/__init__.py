"""
What an agent does in, one JSON object per line of a log file out: `from extractor import emit`.

Inside an agent it must cost nothing and break nothing: this package needs only the standard library.
"""

from extractor.emit.calls import Call, LlmCall, Run
from extractor.emit.log import Handler, Log, subscriber
from extractor.emit.usage import tokens

__all__ = ["Call", "Handler", "LlmCall", "Log", "Run", "subscriber", "tokens"]
