//! What the tasks of a stack key do: the text in the brackets of a dump, which filters by state use as well.

use crate::symbol::reason::Reason;
use runtime_dump::goroutine::State;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Does {
    Running,
    Runnable,
    Waiting,
    /// A closure on a thread of the blocking pool.
    Blocking,
    /// A closure in the queue of the blocking pool.
    Queued,
    WaitsFor(Reason),
}

impl Does {
    /// The text in the brackets.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Does::Running => "running",
            Does::Runnable => "runnable",
            Does::Waiting => "waiting",
            Does::Blocking => "blocking",
            Does::Queued => "blocking, queued",
            Does::WaitsFor(reason) => reason.text(),
        }
    }

    pub(crate) fn state(self) -> State {
        match self {
            Does::Running | Does::Blocking => State::Running,
            Does::Runnable | Does::Queued => State::Runnable,
            Does::Waiting | Does::WaitsFor(_) => State::Waiting,
        }
    }
}

/// What the tasks of a stack key do.
#[derive(Clone, Debug)]
pub(crate) struct Doing {
    pub(crate) does: Does,
    /// The reason of each branch, if there are several.
    pub(crate) branches: Vec<Reason>,
    /// What the wrapper of the waiting future waits for, such as the timer of a `timeout`.
    pub(crate) deadline: Option<Reason>,
}

impl Doing {
    pub(crate) fn of(does: Does) -> Self {
        Doing {
            does,
            branches: Vec::new(),
            deadline: None,
        }
    }

    /// The text in the brackets.
    pub(crate) fn text(&self) -> &'static str {
        self.does.text()
    }

    /// Whether any branch waits for this reason.
    pub(crate) fn waits_for(&self, reason: Reason) -> bool {
        self.does == Does::WaitsFor(reason) || self.branches.contains(&reason)
    }
}
