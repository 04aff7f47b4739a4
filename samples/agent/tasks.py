"""Who the agents are, in which releases they run, and what they are asked."""

import random
from dataclasses import dataclass

from samples.agent.model import Task


@dataclass(frozen=True)
class Agent:
    """Who is asked what: the kinds of tasks with their weights."""

    name: str
    type: str
    model: str
    kinds: dict[str, int]


@dataclass(frozen=True)
class Release:
    """A version of all agents, and how it behaves."""

    name: str
    slowness: float
    failing: float
    flakiness: float


AGENTS = [
    Agent("planner", "orchestrator", "scripted-large", {"survey": 6, "compare": 4, "wander": 2}),
    Agent(
        "researcher",
        "worker",
        "scripted-small",
        {"find": 6, "read": 5, "count": 4, "missing": 2, "typo": 1, "stuck": 2},
    ),
    Agent("archivist", "worker", "scripted-small", {"archive": 8, "wait": 1, "outside": 1}),
]
RELEASES = [Release("2026-11-14", 1.0, 0.02, 0.2), Release("2026-11-21", 1.35, 0.06, 0.55)]
SUBJECTS = {
    "archive": (["1898.md", "1911.md"], "What does the archive say about {}?"),
    "compare": (["lantern.md", "stores.md"], "Which is longer, {} or another document?"),
    "count": (["harbour.md", "weather.md"], "How many words has {}?"),
    "find": (["oil", "fog", "harbour"], "Which documents mention {}?"),
    "missing": (["winter.md"], "What is planned in {}?"),
    "outside": (["keys.md"], "Where is {} kept?"),
    "read": (["tides.md", "signals.md", "visitors.md"], "What does {} say about the keeper?"),
    "stuck": (["dragon"], "Where does the {} live?"),
    "survey": (["storm", "boat"], "Make a survey of all that is known about the {}."),
    "typo": (["glass"], "Who cleans the {}?"),
    "wait": (["reply.md"], "What does {} say, once it has come?"),
    "wander": (["everything", "the longest word"], "Tell me {} there is."),
}
INSTRUCTIONS = (
    "You are the {name} of a lighthouse. You answer questions about the documents in a folder. First of all, look: "
    "list the files, read them, search them, count their words; never guess what a document says. Use one tool at a "
    "time, with one argument. If a tool fails, read the error and try another way once; if that fails too, say so. "
    "Tools: list_files(pattern), read_file(name), search_text(text), count_words(name), wait_for_file(name), "
    "fetch_archive(name), delegate(task). Answer in one paragraph and name the documents that you used."
)


def new_task(kind: str, rng: random.Random) -> Task:
    """A task of *kind* about something."""
    subjects, question = SUBJECTS[kind]
    subject = rng.choice(subjects)
    return Task(kind, question.format(subject), subject)
