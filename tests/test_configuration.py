"""What is said on the command line, in the environment and in a file: one precedence, and errors that say where."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from extractor.cli.main import main
from extractor.cli.options import PathText
from extractor.cli.settings import commands_of, configurable
from tests.conftest import Log
from tests.reading import tool_call

COMMANDS = commands_of(main)
PARAMETERS = [
    pytest.param(name, key, id=f"{name} {key}") for name, command in COMMANDS.items() for key in configurable(command)
]
Extractor = Callable[..., Result]


@pytest.fixture
def extractor(monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """Words in, what `extractor` said to them out; variables are set for good."""

    def run(*words: object, **variables: str) -> Result:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, [str(word) for word in words])

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Text in, the path of a configuration file with it out."""

    def write(text: str) -> Path:
        path = tmp_path / "extractor.toml"
        path.write_text(text)
        return path

    return write


VALUES = {
    "DURATION": ["60s", "120s", "180s"],
    "URL": ["http://a/", "https://b:1", "http://c.d/e"],
    "TIME": ["1000", "2000", "3000"],
    "NAME=VALUE": ["a=1", "b=2", "c=3"],
}


def values_of(parameter: click.Parameter, folder: Path) -> list[str]:
    """Three values that the parameter may have, as one types them."""
    match parameter.type, parameter.metavar:
        case click.Choice(choices=choices), _:
            return [*choices, *choices][:3]
        case click.Path() | PathText(), _:
            is_file = getattr(parameter.type, "file_okay", True)
            paths = [folder / f"{name}.{'file' if is_file else 'folder'}" for name in "abc"]
            for path in paths:
                path.touch() if is_file else path.mkdir(exist_ok=True)
            return list(map(str, paths))
        case _, metavar:
            return VALUES.get(metavar or "", ["11", "12", "13"])


def as_toml(parameter: click.Parameter, value: str) -> str:
    """*value* as it stands in a file."""
    is_number = isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
    text = value if is_number else json.dumps(value)
    return f"[{text}]" if parameter.multiple or parameter.nargs == -1 else text


@pytest.mark.parametrize(("command", "key"), PARAMETERS)
def test_precedence(command: str, key: str, extractor: Extractor, file: Callable[[str], Path], tmp_path: Path):
    """Whatever can be said to a command: the command line goes before the environment, that before the file."""
    parameter = configurable(COMMANDS[command])[key]
    is_flag = getattr(parameter, "is_flag", False)
    here, there, typed = ["true"] * 3 if is_flag else values_of(parameter, tmp_path)
    said = "true" if is_flag else as_toml(parameter, here)
    path = file(f"[{command}]\n{key} = {said}\n")
    option = parameter.opts[0]
    words = ([option] if is_flag else [option, typed]) if option.startswith("--") else [typed]

    def origin(*more: str, **variables: str) -> tuple[str, Any]:
        result = extractor("config", command, "--config", path, "--format", "json", "--", *more, **variables)
        assert 0 == result.exit_code, result.output
        found = json.loads(result.stdout)[command][key]
        return found["from"], found["value"]

    def shown(value: str) -> Any:
        return tomllib.loads(f"value = {'true' if is_flag else as_toml(parameter, value)}")["value"]

    assert (f"{path}:2", shown(here)) == origin()
    assert (parameter.envvar, shown(there)) == origin(**{str(parameter.envvar): there})
    assert ("command line", shown(typed)) == origin(*words)


def test_a_table_goes_before_the_top(extractor: Extractor, file: Callable[[str], Path]):
    """What stands at the top is for every command that has it, unless the command's own table says otherwise."""
    path = file("run-timeout = 1\n[run]\nrun-timeout = 2\n")
    found = json.loads(extractor("config", "--config", path, "--format", "json").stdout)

    assert {"run": 2.0, "replay": 1.0, "report": 1.0, "check": 1.0} == {
        name: settings["run-timeout"]["value"] for name, settings in found.items() if "run-timeout" in settings
    }


@pytest.mark.parametrize(
    "text",
    [
        'web.listen-address = "a:1"',
        '[web]\nlisten-address = "a:1"',
        '[run]\nweb.listen-address = "a:1"',
        '[run.web]\nlisten-address = "a:1"',
        '[run]\n"web.listen-address" = "a:1"',
        'run = {web = {listen-address = "a:1"}}',
    ],
)
def test_dots(text: str, extractor: Extractor, file: Callable[[str], Path]):
    """However the dots of a key are written, it is the same key, and its line is known."""
    path = file(text)
    found = json.loads(extractor("config", "run", "--config", path, "--format", "json").stdout)

    line = len(text.splitlines())
    assert {"value": "a:1", "from": f"{path}:{line}"} == found["run"]["web.listen-address"]


def test_a_file_is_obeyed(log: Log, extractor: Extractor, file: Callable[[str], Path]):
    """A command does what the file says, its paths, which are relative to the file, included."""
    log.append(tool_call(), tool_call(), b"{")
    path = file('max-line-bytes = 10\n[replay]\npaths = ["logs"]\nstrict = true\nformat = "json"\n')
    result = extractor("replay", EXTRACTOR_CONFIG=str(path))

    assert 3 == result.exit_code
    assert {"too_long": 2, "not_json": 1} == json.loads(result.stdout)["rejects"]


@pytest.mark.parametrize("command", COMMANDS)
def test_toml_is_a_file(command: str, extractor: Extractor, file: Callable[[str], Path], tmp_path: Path):
    """What `extractor config` prints as TOML has the same effect as what it was made of, from any folder."""
    said = [
        f"{key} = {as_toml(parameter, values_of(parameter, tmp_path)[0])}"
        for key, parameter in configurable(COMMANDS[command]).items()
        if not getattr(parameter, "is_flag", False)
    ]
    path = file(f"[{command}]\n" + "\n".join(said))
    printed = extractor("config", command, "--config", path, "--format", "toml").stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "copy.toml").write_text(printed)

    def values(file: Path) -> dict[str, object]:
        settings = json.loads(extractor("config", command, "--config", file, "--format", "json").stdout)[command]
        return {key: setting["value"] for key, setting in settings.items()}

    assert values(path) == values(elsewhere / "copy.toml")
    assert len(said) <= len([value for value in values(path).values() if value not in (None, [])])


WRONG = [
    ("pol-interval = 5", "1: pol-interval: no command has such an option (did you mean 'poll-interval'?)"),
    (
        "[run]\n\npol-interval = 5",
        "3: run.pol-interval: extractor run has no such option (did you mean 'poll-interval'?)",
    ),
    ("[runn]\npoll-interval = 5", "2: runn.poll-interval: there is no command 'runn' (did you mean 'run'?)"),
    ("[rules]\npoll-interval = 5", "2: rules.poll-interval: extractor rules has no such option ("),
    ('poll-interval = "5"', "1: poll-interval: must be a number (write poll-interval = 5.0)"),
    ("poll-interval = nan", "1: poll-interval: must be a number (write poll-interval = 5.0)"),
    ("poll-interval = true", "1: poll-interval: must be a number (write poll-interval = 5.0)"),
    ("poll-interval = 0", "1: poll-interval: 0.0 is not in the range x>=0.05 (write poll-interval = 5.0)"),
    ("max-open-runs = 1.5", "1: max-open-runs: must be an integer (write max-open-runs = 100000)"),
    ("[replay]\njobs = -1", "2: replay.jobs: -1 is not in the range x>=1 (write jobs = 1)"),
    ('[replay]\nstrict = "yes"', "2: replay.strict: must be true or false (write strict = true)"),
    ("window = 45", '1: window: must be a string in quotes (write window = "30m")'),
    (
        'window = "soon"',
        "1: window: 'soon' is not a duration up to 100 years; write 45s, 30m, 12h or 1d (write window = \"30m\")",
    ),
    ('[run]\nlogs = "logs"', '2: run.logs: must be a list (write logs = ["LOG_DIR"])'),
    ("[run]\nlogs = [5]", '2: run.logs: must be a string in quotes (write logs = ["LOG_DIR"])'),
    ('state-dir = ["a"]', '1: state-dir: must be a single value, not a list (write state-dir = "DIR")'),
    ('state-dir = ""', '1: state-dir: must be a string in quotes (write state-dir = "DIR")'),
    ('[run]\nlog.level = "loud"', "2: run.log.level: 'loud' is not one of 'debug', 'info', 'warning', 'error' ("),
    ('config = "other.toml"', "1: config: no command has such an option ("),
    ('[run]\nschemas = ["nowhere"]', "2: run.schemas: Directory '"),
    ("poll-interval = 5\npoll-interval = 6", "2: is not TOML: "),
    ("poll-interval: 5", "1: is not TOML: "),
    ("poll-interval = " + "9" * 5000, " is not TOML: Exceeds the limit (4300 digits)"),
    ("a." * 5000 + "a = 1", " is not TOML: it is nested more than 100 levels deep ("),
    ('state-dir = "a\\u0000b"', '1: state-dir: must be a string in quotes (write state-dir = "DIR")'),
    ("a = " + "[" * 5000, " is not TOML: it is nested more than 100 levels deep ("),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong(text: str, said: str, extractor: Extractor, file: Callable[[str], Path]):
    """An error names the file, the line, the key, what is wrong and what to write; it ends every command alike."""
    path = file(text)
    checked = extractor("config", "--check", "--config", path)
    ran = extractor("run", "--config", path)

    assert checked.stderr.startswith(f"extractor: {path}:{said}")
    assert re.search(r" \(.+\)\n$", checked.stderr)
    assert (1, 1) == (checked.exit_code, ran.exit_code)
    assert checked.stderr == ran.stderr


def test_all_that_is_wrong(extractor: Extractor, file: Callable[[str], Path]):
    """The check names everything that is wrong, not only the first; variables that no option has, too."""
    path = file("[run]\npol-interval = 5\nlogs = 3\n[report]\nwindow = 4\n")
    result = extractor("config", "--check", "--config", path, EXTRACTOR_POL_INTERVAL="5")

    assert 1 == result.exit_code
    assert ["2", "3", "5"] == re.findall(rf"(?m)^extractor: {re.escape(str(path))}:(\d+): ", result.stderr)
    assert (
        "EXTRACTOR_POL_INTERVAL: no option reads this variable (did you mean EXTRACTOR_POLL_INTERVAL?)" in result.stderr
    )


def test_nothing_is_wrong(extractor: Extractor, file: Callable[[str], Path]):
    """A file that is right is called so; a state directory that is made later is not missed."""
    path = file('state-dir = "later"\n[run]\nlogs = ["later"]\n')
    result = extractor("config", "--check", "--config", path)

    assert (0, f"{path} is valid\n") == (result.exit_code, result.output)
    assert 0 == extractor("config", "--config", path).exit_code


def test_a_wrong_variable_is_wrong_usage(extractor: Extractor):
    """A value in the environment that an option cannot have is named with its option, and is wrong usage."""
    result = extractor("config", "--check", EXTRACTOR_POLL_INTERVAL="often")

    assert 2 == result.exit_code
    assert "--poll-interval" in result.stderr
    assert "EXTRACTOR_POLL_INTERVAL" in result.stderr


@pytest.mark.parametrize("text", [b"\xff", None])
def test_a_file_that_cannot_be_read(text: bytes | None, tmp_path: Path, extractor: Extractor):
    """It is named, and nothing is begun without it."""
    path = tmp_path / "extractor.toml"
    if text is not None:
        path.write_bytes(text)
    result = extractor("run", "--config", path)

    assert 1 == result.exit_code
    assert re.fullmatch(rf"extractor: {re.escape(str(path))}: .+\n", result.stderr)


@pytest.mark.parametrize("form", ["table", "json", "toml"])
def test_no_control_characters_are_printed(form: str, extractor: Extractor, file: Callable[[str], Path]):
    """Whatever a file holds, and in whatever form it is shown, it does not drive the terminal; TOML stays TOML."""
    path = file('[rules]\njob = "a\\u001b]0;x\\u0007\\u202e\\nb"\n')
    result = extractor("config", "rules", "--config", path, "--format", form)

    assert [] == [char for char in result.output if not char.isprintable() and char != "\n"]
    if form == "toml":
        assert "a\x1b]0;x\x07\u202e\nb" == tomllib.loads(result.stdout)["rules"]["job"]
