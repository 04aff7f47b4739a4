"""The programs of bench/peers do one and the same job, and a wrong count does not pass for a right one."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from bench.gen import lines
from bench.peers.answers import differences, of_exposition, of_extractor, of_rows
from bench.peers.by_hand import count
from bench.peers.programs import programs


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A small log of every kind of event."""
    path = tmp_path_factory.mktemp("bench") / "agents.jsonl"
    path.write_bytes(b"".join(lines(3000, seed=3)))
    return path


@pytest.fixture(scope="module")
def truth(log):
    """What the plain loop counts."""
    return of_exposition(count(log, json.loads).decode())


def test_every_program_counts_the_same(log: Path, truth: dict):
    """Each installed program counts what the plain loop counts."""
    wrong = {}
    for program in programs():
        if program.version:
            command = [*program.command, str(log)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | program.more)
            wrong[program.name] = differences(truth, program.read(done.stdout))

    assert {} == {name: found for name, found in wrong.items() if found}


def test_a_call_more_is_a_difference(truth: dict):
    """One call that was not in the log is found, and said."""
    [first] = [labels for labels in truth if labels[:2] == ("tool_calls", "sql_query") and labels[2] == "ok"]

    found = differences(truth, truth | {first: truth[first] + 1})

    assert [f"{first}: {truth[first] + 1:,.0f} and not {truth[first]:,.0f}"] == found


def test_a_missing_series_is_a_difference(truth: dict):
    """What a program did not count at all is found, too."""
    without = {labels: number for labels, number in truth.items() if labels[0] != "tokens"}

    assert 4 == len(differences(truth, without))


def test_a_wrong_quantile_is_a_difference(truth: dict):
    """A quantile outside the bucket of its rank is found; quantiles excuse a program from buckets."""
    models = sorted({labels[1] for labels in truth if labels[0] == "llm_calls"})
    right = {labels: number for labels, number in truth.items() if labels[0] != "llm_bucket"}
    median = {("llm_quantile", model, "0.5"): 0.000_1 for model in models}

    assert len(models) == len(differences(truth, right | median))


def test_labels_that_the_job_has_not_are_added_up():
    """Of the extractor's series those that differ only in other labels are one."""
    text = "".join(
        f'agent_tool_calls_total{{agent="{agent}",release="1",status="ok",tool="t"}} 2.0\n' for agent in ("a", "b")
    )

    assert {("tool_calls", "t", "ok"): 4.0} == of_extractor(f"# TYPE agent_tool_calls_total counter\n{text}")


def test_buckets_of_their_own_become_cumulative():
    """A program that counts each bucket alone is compared with one that counts up to its bound."""
    counted = of_rows('[["tool_alone", "t", "300", 1], ["tool_alone", "t", "+Inf", 2]]')

    assert {("tool_bucket", "t", "300"): 1, ("tool_bucket", "t", "600"): 1, ("tool_bucket", "t", "inf"): 3} == counted
