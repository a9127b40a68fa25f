//! Threads as JSON: an object for each thread, one a line. `runtime-probe/docs/schema/threads.json` describes the
//! document.

use crate::goroutine::json::push_head;
use crate::json::{push_key, push_stack, push_string, push_strings};
use crate::text::digits::push_decimal;
use crate::thread::text::Thread;

/// Encodes all threads as one document. `time_ns` is the time of the snapshot, in nanoseconds since 1970.
///
/// ```
/// use runtime_dump::stack::Stack;
/// use runtime_dump::thread::json::threads;
/// use runtime_dump::thread::text::Thread;
///
/// let stack = Stack::default();
/// let thread = Thread { id: 17, name: "main", state: "sleeping", cpu_ns: Some(5), notes: &[], stack: &stack, created_by: None };
/// let json = String::from_utf8(threads(0, &[], [thread]))?;
/// assert!(json.contains(r#"{"id": 17, "name": "main", "state": "sleeping", "cpu_ns": 5, "#));
/// # Ok::<(), std::string::FromUtf8Error>(())
/// ```
pub fn threads<'a>(
    time_ns: i64,
    remarks: &[String],
    threads: impl IntoIterator<Item = Thread<'a>>,
) -> Vec<u8> {
    let mut json = Vec::new();
    push_head(&mut json, time_ns, remarks);
    json.extend_from_slice(b", \"threads\": [");
    for (index, thread) in threads.into_iter().enumerate() {
        json.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        push_thread(&mut json, &thread);
    }
    json.extend_from_slice(b"\n]}\n");
    json
}

fn push_thread(json: &mut Vec<u8>, thread: &Thread<'_>) {
    json.extend_from_slice(b"{\"id\": ");
    push_decimal(json, thread.id.into());
    push_key(json, "name");
    push_string(json, thread.name);
    push_key(json, "state");
    push_string(json, thread.state);
    push_key(json, "cpu_ns");
    match thread.cpu_ns {
        Some(cpu_ns) => push_decimal(json, cpu_ns),
        None => json.extend_from_slice(b"null"),
    }
    push_key(json, "notes");
    push_strings(json, thread.notes.iter().copied());
    push_key(json, "created_by");
    match thread.created_by {
        Some((by, thread)) => {
            json.extend_from_slice(b"{\"function\": ");
            push_string(json, &by.function);
            push_key(json, "thread");
            push_decimal(json, thread.into());
            json.push(b'}');
        }
        None => json.extend_from_slice(b"null"),
    }
    push_stack(json, Some(thread.stack));
    json.push(b'}');
}
