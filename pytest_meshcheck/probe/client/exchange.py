"""A client's observations during an exchange, and how an exchange ends."""

import asyncio
import hashlib
import time

from pytest_meshcheck.probe.protocol.messages import Ending, Exchange, Request, Tls


class Ended(Exception):
    """The exchange ended otherwise than with an answer."""

    def __init__(self, ending: Ending, detail: str = "") -> None:
        super().__init__(f"{ending}: {detail}")
        self.ending = ending
        self.detail = detail


class ExchangeRecorder:
    """The observations so far."""

    def __init__(self, request: Request, resumed: asyncio.Event | None = None) -> None:
        self._request = request
        self._resumed = resumed or asyncio.Event()
        self._digest = hashlib.sha256()
        self._length = 0
        self._start = bytearray()
        self._started = time.monotonic()
        self._wall = time.time()
        self.status: int | None = None
        self.grpc_status: int | None = None
        self.grpc_message = ""
        self.headers: tuple[tuple[str, str], ...] = ()
        self.trailers: tuple[tuple[str, str], ...] = ()
        self.informational: tuple[int, ...] = ()
        self.messages = 0
        self.connected = False
        self.begun = False
        self.tls: Tls | None = None
        self.local: tuple[str, int] | None = None
        self.remote: tuple[str, int] | None = None

    async def pause(self) -> None:
        """Wait where the body of the request has a pause: for its seconds, and until it is resumed."""
        await asyncio.sleep(self._request.body_delay)
        if self._request.pause_after is not None:
            await self._resumed.wait()

    def body(self, data: bytes) -> None:
        """Count and hash a piece of the answer's body."""
        self.begun = True
        self._digest.update(data)
        self._length += len(data)
        self._start += data[: max(self._request.excerpt - len(self._start), 0)]

    @property
    def body_length(self) -> int:
        """Bytes of the answer's body so far."""
        return self._length

    @property
    def body_sha256(self) -> str:
        """The hash of the body that came so far, in hexadecimal."""
        return self._digest.hexdigest()

    def cut(self, detail: str, *, reset: bool) -> Ended:
        """How the exchange ended if the connection or the stream ends now."""
        if self.begun:
            return Ended(Ending.TRUNCATED, detail)
        return Ended(Ending.RESET if reset else Ending.CLOSED, detail)

    def out_of_patience(self) -> Ended:
        """How the exchange ended if the client gives up now."""
        if self.connected:
            return Ended(Ending.TIMED_OUT, f"no whole answer within {self._request.patience} s")
        return Ended(Ending.UNREACHABLE, f"no connection within {self._request.patience} s")

    def ended(self, end: Ended) -> Exchange:
        """The exchange, ended now and so."""
        return self.exchange(end.ending, end.detail)

    def exchange(self, ending: Ending, detail: str = "") -> Exchange:
        """The exchange, ended now."""
        return Exchange(
            request_id=self._request.request_id,
            protocol=self._request.protocol,
            ending=ending,
            detail=detail,
            status=self.status,
            grpc_status=self.grpc_status,
            grpc_message=self.grpc_message,
            headers=self.headers,
            trailers=self.trailers,
            informational=self.informational,
            body_length=self._length,
            body_sha256=self.body_sha256,
            body_start=self._start.decode("latin-1"),
            messages=self.messages,
            tls=self.tls,
            local=self.local,
            remote=self.remote,
            started=self._started,
            ended=time.monotonic(),
            wall=self._wall,
        )
