//! Execution traces for Perfetto. <https://ui.perfetto.dev> opens the file, and its trace processor answers SQL
//! queries about it.
//!
//! * A track per thread: its polls, each with the name of the task, and its wakes.
//! * A track per task: whether the task runs, is ready or waits, with the reason and the stack of a wait. Tasks beyond
//!   the first 1,000 have no track. They are counted by name, in a counter track.
//! * CPU samples on their thread, and numbers of the process as counters.
//! * A flow from each wake to the poll that follows it.
//! * The labels of a task as annotations `labels.KEY` of its states and polls, and an instant on the task's track where
//!   they change. Labels that begin during a poll are annotations of the end of that poll.
//! * User regions on a track below their task, user tasks on tracks of their own, logs on the thread.
//!
//! In reading order:
//! * `packet`: the messages;
//! * `interned`: texts and stacks, contained in the first packet that uses them;
//! * `tracks`: the tracks.

mod interned;
mod packet;
mod tracks;

use super::TraceFormat;
use super::row::{Event, OldWait, Outcome, Row, UserEvent, UserWhat};
use super::tables::{LabelsNumber, NO_LABELS, StackNumber, Tables, TextNumber};
use crate::stack::Frame;
use interned::Interned;
use packet::{DebugAnnotation, NEEDS_STATE, STATE_CLEARED, Trace, TracePacket, TrackEvent, Type};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use tracks::{Lanes, Owner, Region, Tracks};

/// The one sequence of all packets.
const SEQUENCE: u32 = 1;
/// The counter of [`Event::HeapInUse`].
/// The name of user tasks, regions and kinds of logs that have an empty one.
const NO_NAME: &str = "(no name)";

const HEAP_IN_USE: &str = "heap in use, bytes";

/// Writes an execution trace as Perfetto's protobuf, for <https://ui.perfetto.dev> and its trace processor.
///
/// Each thread has a track with its polls. Each of the first 1,000 tasks has a track with its states; the other tasks
/// are counted by name. A flow leads from each wake to the poll that follows it. The packets between two calls of
/// [`end_generation`](TraceFormat::end_generation) are kept in memory, about 40 bytes an event.
///
/// ```
/// use runtime_dump::stack::Frame;
/// use runtime_dump::trace::{Event, PerfettoWriter, Row, TraceFormat};
///
/// let mut trace = PerfettoWriter::new(Vec::new(), 4711, "app");
/// let main = Frame { function: "app::main".into(), file: "src/main.rs".into(), line: 7 };
/// let name = trace.stack(&[main]);
/// trace.begin_generation(1_000)?;
/// let labels = trace.labels(&[("route", "/order")]);
/// let event = Event::Spawn { task: 1, name, by: name, labels };
/// trace.row(&Row { at_ns: 1_000, thread: 100, event });
/// trace.end_generation()?;
/// assert!(!trace.into_inner().is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct PerfettoWriter<W> {
    out: W,
    pending: Vec<u8>,
    tables: Tables,
    interned: Interned,
    tracks: Tracks,
    lanes: Lanes,
    tasks: BTreeMap<u64, Task>,
    threads: HashMap<u64, Vec<u64>>,
    /// The tracks of the open user tasks.
    user_tasks: HashMap<u64, u64>,
    /// The names of wait states, by reason.
    waits: HashMap<TextNumber, TextNumber>,
    last: u64,
    /// Whether any generation has begun.
    has_begun: bool,
    /// Whether a generation is open.
    is_open: bool,
    flows: u64,
}

#[derive(Debug)]
struct Task {
    /// The name of the task's polls; `None` without a stack.
    title: Option<TextNumber>,
    track: Option<u64>,
    state: State,
    /// Whether the task was woken during its current poll.
    is_woken: bool,
    /// The number of calls of `block_in_place` that its current poll is in.
    in_place: u32,
    /// The flow of the wake that the next poll follows.
    flow: Option<u64>,
    labels: LabelsNumber,
    /// Whether the task had no labels when its current poll began.
    was_bare: bool,
    /// The first labels that such a poll set.
    news: LabelsNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    /// A thread polls the task: this one.
    Polled(u64),
    Waits {
        reason: Option<TextNumber>,
        stack: StackNumber,
    },
}

impl<W: Write> PerfettoWriter<W> {
    /// Starts the trace of a process with this id and name.
    pub fn new(out: W, pid: u32, name: &str) -> Self {
        let mut writer = PerfettoWriter {
            out,
            pending: Vec::new(),
            tables: Tables::default(),
            interned: Interned::default(),
            tracks: Tracks::new(pid),
            lanes: Lanes::default(),
            tasks: BTreeMap::new(),
            threads: HashMap::new(),
            user_tasks: HashMap::new(),
            waits: HashMap::new(),
            last: 0,
            has_begun: false,
            is_open: false,
            flows: 0,
        };
        let first = TracePacket {
            sequence_flags: Some(STATE_CLEARED),
            track_descriptor: Some(writer.tracks.process(name)),
            ..TracePacket::default()
        };
        writer.packet(first);
        writer
    }

    /// Returns the output.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn packet(&mut self, packet: TracePacket) {
        let packet = TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            sequence_flags: packet.sequence_flags.or(Some(NEEDS_STATE)),
            ..packet
        };
        Trace {
            packet: vec![packet],
        }
        .encode(&mut self.pending)
        .expect("a Vec has room for any message");
    }

    /// Writes the descriptors of new tracks.
    fn describe(&mut self) {
        while let Some(descriptor) = self.tracks.next_new() {
            self.packet(TracePacket {
                track_descriptor: Some(descriptor),
                ..TracePacket::default()
            });
        }
    }

    fn event(&mut self, r#type: Type, track: u64, event: TrackEvent) {
        self.describe();
        let interned_data = self.interned.take_news();
        self.packet(TracePacket {
            timestamp: Some(self.last),
            interned_data,
            track_event: Some(TrackEvent {
                r#type: Some(r#type.into()),
                track_uuid: Some(track),
                ..event
            }),
            ..TracePacket::default()
        });
    }

    fn end(&mut self, track: u64) {
        self.event(Type::SliceEnd, track, TrackEvent::default());
    }

    /// Ends the current slice of a task's track or of a poll, with the labels that the poll set.
    fn end_poll(&mut self, track: u64, id: u64) {
        let task = self.tasks.get(&id);
        let news = task.map_or_else(LabelsNumber::default, |task| task.news);
        let event = TrackEvent {
            debug_annotations: self.annotated(news),
            ..TrackEvent::default()
        };
        self.event(Type::SliceEnd, track, event);
    }

    fn annotated(&self, labels: LabelsNumber) -> Vec<DebugAnnotation> {
        let labels = self.tables.labels_of(labels).iter();
        labels
            .map(|(key, value)| string(&format!("labels.{key}"), value))
            .collect()
    }

    /// The number of a name. An empty one is replaced: the viewer shows nothing for it.
    fn name(&mut self, text: TextNumber) -> Option<u64> {
        let text = match self.tables.text_of(text) {
            None | Some((_, "")) => self.tables.text(NO_NAME),
            Some(_) => text,
        };
        self.interned.name(text, &self.tables)
    }

    /// Begins a slice with a name.
    fn begin(&mut self, track: u64, text: TextNumber, event: TrackEvent) {
        let name_iid = self.name(text);
        self.event(Type::SliceBegin, track, TrackEvent { name_iid, ..event });
    }

    /// Shows a state on the track of a task with these labels.
    fn show(&mut self, track: u64, state: State, labels: LabelsNumber) {
        let (text, stack) = match state {
            State::Ready => (self.tables.text("ready"), StackNumber::default()),
            State::Polled(_) => (self.tables.text("runs"), StackNumber::default()),
            State::Waits {
                reason: None,
                stack,
            } => (self.tables.text("waits"), stack),
            State::Waits {
                reason: Some(reason),
                stack,
            } => (self.wait_name(reason), stack),
        };
        let callstack_iid = self.interned.stack(stack, &self.tables);
        let event = TrackEvent {
            callstack_iid,
            debug_annotations: self.annotated(labels),
            ..TrackEvent::default()
        };
        self.begin(track, text, event);
    }

    fn wait_name(&mut self, reason: TextNumber) -> TextNumber {
        if let Some(known) = self.waits.get(&reason) {
            return *known;
        }
        let text = self.tables.text_of(reason).map_or("", |(_, text)| text);
        let name = self.tables.text(&format!("waits: {text}"));
        self.waits.insert(reason, name);
        name
    }

    fn set_state(&mut self, id: u64, state: State) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.state = state;
        let labels = task.labels;
        if let Some(track) = task.track {
            self.end_poll(track, id);
            self.show(track, state, labels);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.news = LabelsNumber::default();
        }
    }

    fn set_labels(&mut self, id: u64, labels: LabelsNumber) {
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut task.labels, labels);
        if before == labels {
            return;
        }
        let is_in_poll = matches!(task.state, State::Polled(_));
        if is_in_poll && task.was_bare && task.news == LabelsNumber::default() {
            task.news = labels;
        }
        let Some(track) = task.track else {
            return;
        };
        let name = match self.tables.labels_of(labels) {
            [] => NO_LABELS,
            _ => "labels",
        };
        let name = self.tables.text(name);
        let event = TrackEvent {
            name_iid: self.name(name),
            debug_annotations: self.annotated(labels),
            ..TrackEvent::default()
        };
        self.event(Type::Instant, track, event);
    }

    /// Adds a task.
    fn add(&mut self, id: u64, name: StackNumber, state: State, labels: LabelsNumber) {
        let title = self.tables.root_of(name);
        let track = self.tracks.task(id, text_of(title, &self.tables));
        let task = Task {
            title,
            track,
            state,
            is_woken: false,
            in_place: 0,
            flow: None,
            labels,
            was_bare: false,
            news: LabelsNumber::default(),
        };
        self.tasks.insert(id, task);
        match track {
            Some(track) => self.show(track, state, labels),
            None => self.count(title, 1),
        }
    }

    /// Changes the count of tasks without a track, for one name.
    fn count(&mut self, title: Option<TextNumber>, more: i64) {
        let Some((number, text)) = title.and_then(|title| self.tables.text_of(title)) else {
            return;
        };
        let (track, value) = self.tracks.count(number, text, more);
        let event = TrackEvent {
            counter_value: Some(value),
            ..TrackEvent::default()
        };
        self.event(Type::Counter, track, event);
    }

    /// Sets a counter of the process.
    fn counter(&mut self, name: TextNumber, value: u64) {
        let Some((number, text)) = self.tables.text_of(name) else {
            return;
        };
        let track = self.tracks.counter(number, text);
        let event = TrackEvent {
            counter_value: i64::try_from(value).ok(),
            ..TrackEvent::default()
        };
        self.event(Type::Counter, track, event);
    }

    fn remove(&mut self, id: u64) {
        self.end_regions(Owner::Task(id));
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        match (task.track, task.title) {
            (Some(track), _) => self.end_poll(track, id),
            (None, title) => self.count(title, -1),
        }
        self.tasks.remove(&id);
    }

    fn poll_begin(&mut self, thread: u64, id: u64) {
        if !self.tasks.contains_key(&id) {
            let unknown = StackNumber::default();
            self.add(id, unknown, State::Ready, LabelsNumber::default());
        }
        // The row of that poll's end was lost.
        if let Some(State::Polled(other)) = self.tasks.get(&id).map(|task| task.state) {
            self.end_polls_from(other, id);
        }
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let (title, flow, labels) = (task.title, task.flow.take(), task.labels);
        task.was_bare = labels == LabelsNumber::default();
        task.in_place = 0;
        let title = title.unwrap_or_else(|| self.tables.text("a task"));
        let track = self.tracks.thread(thread);
        let mut debug_annotations = vec![number("task", id)];
        debug_annotations.extend(self.annotated(labels));
        let event = TrackEvent {
            terminating_flow_ids: flow.into_iter().collect(),
            debug_annotations,
            ..TrackEvent::default()
        };
        self.begin(track, title, event);
        self.threads.entry(thread).or_default().push(id);
        self.set_state(id, State::Polled(thread));
    }

    fn poll_end(&mut self, thread: u64, id: u64, outcome: Outcome) {
        let polls = self.threads.entry(thread).or_default();
        let Some(at) = polls.iter().rposition(|polled| *polled == id) else {
            return;
        };
        let inner = polls.split_off(at);
        let track = self.tracks.thread(thread);
        for inner in inner.iter().rev() {
            self.end_poll(track, *inner);
            if *inner != id {
                self.set_state(*inner, State::Ready);
            }
        }
        let woken = self.tasks.get_mut(&id);
        let woken = woken.is_some_and(|task| std::mem::take(&mut task.is_woken));
        match outcome {
            Outcome::Ends => self.remove(id),
            Outcome::Waits { reason, stack } if !woken => {
                let reason = Some(reason);
                self.set_state(id, State::Waits { reason, stack });
            }
            Outcome::Waits { .. } | Outcome::Yields { .. } => self.set_state(id, State::Ready),
        }
    }

    /// Ends the poll of a task on a thread, and all polls inside it. The rows of their ends were lost.
    fn end_polls_from(&mut self, thread: u64, id: u64) {
        let stack = StackNumber::default();
        self.poll_end(thread, id, Outcome::Yields { stack });
    }

    fn end_polls(&mut self, thread: u64) {
        let outermost = self.threads.get(&thread).and_then(|polls| polls.first());
        if let Some(outermost) = outermost.copied() {
            self.end_polls_from(thread, outermost);
        }
    }

    fn wake(&mut self, thread: u64, id: u64) {
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        let (title, state, is_first) = (task.title, task.state, task.flow.is_none());
        if state == State::Ready || !is_first {
            return;
        }
        self.flows += 1;
        let flow = self.flows;
        let track = self.tracks.thread(thread);
        let text = self.tables.text("wakes");
        let title = text_of(title, &self.tables);
        let event = TrackEvent {
            flow_ids: vec![flow],
            debug_annotations: vec![number("task", id), string("name", title)],
            name_iid: self.interned.name(text, &self.tables),
            ..TrackEvent::default()
        };
        self.event(Type::Instant, track, event);
        if let Some(task) = self.tasks.get_mut(&id) {
            task.flow = Some(flow);
            task.is_woken = matches!(state, State::Polled(_));
        }
        if let State::Waits { .. } = state {
            self.set_state(id, State::Ready);
        }
    }

    fn user(&mut self, thread: u64, event: UserEvent) {
        let owner = match self.threads.get(&thread).and_then(|polls| polls.last()) {
            Some(task) => Owner::Task(*task),
            None => Owner::Thread(thread),
        };
        let user_task = event.user_task;
        let annotated = |user_task| TrackEvent {
            debug_annotations: match user_task {
                0 => Vec::new(),
                known => vec![number("user task", known)],
            },
            ..TrackEvent::default()
        };
        match event.what {
            UserWhat::TaskBegin { parent, name } => {
                if user_task == 0 || self.user_tasks.contains_key(&user_task) {
                    return;
                }
                let title = self.tables.text_of(name).map_or("", |(_, text)| text);
                let track = self.tracks.user_task(title);
                self.user_tasks.insert(user_task, track);
                let mut event = annotated(user_task);
                if parent != 0 {
                    event.debug_annotations.push(number("parent", parent));
                }
                self.begin(track, name, event);
            }
            UserWhat::TaskEnd => {
                if let Some(track) = self.user_tasks.remove(&user_task) {
                    self.end(track);
                    self.tracks.user_task_ended(track);
                }
            }
            UserWhat::RegionBegin { name } | UserWhat::Blocks { name, .. } => {
                let above = match owner {
                    Owner::Task(task) => self.tasks.get(&task).and_then(|task| task.track),
                    Owner::Thread(thread) => Some(self.tracks.thread(thread)),
                };
                let region = Region { user_task, name };
                let track = self
                    .lanes
                    .begin(owner, region, || self.tracks.regions(above));
                self.begin(track, name, annotated(user_task));
            }
            UserWhat::RegionEnd { name } => {
                if let Some(track) = self.lanes.end(owner, Region { user_task, name }) {
                    self.end(track);
                }
            }
            UserWhat::Log { category, message } => {
                let text = self.tables.text_of(message).map_or("", |(_, text)| text);
                let mut event = annotated(user_task);
                event.debug_annotations.push(string("message", text));
                event.name_iid = self.name(category);
                let track = self.tracks.thread(thread);
                self.event(Type::Instant, track, event);
            }
        }
    }

    /// Shows the begin or the end of `block_in_place` in the innermost poll of a thread.
    fn in_place(&mut self, thread: u64, is_in_place: bool) {
        let task = self.threads.get(&thread).and_then(|polls| polls.last());
        let Some(id) = task.copied() else {
            return;
        };
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        task.in_place = match is_in_place {
            true => task.in_place + 1,
            false => task.in_place.saturating_sub(1),
        };
        // A call inside of another one is a part of it.
        let is_inside = task.in_place > u32::from(is_in_place);
        let Some(track) = task.track.filter(|_| !is_inside) else {
            return;
        };
        // Labels that this poll set are written at its end.
        let task = self.tasks.get(&id);
        let old = task.filter(|task| task.news == LabelsNumber::default());
        let labels = old.map_or_else(LabelsNumber::default, |task| task.labels);
        self.end(track);
        match is_in_place {
            true => {
                let text = self.tables.text("blocks in place");
                self.begin(track, text, TrackEvent::default());
            }
            false => self.show(track, State::Polled(thread), labels),
        }
    }

    fn end_regions(&mut self, owner: Owner) {
        for track in self.lanes.end_all(owner) {
            self.end(track);
        }
    }
}

impl<W: Write> TraceFormat for PerfettoWriter<W> {
    fn text(&mut self, text: &str) -> TextNumber {
        self.tables.text(text)
    }

    fn message(&mut self, text: &str) -> TextNumber {
        self.tables.message(text)
    }

    fn stack(&mut self, frames: &[Frame]) -> StackNumber {
        self.tables.stack(frames)
    }

    fn labels(&mut self, labels: &[(&str, &str)]) -> LabelsNumber {
        self.tables.labels(labels)
    }

    fn alive(
        &mut self,
        task: u64,
        name: StackNumber,
        waits: Option<OldWait>,
        labels: LabelsNumber,
    ) {
        if self.has_begun || self.tasks.contains_key(&task) {
            return;
        }
        let state = match waits {
            Some(OldWait { reason, stack }) => State::Waits { reason, stack },
            None => State::Ready,
        };
        // The slices of these tasks begin when the trace does.
        self.last = 1;
        self.add(task, name, state, labels);
    }

    fn worker(&mut self, thread: u64) {
        self.tracks.worker(thread);
    }

    fn thread_ended(&mut self, thread: u64) {
        if !self.is_open {
            return;
        }
        self.end_polls(thread);
        self.end_regions(Owner::Thread(thread));
        self.threads.remove(&thread);
    }

    fn begin_generation(&mut self, at_ns: u64) -> io::Result<()> {
        self.end_generation()?;
        self.has_begun = true;
        self.is_open = true;
        self.last = self.last.max(at_ns);
        Ok(())
    }

    fn row(&mut self, row: &Row) {
        if !self.is_open {
            return;
        }
        self.last = self.last.max(row.at_ns);
        let thread = row.thread;
        match row.event {
            Event::Spawn {
                task, name, labels, ..
            } => {
                if !self.tasks.contains_key(&task) {
                    self.add(task, name, State::Ready, labels);
                }
            }
            Event::Labels { task, labels } => self.set_labels(task, labels),
            Event::PollBegin { task } | Event::ClosureBegin { task, .. } => {
                self.poll_begin(thread, task);
            }
            Event::PollEnd { task, outcome } => self.poll_end(thread, task, outcome),
            Event::Wake { task, .. } => self.wake(thread, task),
            Event::Drop { task } => {
                if let Some(State::Polled(on)) = self.tasks.get(&task).map(|task| task.state) {
                    self.end_polls_from(on, task);
                }
                self.remove(task);
            }
            Event::Park => self.end_polls(thread),
            Event::Unpark => {}
            Event::User(event) => self.user(thread, event),
            Event::InPlaceBegin => self.in_place(thread, true),
            Event::InPlaceEnd => self.in_place(thread, false),
            Event::CpuSample { stack, .. } => {
                let text = self.tables.text("CPU sample");
                let event = TrackEvent {
                    name_iid: self.name(text),
                    callstack_iid: self.interned.stack(stack, &self.tables),
                    ..TrackEvent::default()
                };
                let track = self.tracks.thread(thread);
                self.event(Type::Instant, track, event);
            }
            Event::HeapInUse { bytes } => {
                let name = self.tables.text(HEAP_IN_USE);
                self.counter(name, bytes);
            }
            Event::Counter { name, value } => self.counter(name, value),
        }
    }

    fn end_generation(&mut self) -> io::Result<()> {
        // Rows between two generations belong to the next one.
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        self.tables.forget_messages();
        self.out.write_all(&std::mem::take(&mut self.pending))?;
        self.out.flush()
    }
}

fn text_of(title: Option<TextNumber>, tables: &Tables) -> &str {
    let text = title.and_then(|title| tables.text_of(title));
    text.map_or("", |(_, text)| text)
}

fn number(name: &str, value: u64) -> DebugAnnotation {
    DebugAnnotation {
        name: Some(name.to_owned()),
        uint_value: Some(value),
        string_value: None,
    }
}

fn string(name: &str, value: &str) -> DebugAnnotation {
    DebugAnnotation {
        name: Some(name.to_owned()),
        uint_value: None,
        string_value: Some(value.to_owned()),
    }
}
