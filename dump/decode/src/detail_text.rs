//! What is known of a wait beside its stack, in words.

use crate::model::{Chain, Detail, Timer};

impl Chain {
    /// A note for each thing that is known, those of branches with their numbers. `holders` says who may hold a semaphore.
    pub fn notes(
        &self,
        now: Option<(i64, u32)>,
        holders: &dyn Fn(u64) -> Option<String>,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        push_details(&mut notes, self, now, holders, "");
        notes
    }
}

impl Detail {
    /// What it says. Of a timer, when the monotonic clock is at `now`, and nothing where that is not known.
    pub fn text(&self, now: Option<(i64, u32)>) -> Option<String> {
        Some(match *self {
            Detail::Fires {
                what,
                seconds,
                nanos,
            } => {
                let (now, now_nanos) = now?;
                let left = (i128::from(seconds) - i128::from(now)) * 1_000_000_000
                    + i128::from(nanos)
                    - i128::from(now_nanos);
                let verb = match what {
                    Timer::Sleep => "fires",
                    Timer::Timeout => "times out",
                };
                match left {
                    0.. => format!("{verb} in {}", span(left)),
                    _ => format!("{verb} since {}", span(-left)),
                }
            }
            Detail::Acquires {
                semaphore,
                wanted,
                available,
            } => format!("wants {wanted} of the {available} permits of semaphore {semaphore:#x}"),
            Detail::Notify(address) => format!("waits for Notify {address:#x}"),
            Detail::Joins(0) => return None,
            Detail::Joins(id) => format!("joins goroutine {id}"),
            Detail::MayHold(semaphore) => format!("may hold semaphore {semaphore:#x}"),
            Detail::Descriptor(number) => format!("file descriptor {number}"),
            Detail::Queued => "waits for a thread of the blocking pool".into(),
            Detail::NotPolled => "not polled yet".into(),
        })
    }
}

/// `3.2s`, `5m3s`, `2h0m3s`.
pub fn span(nanos: i128) -> String {
    let tenths = nanos / 100_000_000;
    let seconds = tenths / 10;
    match seconds {
        0..60 => format!("{}.{}s", seconds, tenths % 10),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!(
            "{}h{}m{}s",
            seconds / 3600,
            seconds % 3600 / 60,
            seconds % 60
        ),
    }
}

fn push_details(
    notes: &mut Vec<String>,
    chain: &Chain,
    now: Option<(i64, u32)>,
    holders: &dyn Fn(u64) -> Option<String>,
    before: &str,
) {
    for detail in &chain.details {
        if let Some(text) = detail.text(now) {
            let note = format!("{before}{text}");
            // A future and the one inside it may have the same descriptor.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if let Detail::Acquires { semaphore, .. } = detail {
            let holders = holders(*semaphore);
            notes.extend(holders.map(|holders| format!("{before}{holders}")));
        }
    }
    if let Some(why) = chain.cut.filter(|_| !chain.frames.is_empty()) {
        notes.push(format!("{before}{why}"));
    }
    let mut leaves = Vec::new();
    flatten(&mut leaves, chain);
    if chain.branches.is_empty() {
        return;
    }
    for (number, details) in leaves.iter().enumerate() {
        for chain in details {
            let branch = Chain {
                details: chain.details.clone(),
                cut: chain.cut,
                frames: chain.frames.clone(),
                branches: Vec::new(),
            };
            push_details(
                notes,
                &branch,
                now,
                holders,
                &format!("branch {}: ", number + 1),
            );
        }
    }
}

/// For each leaf the chains on the way to it, without the outermost.
fn flatten<'c>(leaves: &mut Vec<Vec<&'c Chain>>, chain: &'c Chain) {
    fn go<'c>(leaves: &mut Vec<Vec<&'c Chain>>, way: &[&'c Chain], chain: &'c Chain) {
        let mut way = way.to_vec();
        way.push(chain);
        if chain.branches.is_empty() {
            leaves.push(way);
            return;
        }
        for branch in &chain.branches {
            go(leaves, &way, branch);
        }
    }
    for branch in &chain.branches {
        go(leaves, &[], branch);
    }
}
