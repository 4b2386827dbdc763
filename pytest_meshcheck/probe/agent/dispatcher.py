"""Dispatches the commands of a controller."""

import asyncio
import importlib
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_meshcheck.probe.capture.recorders import Recorders
from pytest_meshcheck.probe.client.client import exchange
from pytest_meshcheck.probe.client.kept import KeptConnections
from pytest_meshcheck.probe.client.load import Loads
from pytest_meshcheck.probe.client.polling import watch
from pytest_meshcheck.probe.client.streams import Streams
from pytest_meshcheck.probe.process.pulse import Pulse, now
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.server.listeners import Listeners
from pytest_meshcheck.probe.server.scripts import ScriptedResponses


class Dispatcher:
    """One probe's servers, clients, loads, streams and recorders.

    Attributes:
        pulse: For how long the probe could not react.
    """

    def __init__(self, first: m.Request | None = None) -> None:
        """Make the ``first`` exchange at once, where there is one."""
        self._first = asyncio.ensure_future(exchange(first)) if first else None
        self.pulse = Pulse()
        self.asked_to_end = asyncio.Event()
        self._responses = ScriptedResponses(exchange)
        self._listeners = Listeners(self._responses)
        self._kept = KeptConnections()
        self._loads = Loads()
        self._streams = Streams()
        self._recorders = Recorders()
        self._paused: dict[str, asyncio.Event] = {}
        self._table: dict[type[Any], Callable[[Any], Awaitable[m.Reply]]] = {
            m.Serve: self._serve,
            m.CloseListener: self._close_listener,
            m.SetScript: self._set_script,
            m.Send: self._send,
            m.FirstExchange: self._first_exchange,
            m.CloseConnection: self._close_connection,
            m.Resume: self._resume,
            m.Watch: self._watch,
            m.StartLoad: self._start_load,
            m.KeepsUp: self._keeps_up,
            m.FinishLoad: self._finish_load,
            m.OpenStream: self._open_stream,
            m.EchoOnStream: self._echo_on_stream,
            m.CloseStream: self._close_stream,
            m.ReadLedger: self._read_ledger,
            m.AwaitAttempt: self._await_attempt,
            m.AwaitTermination: self._await_termination,
            m.Record: self._record,
            m.Capture: self._capture,
            m.CaptureOutward: self._capture_outward,
            m.LookFor: self._look_for,
            m.StopRecording: self._stop_recording,
            m.FeelPulse: self._feel_pulse,
        }

    async def obey(self, command: m.Command) -> m.Reply:
        """Carry out a command; whatever prevents it is a ``Failed``."""
        try:
            return await self._table[type(command)](command)
        except ProbeFault as fault:
            return m.Failed(str(fault))

    async def _serve(self, command: m.Serve) -> m.Reply:
        self._responses.ledger.instance = command.instance
        await asyncio.gather(*(self._listeners.open(port) for port in command.ports))
        # A probe that serves will hear HTTP/2 soon; loading it during the first requests hides the time that it takes.
        threading.Thread(target=importlib.import_module, args=("pytest_meshcheck.probe.server.http2",)).start()
        return m.Done()

    async def _close_listener(self, command: m.CloseListener) -> m.Reply:
        await self._listeners.stop(command.port, command.seconds)
        return m.Done()

    async def _set_script(self, command: m.SetScript) -> m.Reply:
        self._responses.script(command)
        return m.Done()

    async def _send(self, command: m.Send) -> m.Reply:
        request = command.request
        resumed = self._paused.setdefault(request.request_id, asyncio.Event())
        try:
            return m.Exchanged(await (self._kept.exchange if request.connection else exchange)(request, resumed))
        finally:
            self._paused.pop(request.request_id, None)

    async def _first_exchange(self, _command: m.FirstExchange) -> m.Reply:
        if self._first is None:
            raise ProbeFault("it was started without a first request")
        return m.Exchanged(await asyncio.shield(self._first))

    async def _close_connection(self, command: m.CloseConnection) -> m.Reply:
        await self._kept.close(command.name)
        return m.Done()

    async def _resume(self, command: m.Resume) -> m.Reply:
        if resumed := self._paused.get(command.request_id):
            resumed.set()
        return m.Done()

    async def _watch(self, command: m.Watch) -> m.Reply:
        return m.Watched(await watch(command))

    async def _start_load(self, command: m.StartLoad) -> m.Reply:
        await self._loads.start(command.plan)
        return m.Done()

    async def _keeps_up(self, command: m.KeepsUp) -> m.Reply:
        load = self._loads.named(command.request_id)
        return m.Kept(load.late, load.overrun, load.number)

    async def _finish_load(self, command: m.FinishLoad) -> m.Reply:
        return m.Loaded(await self._loads.finish(command.request_id))

    async def _open_stream(self, command: m.OpenStream) -> m.Reply:
        return m.Exchanged(await self._streams.open(command.request))

    async def _echo_on_stream(self, command: m.EchoOnStream) -> m.Reply:
        await asyncio.sleep(command.idle)
        return m.Exchanged(await self._streams.echo(command.request_id, command.body, command.patience))

    async def _close_stream(self, command: m.CloseStream) -> m.Reply:
        await self._streams.close(command.request_id)
        return m.Done()

    async def _read_ledger(self, command: m.ReadLedger) -> m.Reply:
        ledger = self._responses.ledger
        found = ledger.read(command.request_id, prefix=command.prefix, since=command.since)
        return m.Ledger(found, ledger.arrived, ledger.has_forgotten(command.request_id))

    async def _await_attempt(self, command: m.AwaitAttempt) -> m.Reply:
        ledger = self._responses.ledger
        found = await ledger.wait(command.request_id, command.count, ended=command.ended, patience=command.patience)
        return m.Ledger(found, ledger.arrived)

    async def _await_termination(self, _command: m.AwaitTermination) -> m.Reply:
        await self.asked_to_end.wait()
        return m.Done()

    async def _record(self, command: m.Record) -> m.Reply:
        await self._recorders.record(command.name, command.listen, command.forward)
        return m.Done()

    async def _capture(self, command: m.Capture) -> m.Reply:
        await self._recorders.capture(command)
        return m.Done()

    async def _capture_outward(self, command: m.CaptureOutward) -> m.Reply:
        await self._recorders.capture_outward(command)
        return m.Done()

    async def _look_for(self, command: m.LookFor) -> m.Reply:
        return m.CaptureReply(self._recorders.look_for(command.name, command.needles))

    async def _stop_recording(self, command: m.StopRecording) -> m.Reply:
        self._recorders.stop(command.name)
        return m.Done()

    async def _feel_pulse(self, command: m.FeelPulse) -> m.Reply:
        moment = now()
        return m.Felt(self.pulse.over(moment - command.since, moment - command.until, command.during))
