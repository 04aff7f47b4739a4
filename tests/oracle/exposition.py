"""What Prometheus reads in, samples and exemplars out."""

import re
from typing import Any

from tests.oracle.count import Count
from tests.oracle.exemplars import Exemplar
from tests.oracle.pack import Metric
from tests.oracle.series import Samples, bound

_LABELS = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)",?', re.DOTALL)
_SAMPLE = re.compile(
    r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)'
    r'(?: # \{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\} (\S+) (\S+))?',
    re.DOTALL,
)
_ESCAPED = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def parse(text: str) -> Samples:
    """The samples of an exposition in either format."""
    found = Samples()
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            match = _SAMPLE.fullmatch(line)
            assert match, f"no sample: {line}"
            name, labels, value, texts, amount, time = match.groups()
            shown = Exemplar(tuple(_labels(texts).items()), float(amount), float(time)) if texts is not None else None
            found.add(name, _labels(labels or ""), float(value), shown)
    return found


def _labels(text: str) -> dict[str, str]:
    return {
        name: re.sub(r"\\.", lambda escape: _ESCAPED[escape[0]], value, flags=re.DOTALL)
        for name, value in _LABELS.findall(text)
    }


def render(counted: Count) -> str:
    """The samples of *counted* in the text format, in the order in which the extractor writes them."""
    lines = []
    for name, metric in counted.pack.metrics.items():
        mine = {each: value for each, value in counted.samples.values.items() if _family(each[0], metric) == name}
        if mine:
            kind = {"stateset": "gauge"}.get(metric.type, metric.type)
            lines += [
                f"# HELP {name} {metric.declared['help']}",
                f"# TYPE {name} {'untyped' if name.endswith('_count') else kind}",
            ]
        order = [label.name for label in metric.labels]
        for sample, labels in sorted(mine, key=lambda each: [dict(each[1])[label] for label in order]):
            pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels)
            lines.append(f"{sample}{{{pairs}}} {bound(mine[sample, labels])}".replace(" nan", " NaN"))
    return "".join(f"{line}\n" for line in lines)


def _family(sample: str, metric: Metric) -> str:
    return re.sub("_(bucket|count|sum)$", "", sample) if metric.type in {"histogram", "summary"} else sample


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def of_json(answer: dict[str, Any]) -> Samples:
    """The samples of `extractor replay --format json`, where null is NaN."""
    found = Samples()
    for sample in answer["samples"]:
        value = sample["value"]
        found.add(sample["name"], sample["labels"], float("nan") if value is None else float(value))
    return found


def differences(expected: Samples, shown: Samples) -> list[str]:
    """What differs, a line for each sample."""
    found = []
    for each in sorted(expected.values.keys() | shown.values.keys()):
        wanted, got = expected.values.get(each), shown.values.get(each)
        if repr(wanted) != repr(got):
            found.append(f"{_written(each)}: expected {wanted}, shown {got}")
    return found


def exemplar_differences(expected: Samples, shown: Samples) -> list[str]:
    """Which exemplars differ."""
    return [
        f"{_written(each)}: expected {wanted}, shown {got}"
        for each in sorted(expected.exemplars.keys() | shown.exemplars.keys())
        if (wanted := expected.exemplars.get(each)) != (got := shown.exemplars.get(each))
    ]


def _written(each: tuple[str, tuple[tuple[str, str], ...]]) -> str:
    name, labels = each
    return name + "{" + ",".join(f"{label}={value!r}" for label, value in labels) + "}"
