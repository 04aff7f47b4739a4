"""
What ends the program.

ExtractorError           exit 1, one line on stderr
├── SchemaError          a schema or pack file is wrong: `file#/json/pointer: message`, with what to write instead
├── ConfigurationError   the configuration file is wrong: file:line, key, message, with what to write instead
├── CheckpointError  the state directory cannot be used, or not by this program
├── UnreadableError      a file of configuration cannot be read; its reader adds the place
├── SourceError          a path given on the command line cannot be read
├── OutputError          what was asked for cannot be written
├── ObjectivesError      a file of objectives is wrong: file, key, message, with what to write instead
├── WorkerError          a process of a parallel replay has died
├── PricesError          a file of prices is wrong, or needs what is not installed
├── UnitError            what was given cannot be run as a service of systemd
├── WebConfigError       a web configuration is wrong: file, key, message, with what to write instead
└── ServerError          the address cannot be listened on

Bad input is not here: a line that is no event is a `Reject` value, is counted by its reason, and reading goes on.
"""


class ExtractorError(Exception):
    """Something the program cannot go on without; *hint* says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class SchemaError(ExtractorError):
    """
    A schema or pack file is wrong; *pointer* is the JSON Pointer of the wrong place in *file*.

    `others` are the errors that were found after this one.
    """

    def __init__(self, file: str, pointer: str, message: str, hint: str = "") -> None:
        super().__init__(f"{file}#{pointer}: {message}", hint)
        self.others: tuple[SchemaError, ...] = ()


class CheckpointError(ExtractorError):
    """The state directory cannot be used, or not by this program."""


class UnreadableError(ExtractorError):
    """A file of configuration cannot be read; whoever knows what the file is for says where it is."""


class SourceError(ExtractorError):
    """A path given on the command line cannot be read."""


class OutputError(ExtractorError):
    """What was asked for cannot be written."""


class WorkerError(ExtractorError):
    """A process of a parallel replay has died."""


class ServerError(ExtractorError):
    """The address to serve on cannot be listened on."""


class UnitError(ExtractorError):
    """What was given cannot be run as a service of systemd."""


class InFileError(ExtractorError):
    """A file is wrong at *key*, dotted, empty for the whole; *file* may have the line, too."""

    def __init__(self, file: str, key: str, message: str, hint: str = "") -> None:
        super().__init__(": ".join(part for part in (file, key, message) if part), hint)


class ObjectivesError(InFileError):
    """A file of objectives is wrong."""


class PricesError(InFileError):
    """A file of prices is wrong, or needs what is not installed."""


class ConfigurationError(InFileError):
    """The configuration file is wrong."""


class WebConfigError(InFileError):
    """A web configuration is wrong."""
