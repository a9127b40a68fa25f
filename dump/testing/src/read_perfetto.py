"""Reads traces with the messages that Perfetto publishes, refuses what its importer drops, and prints what is in the last one."""

import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2

CLEARED, NEEDS_STATE = 1, 2
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4


def known(message):
    """No field that Perfetto does not have."""
    assert len(UnknownFieldSet(message)) == 0, message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]:
                known(each)


def read(path):
    trace = perfetto_trace_pb2.Trace()
    with open(path, "rb") as file:
        trace.ParseFromString(file.read())
    known(trace)
    tracks, slices, instants, counters = {}, [], [], []
    open_slices, last, state = {}, 0, None
    begun, ended = set(), set()
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id != 0
        if packet.sequence_flags & CLEARED:
            state = {name: {} for name in ("names", "functions", "paths", "frames", "stacks", "mappings", "files")}
        elif packet.sequence_flags & NEEDS_STATE:
            assert state is not None, "a packet that needs state comes before any"
        data = packet.interned_data
        for table, rows in (
            ("names", data.event_names),
            ("functions", data.function_names),
            ("paths", data.source_paths),
            ("frames", data.frames),
            ("stacks", data.callstacks),
            ("mappings", data.mappings),
            ("files", data.mapping_paths),
        ):
            for row in rows:
                assert row.iid != 0 and row.iid not in state[table], (table, row)
                state[table][row.iid] = row
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            assert track.uuid not in tracks, track
            assert not track.HasField("parent_uuid") or track.parent_uuid in tracks, track
            tracks[track.uuid] = {
                "name": track.thread.thread_name or track.process.process_name or track.name,
                "parent": track.parent_uuid,
                "tid": track.thread.tid,
                "counter": track.HasField("counter"),
            }
        if not packet.HasField("track_event"):
            continue
        event, at = packet.track_event, packet.timestamp
        assert at >= last, "time goes back"
        last = at
        track = tracks[event.track_uuid]
        name = state["names"][event.name_iid].name if event.name_iid else ""
        arguments = {a.name: a.string_value if a.HasField("string_value") else a.uint_value for a in event.debug_annotations}
        stack = []
        if event.callstack_iid:
            for iid in state["stacks"][event.callstack_iid].frame_ids:
                frame = state["frames"][iid]
                assert all(file in state["files"] for file in state["mappings"][frame.mapping_id].path_string_ids)
                assert frame.source_path_iid in state["paths"]
                stack.append(state["functions"][frame.function_name_id].str.decode())
        for flow in event.flow_ids:
            assert flow not in begun, "a flow that fans out"
            begun.add(flow)
        for flow in event.terminating_flow_ids:
            assert flow in begun and flow not in ended, flow
            ended.add(flow)
        assert track["counter"] == (event.type == COUNTER)
        row = {
            "track": event.track_uuid,
            "name": name,
            "begin": at,
            "end": None,
            "arguments": arguments,
            "stack": stack,
            "flows": list(event.flow_ids) + list(event.terminating_flow_ids),
        }
        if event.type == BEGIN:
            assert name
            open_slices.setdefault(event.track_uuid, []).append(row)
            slices.append(row)
        elif event.type == END:
            row = open_slices[event.track_uuid].pop()
            row["end"] = at
            # The importer adds what the end has to what the begin had.
            assert not row["arguments"].keys() & arguments.keys(), (row, arguments)
            row["arguments"].update(arguments)
        elif event.type == INSTANT:
            instants.append(row)
        elif event.type == COUNTER:
            assert event.counter_value >= 0
            counters.append({"track": event.track_uuid, "value": event.counter_value})
        else:
            raise AssertionError(event)
    tracks = {str(uuid): track for uuid, track in tracks.items()}
    return {"tracks": tracks, "slices": slices, "instants": instants, "counters": counters}


found = [read(path) for path in sys.argv[1:]]
json.dump(found[-1], sys.stdout)
