"""What bench/live says of a log is right, and its writer rotates without losing a line."""

import io
from math import inf

from bench.gen import lines
from bench.live import calls, latencies
from bench.page import replace
from bench.scraper import Scrape, quantile
from bench.writer import KEPT, rotate, write


def scrape(shown, end):
    """A scrape of a second that ended at *end* and shows so many lines."""
    return Scrape(shown, end, 1.0, 0, 0)


def test_a_line_is_visible_with_the_first_scrape_that_shows_it():
    """The latency of a write is the end of the first scrape with its last line, less the moment of the write."""
    scrapes = [scrape(10, 101.0), scrape(20, 102.0), scrape(40, 103.0)]

    assert [1.5, 2.0] == latencies("100.5 20\n101.0 30\n", scrapes)


def test_writes_before_the_first_scrape_are_left_out():
    """What was written while nobody scraped has no latency."""
    assert [] == latencies("99.9 10\n", [scrape(10, 101.0)])


def test_a_line_that_no_scrape_shows_is_not_forgotten():
    """What was never shown counts as infinitely late, and so moves the quantiles."""
    assert inf == quantile(latencies("100.5 10\n100.6 20\n", [scrape(10, 101.0)]), 0.99)


def test_the_writer_writes_every_line_and_says_so(tmp_path, capsys):
    """The log holds the lines of the source in their order; the last moment printed is of the last line."""
    source = b"".join(lines(600, seed=5))

    write(io.BytesIO(source), tmp_path / "a.jsonl", rate=100_000, seconds=0.005)

    assert source.splitlines()[:500] == (tmp_path / "a.jsonl").read_bytes().splitlines()
    assert "500" == capsys.readouterr().out.split()[-1]


def test_rotation_renames_the_older_ones_first(tmp_path):
    """Each rotation moves every file one number up, and the oldest is let go."""
    log = tmp_path / "a.jsonl"
    for n in range(KEPT + 2):
        log.write_text(f"{n}")
        rotate(log)

    assert {f"a.jsonl.{n}": f"{KEPT + 2 - n}" for n in range(1, KEPT + 1)} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }


def test_calls_go_on_where_they_stopped():
    """Two cuts of the calls are the calls in one piece."""
    assert [*calls(0, 5)] == [*calls(0, 2), *calls(2, 3)]


def test_only_what_stands_between_the_marks_is_replaced(tmp_path):
    """A table is put between the marks of its name; all other text stays as it is."""
    page = tmp_path / "page.md"
    begin, end = "<!-- peers: written by `make bench-peers` -->\n", "<!-- end of peers -->\n"
    page.write_text(f"before\n{begin}old\n{end}after\n")

    replace("peers", "new", page)

    assert f"before\n{begin}\nnew\n\n{end}after\n" == page.read_text()
