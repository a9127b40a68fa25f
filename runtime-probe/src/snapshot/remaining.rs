//! Which registrations of a waiting task still hold.
//!
//! A waiting leaf keeps a waker. If there are fewer wakers than registrations, some registrations have ended.

use crate::registry::task::View;

/// How many registrations may still be waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Remaining {
    /// All of them.
    #[default]
    All,
    /// At most so many: there are fewer wakers than registrations.
    AtMost(usize),
    /// All, unless it is a timer: a wake consumed the only waker, and the last poll repeated the registration of that
    /// waker.
    Repeated,
    /// They belong to an earlier poll. The last poll made no registration, and a waker is left.
    Earlier,
    /// None: no waker is left.
    None,
}

impl Remaining {
    /// For a waiting task. `dead` of its wakers belong to nested futures that nothing can wake.
    pub(crate) fn of(view: &View, dead: usize) -> Self {
        let wakers = view.wakers.saturating_sub(dead);
        match view.waits {
            _ if wakers == 0 => Remaining::None,
            // The leaves of a frozen task keep the waker of an earlier poll, and do not register again.
            _ if view.frozen => Remaining::All,
            Some(_) if !view.waits_are_new => Remaining::Earlier,
            Some(waits) if wakers < usize::from(waits.len) => Remaining::AtMost(wakers),
            Some(_) if view.only_repeats && wakers == 1 => Remaining::Repeated,
            _ => Remaining::All,
        }
    }

    /// Whether the last registration may still be a wait.
    pub(crate) fn is_some(self) -> bool {
        matches!(
            self,
            Remaining::All | Remaining::AtMost(_) | Remaining::Repeated
        )
    }
}
