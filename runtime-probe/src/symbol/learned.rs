//! The reason of a leaf's wait by its return addresses, for stripped binaries.

use super::reason::Reason;
#[cfg(feature = "rt")]
use crate::source::specimens;
use std::sync::OnceLock;

/// (return addresses that a stack begins with, reason)
type Beginnings = Vec<(Vec<usize>, Reason)>;

/// The reason of a stack: that of the longest known beginning.
pub(crate) fn reason(pcs: &[usize]) -> Reason {
    static KNOWN: OnceLock<Beginnings> = OnceLock::new();
    longest(KNOWN.get_or_init(beginnings), pcs)
}

fn longest(known: &Beginnings, pcs: &[usize]) -> Reason {
    let fits = known.iter().filter(|(begin, _)| pcs.starts_with(begin));
    // Of equal lengths the first: a primitive comes before the types built of it.
    let best = fits.rev().max_by_key(|(begin, _)| begin.len());
    best.map_or(Reason::Unknown, |(_, reason)| *reason)
}

#[cfg(feature = "rt")]
fn beginnings() -> Beginnings {
    let taken = specimens::take().into_iter();
    taken
        .map(|specimen| (specimen.pcs, specimen.reason))
        .collect()
}

#[cfg(not(feature = "rt"))]
fn beginnings() -> Beginnings {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_decides() {
        let (sleep, receive) = (Reason::Sleep, Reason::ChanReceive);
        let known = vec![
            (vec![1], Reason::Unknown),
            (vec![1, 2, 3], sleep),
            (vec![1, 2], receive),
            (vec![1, 2], Reason::Yield),
        ];
        assert_eq!(longest(&known, &[1, 2, 3, 9]), sleep);
        assert_eq!(longest(&known, &[1, 2, 9]), receive);
        assert_eq!(longest(&known, &[1, 9]), Reason::Unknown);
        assert_eq!(longest(&known, &[7]), Reason::Unknown);
    }
}
