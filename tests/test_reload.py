"""SIGHUP: what the files say now is in force from the next line on, or everything stays as it was."""

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from extractor.service.reload import taken_over
from extractor.state.state import State
from tests.conftest import Log
from tests.killing import Scraper, Victim
from tests.reading import default_catalog, event_schema, line, read, text, tool_call
from tests.servers import eventually, get

SUCCESSFUL = "extractor_config_last_reload_successful"
RELOADED_AT = "extractor_config_last_reload_success_timestamp_seconds"
INVALID = 'extractor_rejected_lines_total{reason="invalid"}'
CALLS = 'agent_tool_calls_total{agent="unknown",release="unknown",status="ok",tool="search"}'
TOTAL = {"type": "counter", "help": "Pings."}
BEFORE = {"pings_total": TOTAL, "ping_by_total": TOTAL | {"labels": ["a"]}, "ping_gone_total": TOTAL}
AFTER = {"pings_total": TOTAL, "ping_by_total": TOTAL | {"labels": ["b"]}, "ping_new_total": TOTAL}
BULK = 60_000
"""Lines that take longer to read than a signal takes to arrive."""


def declare(folder: Path, metrics: dict[str, object], *, words: list[str]) -> None:
    """Write a pack whose pings have these *metrics*, and may say these *words*."""
    properties = {"word": {"enum": words}, "a": {"enum": ["a"]}, "b": {"enum": ["b"]}}
    schema = event_schema("ping", properties, metrics, {"word": words[0], "a": "a", "b": "b"})
    folder.mkdir(exist_ok=True)
    pack = {"name": "pings", "event": "/event", "time": "/ts", "run": "/run_id", "files": ["*.jsonl"]}
    (folder / "pack.json").write_text(json.dumps(pack))
    (folder / "ping.schema.json").write_text(json.dumps(schema))


def ping(word: str) -> bytes:
    """A ping that says a word."""
    return line("ping", word=word, a="a", b="b")


class Pinger(threading.Thread):
    """Writes two lines and two lines into *log*, the second of which only the later schema allows, until `finish`."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.pairs = 0
        self._log = log
        self._done = threading.Event()

    def finish(self) -> None:
        """Stop writing."""
        self._done.set()
        self.join()

    def run(self) -> None:
        """Write, also half a line at a time."""
        data = ping("old") + b"\n" + ping("new") + b"\n"
        while not self._done.wait(0.0005):
            cut = self.pairs % len(data)
            self._log.tear(data[:cut])
            self._log.tear(data[cut:])
            self.pairs += 1


@pytest.fixture
def victim(log: Log, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[Victim]:
    """One that follows *log* as its configuration file says; nothing of it is left after the test."""
    declare(tmp_path / "pack", BEFORE, words=["old"])
    (tmp_path / "extractor.toml").write_text('schemas = ["pack"]\n')
    [port] = free_ports(1)
    options = ("--config", str(tmp_path / "extractor.toml"), "--checkpoint-interval", "600")
    one = Victim(log.path.parent, tmp_path / "state", port, tmp_path / "said", options)
    yield one
    one.close()


class Stateless(Victim):
    """One that keeps nothing."""

    def command(self) -> list[str]:
        """What is run."""
        words = super().command()
        place = words.index("--state-dir")
        return words[:place] + words[place + 2 :]


def reload(victim: Victim, *, successful: bool = True) -> str:
    """Send the signal and wait for what comes of it; what was said of it."""
    said = len(victim.said.read_text())
    assert victim.process is not None
    victim.process.send_signal(signal.SIGHUP)
    eventually(lambda: bool(re.search(r"reload(ed| failed)", victim.said.read_text()[said:])), True)
    assert float(successful) == victim.value(SUCCESSFUL)
    return victim.said.read_text()[said:]


def split_is_exact(victim: Victim, pairs: int) -> None:
    """Whatever was read before the reload was counted by the old schema alone, all that came after by the new one."""
    eventually(lambda: victim.value("extractor_read_lines_total"), 2.0 * pairs)
    refused = victim.value(INVALID)
    assert refused is not None
    assert 2.0 * pairs - refused == victim.value("pings_total")
    # The lines alternate, so that those before the reload are as many as were refused twice, or one more.
    new = victim.value("ping_new_total")
    assert new in {2.0 * (pairs - refused), 2.0 * (pairs - refused) - 1}
    assert new == victim.value('ping_by_total{b="b"}')
    assert 0 < refused < pairs
    assert not re.search(r"^ping_(gone_total|by_total\{a=)", victim.metrics(), re.MULTILINE)


@pytest.mark.parametrize("kind", [Victim, Stateless])
def test_a_changed_schema_while_a_writer_writes(kind: type[Victim], log: Log, victim: Victim, tmp_path: Path):
    """Lines before it are counted as they were declared then, lines after it as now; none is lost or counted twice."""
    victim = kind(victim.logs, victim.state_dir, victim.port, victim.said, victim.options)
    scraper, pinger = Scraper(victim.url), Pinger(log)
    try:
        victim.start()
        victim.ready()
        pinger.start()
        scraper.start()
        eventually(lambda: (victim.value(INVALID) or 0) > 100, True)
        before = victim.value(RELOADED_AT) or 0
        declare(tmp_path / "pack", AFTER, words=["old", "new"])
        said = reload(victim)
        assert (victim.value(RELOADED_AT) or 0) > before > 0
        assert {"ping_by_total", "ping_gone_total", "ping_new_total"} == set(re.findall(r"\bping_\w+_total", said))
        eventually(lambda: (victim.value("ping_new_total") or 0) > 100, True)
    finally:
        scraper.finish()
        pinger.finish()
    split_is_exact(victim, pinger.pairs)
    victim.stop()
    if kind is Victim:
        victim.start()
        victim.ready()
        split_is_exact(victim, pinger.pairs)
        victim.stop()

    assert [] == [wrong for wrong in scraper.wrong if not wrong.startswith(("ping_gone_total", "ping_by_total{a="))]
    assert {"200"} == scraper.scrapes.keys()


def test_killed_right_after_it(log: Log, victim: Victim, tmp_path: Path):
    """What a scrape has shown of a reload is never taken back: it was saved before."""
    pinger = Pinger(log)
    try:
        victim.start()
        victim.ready()
        pinger.start()
        eventually(lambda: (victim.value(INVALID) or 0) > 100, True)
        declare(tmp_path / "pack", AFTER, words=["old", "new"])
        assert victim.process is not None
        victim.process.send_signal(signal.SIGHUP)
        eventually(lambda: victim.value("ping_new_total") is not None, True)
        victim.kill()
        refused = len((victim.state_dir / "rejects.jsonl").read_text().splitlines())
        victim.start()
        victim.ready()
    finally:
        pinger.finish()
    split_is_exact(victim, pinger.pairs)

    assert refused == victim.value(INVALID)


def test_a_broken_schema_and_a_mended_one(log: Log, victim: Victim, tmp_path: Path):
    """What is wrong is said, with its place; everything goes on as before, until it is mended."""
    log.append(ping("old"), ping("new"))
    victim.start()
    victim.ready()
    before = victim.value(RELOADED_AT)
    declare(tmp_path / "pack", {"pings_totl": TOTAL}, words=["old", "new"])
    said = reload(victim, successful=False)

    assert re.search(r"ERROR +reload failed, .*ping\.schema\.json#/x-metrics/pings_totl: .+ \(.+\)\n", said)
    log.append(ping("old"), ping("new"))
    eventually(lambda: (victim.value("pings_total"), victim.value(INVALID)), (2.0, 2.0))
    assert before == victim.value(RELOADED_AT)

    declare(tmp_path / "pack", AFTER, words=["old", "new"])
    reload(victim)
    log.append(ping("old"), ping("new"))
    eventually(lambda: (victim.value("pings_total"), victim.value(INVALID)), (4.0, 2.0))
    victim.stop()


def test_nothing_has_changed(log: Log, victim: Victim, tmp_path: Path):
    """Then nothing that is served changes, to the byte: windows, quantiles, histograms, exemplars and open runs."""
    victim.options = ()
    agents = (line("run.start", at, run_id=f"r{at}", agent=f"a{at % 3}") for at in range(50))
    log.append(*agents, *(tool_call(at, duration_ms=at, run_id=f"r{at % 50}") for at in range(899)), b"{")
    log.append(tool_call(900, writer="w", seq=1))

    def served() -> str:
        return victim.metrics().partition("# HELP extractor_")[0]

    victim.start()
    victim.ready()
    before = served()
    said = reload(victim)

    assert before == served()
    assert 1 == len(said.splitlines())

    log.append(tool_call(901, writer="w", seq=4), tool_call(950))
    eventually(lambda: victim.value("extractor_events_total"), 952.0)
    eventually(lambda: victim.value("extractor_sequence_gaps_total"), 2.0)
    victim.kill()
    victim.start()
    victim.ready()
    assert 952.0 == victim.value("extractor_events_total")


def test_time_does_not_go_back():
    """For runs, time has gone on while nobody wrote; a reload does not forget that: what was abandoned stays so."""
    before = read([line("run.start")])
    before.idle = 7200.0
    after = State(default_catalog())

    assert [] == taken_over(before, threading.Lock(), after)
    assert (0, 0) == (before.open_runs(), after.open_runs())
    assert text(before) == text(after)


def test_while_catching_up(log: Log, victim: Victim, tmp_path: Path):
    """A reload need not wait until all is read, and being ready still means that all is."""
    log.append(*[tool_call()] * BULK)
    victim.options = ("--schemas", str(tmp_path / "more"))
    (tmp_path / "more").mkdir()
    schema = event_schema("ping", {}, {"pings_total": TOTAL}, {})
    (tmp_path / "more" / "ping.schema.json").write_text(json.dumps(schema))
    victim.start()
    eventually(lambda: "following" in victim.said.read_text(), True)
    assert victim.process is not None
    for _ in range(3):
        victim.process.send_signal(signal.SIGHUP)
    victim.ready()

    assert float(BULK) == victim.value(CALLS)
    eventually(lambda: "INFO    reloaded" in victim.said.read_text(), True)


def test_options_of_the_file(log: Log, victim: Victim, tmp_path: Path):
    """What can be put into force is; what needs a restart is named, and what the command line says stays."""
    prices = tmp_path / "prices.toml"
    prices.write_text('[models."m"]\ninput = 1000000\noutput = 0\n')
    path = tmp_path / "extractor.toml"
    victim.options = ("--config", str(path), "--poll-interval", "600")
    path.write_text("run-timeout = 60\n")
    victim.start()
    victim.ready()
    path.write_text(
        'prices = "prices.toml"\nmax-line-bytes = 500\nweb.listen-address = "x:1"\n[run]\npoll-interval = 7\n'
    )
    said = reload(victim)

    assert ["max-line-bytes"] == re.findall(r"WARNING (\S+) has changed; restart to apply it\n", said)
    log.append(line("llm.call", model="m", status="ok", duration_ms=1, input_tokens=3, note="x" * 600))
    eventually(lambda: victim.value('agent_cost_usd_total{agent="unknown",model="m",release="unknown"}'), 3.0)

    for wrong in ("run-timeout = 0\n", 'prices = "gone.toml"\n', 'schemas = ["gone"]\n', "nothing\n"):
        path.write_text(wrong)
        assert f"reload failed, the previous configuration stays in force: {path}:1" in reload(victim, successful=False)
    path.write_text('log.level = "error"\n')
    assert victim.process is not None
    victim.process.send_signal(signal.SIGHUP)
    eventually(lambda: victim.value(SUCCESSFUL), 1.0)
    victim.stop()


def test_objectives(log: Log, victim: Victim, tmp_path: Path):
    """The page judges by the objectives as they were last right; wrong ones leave everything as it was."""
    objectives = tmp_path / "objectives.toml"
    objectives.write_text('tool_error_rate = "90%"\n')
    (tmp_path / "extractor.toml").write_text('run.objectives = "objectives.toml"\n')
    log.append(*(tool_call(at, status=status, run_id=str(at)) for at, status in enumerate(["ok", "error"] * 20)))
    victim.start()
    victim.ready()
    eventually(lambda: "at most 90%" in get(f"{victim.url}/"), True)

    objectives.write_text('tool_error_rate = "10%"\n')
    reload(victim)
    eventually(lambda: "at most 10%" in get(f"{victim.url}/"), True)

    objectives.write_text('tool_error_rat = "20%"\n')
    assert "objectives.toml" in reload(victim, successful=False)
    assert "at most 10%" in get(f"{victim.url}/")


def test_who_may_look(victim: Victim, tmp_path: Path):
    """A reload with a wrong web configuration says so every time, until that is right."""
    web = tmp_path / "web.yml"
    web.write_text("http_server_config: {http2: false}\n")
    with (tmp_path / "extractor.toml").open("a") as file:
        file.write('run.web.config.file = "web.yml"\n')
    victim.start()
    victim.ready()

    web.write_text("http_server_config: {http3: false}\n")
    for _ in range(2):
        assert "http3" in reload(victim, successful=False)

    web.write_text("http_server_config: {http2: true}\n")
    assert "not" not in reload(victim)


def test_a_pack_that_appears_and_goes(log: Log, victim: Victim, tmp_path: Path):
    """A pack may come and go as its metrics may; what the other packs have counted goes on."""
    victim.options = ("--config", str(tmp_path / "extractor.toml"))
    (tmp_path / "extractor.toml").write_text("")
    log.append(tool_call())
    victim.start()
    victim.ready()
    (tmp_path / "extractor.toml").write_text('schemas = ["pack"]\n')
    said = reload(victim)
    log.append(ping("old"))
    eventually(lambda: (victim.value("pings_total"), victim.value(CALLS)), (1.0, 1.0))
    assert "pings_total is new: it starts at 0" in said

    (tmp_path / "extractor.toml").write_text("")
    said = reload(victim)
    log.append(tool_call())
    eventually(lambda: (victim.value("pings_total"), victim.value(CALLS)), (None, 2.0))
    assert "pings_total is no longer declared: its series are dropped" in said
    victim.stop()

    (tmp_path / "extractor.toml").write_text('schemas = ["pack"]\n')
    victim.start()
    victim.ready()
    assert (0.0, 2.0) == (victim.value("pings_total"), victim.value(CALLS))
    victim.stop()
