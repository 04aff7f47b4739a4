"""What `http_protocol` uses of uvicorn without being public is still there and means the same."""

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

from packaging.version import Version
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from extractor.web.http_protocol import HttpProtocol
from tests.ranges import allowed, bounds
from tests.servers import DEADLINE


def test_newer_versions_are_not_allowed() -> None:
    """The version that is tested is the newest minor version that may be installed."""
    [requirement] = [each for each in allowed()[""] if each.name == "uvicorn"]
    installed = Version(version("uvicorn"))

    assert f"{installed.major}.{installed.minor + 1}" == bounds(requirement)["<"]


def test_uvicorn_calls_what_is_overridden() -> None:
    """The methods that our connections override, and the one called by name, exist with the same parameters."""
    expected = {
        "__init__": ["self", "config", "server_state", "app_state", "_loop"],
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "on_response_complete": ["self"],
        "resume_writing": ["self"],
        "_unset_keepalive_if_required": ["self"],
    }

    assert expected == {name: list(inspect.signature(getattr(H11Protocol, name)).parameters) for name in expected}


def test_uvicorn_tells_how_far_a_request_is() -> None:
    """Our deadlines depend on its states: before a request, while it is answered, afterwards, and without a client."""
    seen: list[tuple[object, ...]] = []
    completed: list[int] = []

    async def talk() -> None:
        loop, connections, asked, answer = asyncio.get_running_loop(), [], asyncio.Event(), asyncio.Event()

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            assert "mine" == scope["state"]["name"]
            asked.set()
            await answer.wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        class Watched(HttpProtocol):
            def on_response_complete(self) -> None:
                super().on_response_complete()
                completed.append(1)

        config = Config(app, lifespan="off", log_config=None, ws="none")
        config.load()

        def connect() -> HttpProtocol:
            connections.append(Watched(config, ServerState(), {"name": "mine"}, loop))
            return connections[-1]

        server = await loop.create_server(connect, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n")
        while not connections or connections[0].transport is None:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0)
        [connection] = connections
        seen.append(("begun", connection.request, connection.is_answering, connection.is_paused))
        writer.write(b"\r\n")
        await asked.wait()
        seen.append(("asked", connection.request is not None, connection.is_answering, connection.is_gone()))
        answer.set()
        await reader.readuntil(b"\r\n\r\n")
        seen.append(("answered", connection.request is not None, connection.is_answering, len(completed)))
        asked.clear()
        answer.clear()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await asked.wait()
        writer.transport.abort()
        while not connection.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(0)
        seen.append(("gone", connection.is_gone()))
        answer.set()
        connection.release()
        server.close()

    asyncio.run(asyncio.wait_for(talk(), DEADLINE))

    assert [
        ("begun", None, False, False),
        ("asked", True, True, False),
        ("answered", True, False, 1),
        ("gone", True),
    ] == seen
