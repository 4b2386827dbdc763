"""The evidence of one verdict as files: traffic, observations and configuration, without secrets."""

import contextlib
import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from pytest_meshcheck.checks.described import printable
from pytest_meshcheck.model.journal import Entry
from pytest_meshcheck.model.secrets import redact
from pytest_meshcheck.report.files import ReportNotWritten, make_directory, remove, replace

EXCHANGES = "exchanges.md"
"""The file that every evidence folder contains."""

LONGEST = 120
"""The maximum length of an evidence folder's path, relative to the report."""

BEGINNINGS = ("started", "arrived")
"""The fields with the wall-clock time of an observation."""

MOMENTS = (*BEGINNINGS, "answered", "ended")
"""The fields with times of a probe's monotonic clock."""

LARGE = 1e3
"""For larger numbers six significant digits would lose milliseconds."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._=+,@\[\]-]+")


@dataclass(frozen=True)
class EvidenceRecord:
    """An entry of the journal as plain data, without secrets."""

    wall: float
    kind: str
    subject: str
    observation: Any

    @property
    def time(self) -> str:
        """The time in the format of ``moment``."""
        return moment(self.wall)


def moment(wall: float) -> str:
    """Seconds since the epoch as ISO 8601, in UTC, to the millisecond."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def folder(check_id: str) -> PurePosixPath:
    """The evidence folder of a check, relative to the report: unique, portable, at most 120 characters."""
    parts = [_safe(part) for part in check_id.split("/", 1)]
    path = "/".join(parts)
    if path == check_id and len(path) <= LONGEST:
        return PurePosixPath(path)
    digest = hashlib.sha256(check_id.encode()).hexdigest()[:8]
    family = parts[0][: LONGEST // 3] if len(parts) == 2 else ""
    room = LONGEST - len(family) - len(digest) - 2
    return PurePosixPath(family) / f"{parts[-1][:room]}-{digest}"


def _safe(part: str) -> str:
    return _UNSAFE.sub("-", part).lstrip(".") or "-"


def write_evidence(directory: Path, entries: Iterable[Entry]) -> None:
    """Write the evidence of a check into its folder; files of an earlier run are replaced.

    ``observations.jsonl`` has every entry, ``exchanges.md`` is for people, ``manifests.json`` has the rendered
    policies, and ``wire.txt`` the recorded bytes. The last two exist only if there are such entries.

    Raises:
        ReportNotWritten: A file or the folder cannot be written.
    """
    records = [_record(entry) for entry in entries]
    make_directory(directory)
    for name, render in _FILES.items():
        text = render(records)
        if text:
            replace(directory / name, text.encode())
        else:
            remove(directory / name)


def remove_other_evidence(directory: Path, kept: Iterable[str]) -> None:
    """Remove evidence of earlier runs that a report does not mention.

    Args:
        directory: The directory of the report.
        kept: The evidence folders of the report, relative to it; empty names do not count.

    Raises:
        ReportNotWritten: A file or folder cannot be removed.
    """
    wanted = {directory / folder for folder in kept if folder}
    for pattern in (f"*/{EXCHANGES}", f"*/*/{EXCHANGES}"):
        for folder in {found.parent for found in directory.glob(pattern)} - wanted:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise ReportNotWritten.because(folder, error) from error
            with contextlib.suppress(OSError):  # other checks of the family have evidence
                folder.parent.rmdir()


def _record(entry: Entry) -> EvidenceRecord:
    return EvidenceRecord(entry.wall, str(redact(entry.kind)), str(redact(entry.subject)), redact(entry.observation))


def _observations(records: Sequence[EvidenceRecord]) -> str:
    lines = (msgspec.json.encode(record).decode() for record in records)
    return "".join(f"{line}\n" for line in lines)


def _manifests(records: Sequence[EvidenceRecord]) -> str:
    policies = [
        {"time": record.time, "subject": record.subject, "manifests": record.observation}
        for record in records
        if record.kind == "policy"
    ]
    return msgspec.json.format(msgspec.json.encode(policies), indent=2).decode() + "\n" if policies else ""


def _wire(records: Sequence[EvidenceRecord]) -> str:
    sections = [
        f"{record.time}  {record.subject}\n{_summary(record)}\n\n{hexdump(data)}"
        for record in records
        if record.kind == "wire"
        for data in _bytes_of(record.observation)
    ]
    return "\n".join(sections)


def _bytes_of(observation: Any) -> Iterator[bytes]:
    values = observation.values() if isinstance(observation, Mapping) else [observation]
    yield from (value for value in values if isinstance(value, bytes))


def hexdump(data: bytes) -> str:
    """Sixteen bytes per line: offset, hexadecimal, and ASCII with dots for unprintable bytes."""
    rows = (data[start : start + 16] for start in range(0, len(data), 16))
    return "".join(
        f"{number * 16:08x}  {row.hex(' '):<47}  {''.join(chr(o) if 32 <= o < 127 else '.' for o in row)}\n"
        for number, row in enumerate(rows)
    )


def _exchanges(records: Sequence[EvidenceRecord]) -> str:
    lines = ["# What happened, in order", ""]
    for record in records:
        lines += [f"- `{record.time}` **{record.kind}** {record.subject}", *_points(record), ""]
    return "\n".join(lines)


def _points(record: EvidenceRecord) -> list[str]:
    several = record.observation if isinstance(record.observation, list) else [record.observation]
    return [f"    - {_line(item)}" for item in several] or ["    - nothing"]


def _summary(record: EvidenceRecord) -> str:
    return _line(record.observation)


def _line(observation: Any) -> str:
    if not isinstance(observation, Mapping):
        return printable(str(observation))
    return ", ".join(f"{key} {_short(value)}" for key, value in _dated(observation).items() if _tells(value))


def _dated(observation: Mapping[str, Any]) -> Mapping[str, Any]:
    """The observation with wall-clock times instead of those of the probe's monotonic clock."""
    begun = next((observation[key] for key in BEGINNINGS if key in observation), None)
    if begun is None or "wall" not in observation:
        return observation
    dated = {
        key: moment(observation["wall"] + value - begun) if key in MOMENTS and isinstance(value, float) else value
        for key, value in observation.items()
    }
    return {key: value for key, value in dated.items() if key != "wall"}


def _tells(value: Any) -> bool:
    return value not in (None, "", [], {}) and not isinstance(value, bytes)


def _short(value: Any) -> str:
    text = _figure(value) if isinstance(value, float) else printable(str(value))
    return text if len(text) <= 200 else f"{text[:200]}…"


def _figure(value: float) -> str:
    return f"{value:.6g}" if abs(value) < LARGE else f"{value:.3f}"


_FILES: Mapping[str, Callable[[Sequence[EvidenceRecord]], str]] = {
    "observations.jsonl": _observations,
    EXCHANGES: _exchanges,
    "manifests.json": _manifests,
    "wire.txt": _wire,
}
