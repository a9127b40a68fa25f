//! Decodes where tasks wait, from their futures in this process's memory: for foreign tasks, and for futurelocks of
//! tokio's own semaphores.
//!
//! The types are in the debug information. The first question starts a thread that builds an index of it. That thread
//! keeps index and types and answers one question after the other, so that no thread of the server has to.
//!
//! Rejected: a table of the types, generated beforehand. Each build would need its own, and the process would have to
//! find it.

use super::debug_file;
use super::own_pages::OwnPages;
use crate::sys::own_thread;
use crate::sys::{modules, monotonic, thread};
use runtime_dump::goroutine::notes::Notes;
use runtime_dump_decode::debug::index::{Index, Sections};
use runtime_dump_decode::debug::types::Types;
use runtime_dump_decode::debug::unusable::Unusable;
use runtime_dump_decode::detail_text::Words;
use runtime_dump_decode::mapped::Mapped;
use runtime_dump_decode::model::{Chain, Detail, Frames};
use runtime_dump_decode::numbers::{NumberHasher, NumberMap};
use runtime_dump_decode::stacks::{ChainStack, Shape, Stacks};
use runtime_dump_decode::waits::{Cycle, Waits};
use runtime_dump_decode::{Budget, Decoder, Memory, Process, is_waiting};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The memory limit of the index: 10 times the index of a program of 40 MB.
const MOST_BYTES: usize = 256 << 20;

/// How long the first callers wait for the index: a program of 40 MB takes 0.15 s.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The time limit of decoding the tasks of one question, once they are found.
const MOST_TIME: Duration = Duration::from_secs(1);

/// How many tasks are decoded between two looks at the clock.
const CLOCK_EVERY: usize = 64;

/// How long a caller waits for its answer: other questions may be in the queue before it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most waiting questions.
const QUEUE: usize = 4;

/// The limits of one decoding.
const BUDGET: Budget = Budget {
    tasks: 1 << 20,
    nodes: 2_000,
    depth: 250,
    children: 200,
    bytes: 1 << 30,
};

/// The tasks to decode.
#[derive(Debug)]
pub(crate) struct Question {
    /// Words of the handles of their runtimes.
    pub(crate) handles: Vec<u64>,
    /// tokio's ids of the tasks.
    pub(crate) ids: Vec<u64>,
}

/// The result of a question.
#[derive(Debug)]
pub(crate) enum Answer {
    Found(Box<Found>),
    /// The debug information is being read.
    Reading,
    /// The debug information cannot be used, and why.
    Unusable(String),
    /// Other questions are being answered.
    Busy,
}

/// The decoded tasks.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The tasks by their ids, in the order of their addresses.
    pub(crate) waits: Vec<(u64, Wait)>,
    /// The tasks that may end a wait.
    others: Waits,
    /// The time of the monotonic clock, which timers are relative to.
    now: Option<(i64, u32)>,
    /// Tasks that wait for each other, as far as their futures tell.
    pub(crate) cycles: Vec<Cycle>,
    /// The different stacks, each once.
    pub(crate) stacks: Vec<ChainStack>,
    /// How many tasks were left out for lack of time.
    pub(crate) left_out: usize,
    /// How many elements of collections are beyond the bounds of what is searched for ends of channels.
    pub(crate) left_out_of_collections: u64,
    /// About how much memory the index takes.
    pub(crate) index_bytes: usize,
}

/// Where a task waits.
#[derive(Debug)]
pub(crate) struct Wait {
    /// Index into [`Found::stacks`].
    pub(crate) stack: usize,
    pub(crate) given: Vec<Given>,
    chain: Chain,
}

impl Wait {
    /// The semaphores whose permits the task waits for.
    pub(crate) fn semaphores(&self) -> Vec<u64> {
        self.chain.semaphores()
    }
}

impl Found {
    /// Adds the notes on the wait of a task.
    pub(crate) fn add_notes(&self, notes: &mut Notes, id: u64, wait: &Wait, is_foreign: bool) {
        let words = Words {
            now: self.now,
            others: &|detail| self.others.others(detail, id),
            // The stack of a task of the probe's own has its branches in another order.
            numbers_branches: is_foreign,
            tells: match is_foreign {
                true => &|_| true,
                false => &is_unknown_to_the_probe,
            },
        };
        wait.chain.add_notes(notes, &words);
    }
}

/// Permits that were granted to a task through a future that it keeps and does not poll.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) semaphore: u64,
    /// The future's address.
    pub(crate) future: u64,
    pub(crate) is_lock: bool,
    /// "room in a channel"
    pub(crate) thing: String,
    /// ``the future `claim` of shop::claim (tokio::sync::mpsc::bounded::Sender::send)``
    pub(crate) through: String,
}

struct Job {
    question: Question,
    answer: SyncSender<Progress>,
}

/// The state of an answer.
#[derive(Debug)]
enum Progress {
    /// The futures were read. Their waits are being compared.
    Read,
    Done(Box<Found>),
}

enum State {
    Idle,
    Reading,
    Ready(SyncSender<Job>),
    Unusable(String),
}

static STATE: Mutex<State> = Mutex::new(State::Idle);
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(state: State) {
    *lock() = state;
    CHANGED.notify_all();
}

/// The remark on a decoding thread that answers no more.
const ENDED: &str = "the decoding thread has ended";

/// A question that was asked.
#[derive(Debug)]
pub(crate) enum Asked {
    Sent(Sent),
    /// There is no decoding to wait for.
    Not(Answer),
}

/// A question that the decoding thread has.
#[derive(Debug)]
pub(crate) struct Sent {
    progress: Receiver<Progress>,
    /// When the caller stops waiting.
    until: Instant,
}

/// A question whose futures were read. The answer takes some more time, in which the caller can find out whose futures
/// did not change meanwhile.
#[derive(Debug)]
pub(crate) struct Read(Sent);

impl Asked {
    /// Waits until the futures were read, up to some seconds. The error is the answer if they were not read.
    pub(crate) fn until_read(self) -> Result<Read, Answer> {
        match self {
            Asked::Sent(sent) => match sent.next()? {
                Progress::Read => Ok(Read(sent)),
                // An answer without this report is not known to be older than what the caller does next.
                Progress::Done(_) => Err(Answer::Busy),
            },
            Asked::Not(answer) => Err(answer),
        }
    }

    /// Waits for the answer, up to some seconds.
    pub(crate) fn answer(self) -> Answer {
        match self.until_read() {
            Ok(read) => read.answer(),
            Err(answer) => answer,
        }
    }
}

impl Read {
    /// Waits for the answer.
    pub(crate) fn answer(self) -> Answer {
        match self.0.next() {
            Ok(Progress::Done(found)) => Answer::Found(found),
            Ok(Progress::Read) => Answer::Busy,
            Err(answer) => answer,
        }
    }
}

impl Sent {
    fn next(&self) -> Result<Progress, Answer> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.progress.recv_timeout(left).map_err(|why| match why {
            RecvTimeoutError::Timeout => Answer::Busy,
            RecvTimeoutError::Disconnected => Answer::Unusable(ENDED.into()),
        })
    }
}

/// Has the decoding thread find where these tasks wait. Waits half a second for the index where it is being made.
pub(crate) fn ask(question: Question) -> Asked {
    let mut state = lock();
    if matches!(*state, State::Idle) {
        *state = match own_thread::spawn("probe-decode", work) {
            Ok(_) => State::Reading,
            Err(error) => State::Unusable(format!("no thread can be had: {error}")),
        };
    }
    let is_reading = |state: &mut State| matches!(state, State::Reading);
    let waited = CHANGED.wait_timeout_while(state, FIRST_WAIT, is_reading);
    let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    let jobs = match &*state {
        State::Idle | State::Reading => return Asked::Not(Answer::Reading),
        State::Unusable(why) => return Asked::Not(Answer::Unusable(why.clone())),
        State::Ready(jobs) => jobs.clone(),
    };
    drop(state);
    let (answer, progress) = sync_channel(2);
    let until = Instant::now() + PATIENCE;
    match jobs.try_send(Job { question, answer }) {
        Ok(()) => Asked::Sent(Sent { progress, until }),
        Err(TrySendError::Full(_)) => Asked::Not(Answer::Busy),
        Err(TrySendError::Disconnected(_)) => Asked::Not(Answer::Unusable(ENDED.into())),
    }
}

/// The main function of the decoding thread.
fn work() {
    thread::lower_priority();
    if let Err(why) = answer_all() {
        set(State::Unusable(why.to_string()));
    }
}

fn answer_all() -> Result<(), Unusable> {
    let modules = modules::loaded();
    let program = modules.iter().find(|module| module.is_program());
    let Some(program) = program.or(modules.first()) else {
        return Err(unreadable(Path::new("the program"), "it is not found"));
    };
    #[cfg(unix)]
    let path = debug_file::of(program);
    #[cfg(not(unix))]
    let path = program.path.clone();
    let file = Mapped::open(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
    let package = package(&path).or_else(|| package(&program.path));
    let package = package.as_ref().map(|package| (&**package, &*package.path));
    let sections = Sections::read((&file, &path), package)?;
    let index = Index::build(&sections, &path, MOST_BYTES)?;
    let types = Types::new(&index);
    let mut decoder = Decoder::new(&types);
    let (jobs, asked) = sync_channel(QUEUE);
    set(State::Ready(jobs));
    let index_bytes = sections.bytes() + index.bytes();
    serve(&asked, &mut decoder, program.base, index_bytes);
    Ok(())
}

fn serve(asked: &Receiver<Job>, decoder: &mut Decoder<'_, '_, '_>, bias: u64, index_bytes: usize) {
    let pages = OwnPages::new();
    for Job { question, answer } in asked {
        // The caller may have stopped waiting.
        let is_read = || _ = answer.send(Progress::Read);
        let found = look(&question, decoder, &pages, bias, is_read);
        let _ = answer.send(Progress::Done(Box::new(Found {
            index_bytes,
            ..found
        })));
    }
}

fn unreadable(path: &Path, why: &str) -> Unusable {
    Unusable::Unreadable(path.into(), why.into())
}

/// The package of split debug information beside a file.
fn package(beside: &Path) -> Option<Mapped> {
    let real = std::fs::canonicalize(beside).ok()?;
    let mut name = real.into_os_string();
    name.push(".dwp");
    Mapped::open(&PathBuf::from(name)).ok()
}

/// Whether the probe cannot tell this of a task of its own by itself.
fn is_unknown_to_the_probe(detail: &Detail) -> bool {
    matches!(
        detail,
        Detail::Fires { .. } | Detail::Descriptor(_) | Detail::End(_)
    )
}

/// The address of the frames, if these are a route's and all that the chain's stack shows.
fn route_of(chain: &Chain) -> Option<usize> {
    match &chain.frames {
        Frames::Shared(frames) if chain.branches.is_empty() && chain.cut.is_none() => {
            Some(frames.as_ptr().addr())
        }
        _ => None,
    }
}

/// A task that was decoded.
struct Seen {
    id: u64,
    /// (address of tokio's word of its state, the word when the task was decoded).
    state: (u64, u64),
    chain: Chain,
}

/// Finds the tasks and decodes those whose state word is the same after the reads. Calls `is_read` after all reads. The
/// caller leaves out tasks that were polled since its question.
fn look(
    question: &Question,
    decoder: &mut Decoder<'_, '_, '_>,
    pages: &OwnPages,
    bias: u64,
    is_read: impl FnOnce(),
) -> Found {
    pages.renew();
    decoder.take_stored();
    let ids = &question.ids;
    let places = decoder.locate(pages, &|| pages.renew(), &question.handles, ids, BUDGET);
    let mut places: Vec<(u64, u64)> = places.into_iter().zip(ids.iter().copied()).collect();
    places.retain(|(at, _)| *at != 0);
    // Neighbours in memory share pages. Tasks that were spawned one after the other are mostly in order, which this sort uses.
    places.sort();
    let process = Process {
        memory: pages,
        bias,
        thread_locals: 0,
        threads: &[],
        seeds: &[],
        is_traced: false,
    };
    let until = Instant::now() + MOST_TIME;
    let mut found = Found {
        now: monotonic::now(),
        ..Found::default()
    };
    let mut seen: Vec<Seen> = Vec::with_capacity(places.len());
    // The ends of channels of tasks that are being polled.
    let mut polled: Vec<(u64, Chain)> = Vec::new();
    for (number, (at, id)) in places.iter().enumerate() {
        if number.is_multiple_of(CLOCK_EVERY) && Instant::now() > until {
            found.left_out = places.len() - number;
            break;
        }
        if let Some((word, chain)) = decoder.waiting_chain(&process, *at, *id, BUDGET)
            && let Some(place) = decoder.state_of(*at)
        {
            match chain.frames.is_empty() && chain.branches.is_empty() {
                true => polled.push((*id, chain)),
                false => seen.push(Seen {
                    id: *id,
                    state: (place, word),
                    chain,
                }),
            }
        }
    }
    pages.renew();
    seen.retain(|seen| {
        let (place, before) = seen.state;
        let is_same = pages.word(place) == Some(before);
        if !is_same {
            polled.push((seen.id, seen.chain.only_ends()));
        }
        is_same
    });
    is_read();
    let waiting = seen.iter().map(|seen| {
        let (_, word) = seen.state;
        (seen.id, is_waiting(word), &seen.chain)
    });
    let polled = polled.iter().map(|(id, chain)| (*id, false, chain));
    let stored = decoder.take_stored();
    found.left_out_of_collections = stored.left_out;
    found.others = Waits::of(waiting.chain(polled), std::iter::empty(), stored);
    found.cycles = found.others.cycles();
    let mut stacks = Stacks::new(decoder.frames());
    let mut made: HashMap<Shape<'_>, usize, BuildHasherDefault<NumberHasher>> = HashMap::default();
    // By the address of a route's frames, for chains that have nothing else in their stacks.
    let mut of_route: NumberMap<usize, usize> = NumberMap::default();
    let stack_of = seen.iter().map(|seen| {
        let route = route_of(&seen.chain);
        if let Some(known) = route.and_then(|route| of_route.get(&route)) {
            return *known;
        }
        let stack = *made.entry(Shape(&seen.chain)).or_insert_with(|| {
            found.stacks.push(stacks.stack(&seen.chain, false));
            found.stacks.len() - 1
        });
        of_route.extend(route.map(|route| (route, stack)));
        stack
    });
    let stack_of: Vec<usize> = stack_of.collect();
    found.waits.reserve(seen.len());
    for (Seen { id, chain, .. }, stack) in seen.into_iter().zip(stack_of) {
        let given = chain.kept.iter().map(|kept| Given {
            semaphore: kept.semaphore,
            future: kept.future,
            is_lock: kept.is_lock(decoder.frames()),
            thing: kept.thing(decoder.frames()),
            through: kept.through(decoder.frames()),
        });
        let wait = Wait {
            stack,
            given: given.collect(),
            chain,
        };
        found.waits.push((id, wait));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(patience: Duration) -> (SyncSender<Progress>, Asked) {
        let (answer, progress) = sync_channel(2);
        let until = Instant::now() + patience;
        (answer, Asked::Sent(Sent { progress, until }))
    }

    fn done() -> Progress {
        Progress::Done(Box::default())
    }

    #[test]
    fn a_caller_compares_polls_only_after_the_reads() {
        // The reads end after the caller's time.
        let (answer, late) = asked(Duration::ZERO);
        assert!(matches!(late.until_read(), Err(Answer::Busy)));
        assert!(answer.send(Progress::Read).is_err());
        let (answer, read) = asked(PATIENCE);
        answer.send(Progress::Read).unwrap();
        let read = read.until_read().unwrap();
        answer.send(done()).unwrap();
        assert!(matches!(read.answer(), Answer::Found(_)));
        let (answer, unread) = asked(PATIENCE);
        answer.send(done()).unwrap();
        assert!(matches!(unread.until_read(), Err(Answer::Busy)));
    }

    #[test]
    fn an_ended_decoding_thread_is_not_said_to_be_busy() {
        let is_ended = |answer| matches!(answer, Answer::Unusable(why) if why == ENDED);
        let (answer, never_read) = asked(PATIENCE);
        drop(answer);
        assert!(is_ended(never_read.until_read().unwrap_err()));
        let (answer, never_done) = asked(PATIENCE);
        answer.send(Progress::Read).unwrap();
        drop(answer);
        assert!(is_ended(never_done.until_read().unwrap().answer()));
    }
}
