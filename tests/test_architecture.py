"""The rooms of the package: who may import whom, and which one room knows each third-party package."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path("extractor")

# Room: the rooms of ours that it may import. From what knows nothing to what knows everything.
ROOMS = {
    "__init__": "",
    "errors": "",
    "escapes": "",
    "pointers": "",
    "sums": "number_range",
    "lines": "",
    "hdr": "",
    "stats": "label_values",
    "sequences": "",
    "waker": "folders",
    "reporting": "pointers",
    "catalog": "lookback pointers reporting",
    "exemplars": "exemplar_labels label_values",
    "lookback": "pointers",
    "endings": "label_values orders",
    "run": "endings",
    "runs": "endings run",
    "anomalies": "run",
    # schemas: a pack of schema files in, a proved Catalog out
    "places": "errors pointers",
    "documents": "errors places text_files",
    "packfiles": "documents places",
    "properties": "catalog places pointers",
    "envelope": "packfiles places properties",
    "naming": "catalog places",
    "exemplar_labels": "catalog naming places pointers properties",
    "declarations": "catalog conditions earlier exemplar_labels naming places pointers properties",
    "agreement": "catalog declarations naming places properties reporting",
    "earlier": "lookback places properties",
    "pricing": "catalog places pointers properties",
    "totals": "catalog declarations places pointers properties",
    "signals": "agreement catalog objective places properties reporting",
    "schemas": "agreement catalog declarations documents envelope errors packfiles places pointers pricing properties "
    "reporting signals totals",
    # models and tokens to dollars
    "tariffs": "",
    "price_files": "documents errors tariffs text_files",
    "price_table": "tariffs",
    "prices": "price_files price_table tariffs",
    # bytes to lines
    "rotation": "",
    "fingerprints": "",
    "packed": "holes",
    "happenings": "",
    "positions": "",
    "sources": "cursor fingerprints lines open_file packed positions rotation standing",
    "folders": "positions rotation",
    "order": "positions sources",
    "handles": "sources",
    "last_lines": "positions sources",
    "gone": "fingerprints positions rotation",
    "copies": "comparison fingerprints gone holes kin links packed positions rotation sources standing",
    "losses": "happenings positions sources",
    "known": "contents gone happenings positions registry rotation sources",
    "tail": "contents folders gone happenings known last_lines lines order positions registry rotation sources",
    # lines to events to updates to state
    "events": "catalog number_range pointers",
    "conditions": "catalog label_values",
    "updates": "exemplars orders sums",
    "columns": "orders",
    "derive": "catalog columns conditions patterns pointers",
    "choices": "columns exemplars sums",
    "folding": "catalog choices columns derive exemplars hdr sums updates",
    "patterns": "catalog lookback pointers",
    "intervals": "label_values orders sums",
    "elapsed": "columns conditions derive intervals patterns pointers repeated",
    "structs": "catalog patterns pointers",
    "sighted": "columns derive endings ledger runs sums",
    "repeated": "columns conditions derive patterns pointers repeats",
    "ledger": "sums",
    "accounts": "anomalies catalog endings exemplar_labels exemplars intervals ledger patterns repeats run runs sums "
    "updates",
    "fastpath": "catalog columns conditions derive events number_range patterns pointers structs",
    "series": "exemplars hdr orders sums",
    "families": "catalog label_values series",
    "digests": "catalog lookback patterns",
    "state": "bookkeeping catalog digests endings families run_counts runs sequences series updates",
    "charges": "columns derive prices sums",
    "gathering": "catalog charges choices elapsed folding intervals ledger prices repeated repeats runs sighted state "
    "sums updates",
    "pipeline": "catalog counting derive events internal_errors isolation lines prices state stats updates",
    "repeats": "label_values ledger orders sums",
    "run_counts": "catalog conditions patterns",
    "bookkeeping": "accounts anomalies catalog digests intervals ledger patterns pointers repeats run_counts runs",
    "intake": "catalog events happenings internal_errors journal lines orders pipeline positions sources tail",
    # what survives
    "checkpoint": "errors files state_folder",
    "rejects": "checkpoint errors files former_rejects pipeline reject_entries",
    "requeue": "catalog checkpoint errors events files lines pipeline prices reject_entries rejects rotation state "
    "stats",
    "own_log": "escapes",
    "keeper": "checkpoint errors files own_log pipeline positions rejects state stats tail",
    # state to what people and Prometheus see
    "samples": "catalog exemplars families hdr series state sums",
    "exposition": "catalog exemplars families samples state",
    "own_metrics": "anomalies state stats",
    "sharing": "",
    "turns": "",
    "scrape": "exemplars exposition families hdr internal_errors own_metrics samples series sharing state turns",
    "report": "catalog hdr reporting series signals state sums",
    "web_config": "errors text_files",
    "tls": "errors text_files web_config",
    "passwords": "",
    "access": "errors passwords tls web_config",
    "http_protocol": "",
    "connections": "access http_protocol",
    "server": "access connections errors hosts sharing",
    # what the service manager gives and is told
    "activation": "errors",
    "notify": "",
    "pace": "stats",
    "quoting": "errors",
    "unit": "errors quoting",
    "systemd_command": "options run_command settings unit",
    # what ought to be, and the rules that tell when it is not
    "objectives": "documents errors objective text_files",
    "recordings": "promql",
    "promql": "objective objectives",
    "alerts": "objective objectives promql recordings samples",
    "health": "alerts objectives promql recordings",
    "rules": "alerts health objectives recordings",
    "rules_command": "alerts escapes objectives options rules schemas settings",
    # the page at /
    "vitals": "report state stats",
    "tallies": "catalog hdr reporting series state sums",
    "past": "hdr tallies",
    "trends": "catalog families hdr past reporting state sums tallies updates",
    "curves": "hdr",
    "plots": "curves",
    "status": "catalog curves families hdr judgement objectives past reporting signals state stats tallies trends",
    "page": "plots report status tabulation vitals",
    "overview": "objectives page pipeline sources state stats status trends vitals",
    # history: shards of the logs, read by one process or several, added up
    "period": "catalog events lines",
    "parts": "catalog state stats",
    "shards": "cursor errors holes open_file orders packed positions sources",
    "reader": "catalog events holes internal_errors lines orders packed parts period pipeline prices rotation shards "
    "tail",
    "workers": "errors internal_errors pipeline",
    "newest": "catalog errors events lines packed reader shards",
    "replay": "catalog errors events happenings newest parts period pipeline prices reader rotation shards sources "
    "state stats tail workers",
    "progress": "reader",
    # the service
    "run_options": "",
    "telling": "happenings own_log sources",
    "reloading": "checkpoint errors internal_errors own_log state stats",
    "readiness": "sources state",
    "silence": "stats",
    "serving": "access activation errors internal_errors objectives overview own_log own_metrics page pipeline "
    "run_options scrape server sources state stats turns updates vitals",
    "daemon": "catalog intake internal_errors journal keeper notify own_log pace pipeline positions prices readiness "
    "reloading run_options schemas serving silence state stats tail telling updates waker",
    # state by state to samples of the past
    "spill": "errors",
    "steps": "catalog spill state",
    "timeline": "catalog families samples series state updates",
    "document": "errors files",
    "blocks": "document errors files",
    "backfill": "catalog errors exposition reader replay spill state steps timeline",
    # the last windows of the logs: what is, was and ought to be
    "windows": "catalog state",
    "measures": "catalog hdr reporting series state sums",
    "judgement": "catalog measures objective objectives reporting signals state windows",
    "tabulation": "catalog judgement objective report",
    "printing": "backfill escapes exposition own_metrics replay report samples stats tabulation",
    "options": "label_values period steps",
    "configuration": "documents errors text_files",
    "settings": "configuration errors options properties",
    "config_command": "errors escapes options properties settings",
    "replay_command": "backfill blocks catalog document escapes options period pipeline printing progress reader "
    "replay schemas settings",
    "report_command": "escapes judgement objectives options period progress replay schemas settings tabulation windows",
    "advice": "catalog pointers reporting series state",
    "completion_command": "",
    "check_command": "advice catalog errors escapes options replay_command schemas settings survey",
    "requeue_command": "checkpoint escapes options prices requeue schemas settings",
    "cli": "errors escapes internal_errors streams termination",
    "__main__": "cli streams",
    # the other end of the file: inside an agent, which must not need any of the above
    "plain": "interrupts",
    "usage": "interrupts",
    "appender": "interrupts",
    "calls": "interrupts plain usage",
    "emit": "appender calls interrupts plain usage writer",
    "counting": "catalog columns derive events fastpath gathering lines prices state stats structs",
    "internal_errors": "stats",
    "isolation": "",
    "journal": "positions",
    "streams": "",
    "interrupts": "",
    "orders": "sequences sums",
    "writer": "appender",
    "hosts": "",
    "label_values": "",
    "text_files": "errors",
    "files": "",
    "former_rejects": "files",
    "reject_entries": "escapes pipeline",
    "state_folder": "errors files",
    "termination": "",
    "number_range": "",
    "objective": "",
    "run_command": "daemon hosts options own_log run_options settings",
    "survey": "catalog events lines pipeline places pointers properties",
    "comparison": "fingerprints holes lines packed standing",
    "contents": "copies fingerprints gone happenings losses positions registry rotation sources",
    "cursor": "fingerprints holes lines packed positions",
    "holes": "",
    "kin": "positions rotation sources",
    "links": "comparison fingerprints positions sources",
    "open_file": "packed positions",
    "registry": "handles happenings kin positions sources",
    "standing": "fingerprints lines positions",
}

# Third-party package: the rooms that know it.
KNOWN_IN = {
    "bcrypt": "passwords",
    "click": "check_command cli completion_command config_command options progress replay_command report_command "
    "requeue_command rules_command run_command settings systemd_command",
    "genai_prices": "price_table",
    "hdrh": "hdr",
    "jsonschema_rs": "schemas",
    "msgspec": "checkpoint parts period printing spill structs workers",
    "numpy": "accounts charges choices derive elapsed fastpath folding gathering hdr intervals ledger orders past "
    "repeated repeats series sighted sums tariffs trends updates",
    "orjson": "events",
    "prometheus_client": "exposition own_metrics samples",
    "uvicorn": "connections http_protocol server",
    "watchfiles": "waker",
    "yaml": "web_config",
    "zstandard": "packed parts",
    "jinja2": "page",
}

FILES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(path: Path) -> set[str]:
    """The full names of the modules that *path* imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written in full"
            # `from extractor import lines` imports a room, too.
            own = node.module == PACKAGE.name
            names.update(f"{node.module}.{alias.name}" for alias in node.names) if own else names.add(str(node.module))
    return names


def rooms_imported(path: Path) -> set[str]:
    """The rooms of ours that *path* imports."""
    return {name.split(".", 1)[1] for name in imported(path) if name.startswith(f"{PACKAGE.name}.")} & set(FILES)


def test_every_file_is_a_room():
    """The table has a row for each file of the package, and no row without one."""
    assert sorted(ROOMS) == sorted(FILES)


@pytest.mark.parametrize("room", FILES)
def test_room_imports_what_the_table_allows(room: str):
    """A room imports only the rooms of its row."""
    assert set() == rooms_imported(FILES[room]) - set(ROOMS.get(room, "").split())


@pytest.mark.parametrize("room", FILES)
def test_room_knows_its_packages_alone(room: str):
    """A third-party package is imported only in its own rooms; nothing imports what is for tests."""
    packages = {name.split(".")[0] for name in imported(FILES[room])} - {PACKAGE.name}
    foreign = packages - set(sys.stdlib_module_names)

    assert set() == {package for package in foreign if room not in KNOWN_IN.get(package, "").split()}
    assert set() == packages & {"unittest", "doctest", "tests", "bench", "samples"}


def test_imports_have_no_cycle():
    """The rooms can be put in an order in which each imports only earlier ones."""
    assert len(ROOMS) == len(list(TopologicalSorter({room: row.split() for room, row in ROOMS.items()}).static_order()))


def test_table_is_no_wider_than_needed():
    """Each row allows only what is imported, so that the table can be read as the map of the package."""
    unused = {
        room: sorted(set(row.split()) - rooms_imported(FILES[room])) for room, row in ROOMS.items() if room in FILES
    }

    assert {} == {room: names for room, names in unused.items() if names}


@pytest.mark.parametrize("room", FILES)
def test_room_is_small(room: str):
    """A file has at most 500 lines: beyond, it does more than one thing."""
    length = len(FILES[room].read_text().splitlines())

    assert 500 >= length
