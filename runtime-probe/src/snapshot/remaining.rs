//! What is left of the registrations of a task that waits.
//!
//! A leaf that waits keeps a waker. Where fewer wakers are out than leaves have registered, some of these are over.

use crate::registry::task::View;

/// How many registrations may be waits still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Remaining {
    /// All of them.
    #[default]
    All,
    /// At most so many: fewer wakers are out.
    AtMost(usize),
    /// All, unless it is a timer: the only waker was used up by a wake, and the last poll registered where it was from.
    Repeated,
    /// They are of an earlier poll: the last one registered nowhere, and a waker is left.
    Earlier,
    /// None: no waker is left.
    None,
}

impl Remaining {
    /// Of a task that waits. `dead` of its wakers are held by what nothing can wake.
    pub(crate) fn of(view: &View, dead: usize) -> Self {
        let wakers = view.wakers.saturating_sub(dead);
        match view.waits {
            _ if wakers == 0 => Remaining::None,
            // Its leaves keep the waker of an earlier poll, and do not register again.
            _ if view.frozen => Remaining::All,
            Some(_) if !view.waits_are_new => Remaining::Earlier,
            Some(waits) if wakers < usize::from(waits.len) => Remaining::AtMost(wakers),
            Some(_) if view.only_repeats && wakers == 1 => Remaining::Repeated,
            _ => Remaining::All,
        }
    }

    /// Whether the place of the last registration may be a wait.
    pub(crate) fn is_some(self) -> bool {
        matches!(
            self,
            Remaining::All | Remaining::AtMost(_) | Remaining::Repeated
        )
    }
}
