//! Stacks with fewer frames: only those of some crates (`crate=`), or with the layers of servers folded into one line.

use super::leaf_stacks::synthetic;
use runtime_dump::stack::{Frame, Location, Stack};
use std::sync::Arc;

/// Crates that build servers and clients from layers. Between a connection and its handler lie some twenty functions of
/// these.
const TOWERS: [&str; 10] = [
    "axum",
    "axum_core",
    "h2",
    "http_body_util",
    "hyper",
    "hyper_util",
    "tonic",
    "tower",
    "tower_http",
    "tower_service",
];

/// The fewest frames that are folded.
const FEWEST: usize = 2;

/// The crate of a function; of a trait's method, the crate of the type.
pub(crate) fn crate_of(function: &str) -> &str {
    let inside = function.trim_start_matches(['<', '&']);
    let inside = inside.strip_prefix("mut ").unwrap_or(inside);
    inside.split("::").next().unwrap_or(inside)
}

/// Whether a function is of one of [`TOWERS`].
pub(super) fn is_of_a_tower(function: &str) -> bool {
    TOWERS.contains(&crate_of(function))
}

/// The crates whose frames are kept, by their names in code. An empty list keeps all frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crates(Vec<String>);

impl Crates {
    /// Parses names separated by commas, spelled as in Cargo.toml or in code. `None` if one cannot be the name of a
    /// crate.
    pub(crate) fn named(list: &str) -> Option<Self> {
        let is_a_name = |name: &String| {
            let mut bytes = name.bytes();
            !name.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let names: Vec<String> = list.split(',').map(|name| name.replace('-', "_")).collect();
        names.iter().all(is_a_name).then_some(Crates(names))
    }

    /// Removes the frames of other crates from a stack, except the innermost shown frame: what the task waits for, or
    /// runs.
    pub(super) fn condense(&self, stack: &mut Stack) {
        if !self.0.is_empty() {
            *stack = of_crates(stack, &self.0);
        }
    }
}

fn of_crates(stack: &Stack, crates: &[String]) -> Stack {
    let is_wanted = |frame: &Frame| crates.iter().any(|name| name == crate_of(&frame.function));
    let only = |locations: &[Arc<Location>], has_leaf: bool| {
        let leaf = locations.iter().position(|location| !location.hidden);
        let leaf = leaf.filter(|_| has_leaf);
        let kept = locations.iter().enumerate().filter_map(|(at, location)| {
            let frames = location.frames.iter().enumerate();
            let is_leaf = |inlined: usize| inlined == 0 && leaf == Some(at);
            let kept = frames.filter(|(inlined, frame)| is_leaf(*inlined) || is_wanted(frame));
            let frames: Vec<Frame> = kept.map(|(_, frame)| frame.clone()).collect();
            match frames.len() {
                // A location without frames: only its address is known.
                0 if leaf == Some(at) => Some(Arc::clone(location)),
                0 => None,
                all if all == location.frames.len() => Some(Arc::clone(location)),
                // A part of a physical frame gets another address: the real one stands for the whole frame elsewhere.
                _ => Some(Arc::new(Location {
                    return_address: synthetic(&frames, location.return_address),
                    frames,
                    ..(**location).clone()
                })),
            }
        });
        kept.collect()
    };
    let mut condensed = stack.clone();
    for branch in &mut condensed.branches {
        branch.locations = only(&branch.locations, true);
    }
    condensed.trunk = only(&stack.trunk, stack.branches.is_empty());
    condensed.elided = None;
    condensed
}

/// The stack with one line in place of the functions between the first and the last one of a tower.
pub(super) fn folded(stack: &Stack) -> Stack {
    let mut condensed = stack.clone();
    for branch in &mut condensed.branches {
        branch.locations = fold(&branch.locations);
    }
    // The gap is an index into the trunk, so the trunk must not change.
    if stack.elided.is_none() {
        condensed.trunk = fold(&stack.trunk);
    }
    condensed
}

fn fold(locations: &[Arc<Location>]) -> Vec<Arc<Location>> {
    let shown = locations.iter().filter(|location| !location.hidden);
    let shown: Vec<&Arc<Location>> = shown.collect();
    if shown.is_empty() {
        return locations.to_vec();
    }
    let is_tower = |location: &Location| {
        let mut frames = location.frames.iter();
        !location.frames.is_empty() && frames.all(|frame| is_of_a_tower(&frame.function))
    };
    let mut folded = Vec::new();
    for run in shown.chunk_by(|a, b| is_tower(a) && is_tower(b)) {
        let between = run.get(1..run.len() - 1).unwrap_or_default();
        let frames: usize = between.iter().map(|location| location.frames.len()).sum();
        if frames < FEWEST {
            folded.extend(run.iter().map(|location| Arc::clone(location)));
            continue;
        }
        folded.push(Arc::clone(run[0]));
        folded.push(Arc::new(line_for(between, frames)));
        folded.push(Arc::clone(run[run.len() - 1]));
    }
    folded
}

fn line_for(between: &[&Arc<Location>], count: usize) -> Location {
    let frames = between.iter().flat_map(|location| &location.frames);
    let mut crates: Vec<&str> = frames.map(|frame| crate_of(&frame.function)).collect();
    crates.sort_unstable();
    crates.dedup();
    let frame = Frame {
        function: format!("{count} frames of {}", crates.join(", ")).into(),
        file: "".into(),
        line: 0,
    };
    Location {
        return_address: synthetic(&frame, 0),
        function_offset: None,
        frames: vec![frame],
        hidden: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(names: &[&str]) -> Stack {
        let location = |(at, name): (usize, &&str)| {
            Arc::new(Location {
                return_address: at as u64 + 1,
                function_offset: None,
                frames: vec![Frame {
                    function: name.trim_start_matches('-').into(),
                    file: "".into(),
                    line: 0,
                }],
                hidden: name.starts_with('-'),
            })
        };
        Stack {
            trunk: names.iter().enumerate().map(location).collect(),
            ..Stack::default()
        }
    }

    fn names(stack: &Stack) -> Vec<&str> {
        let frames = stack.trunk.iter().flat_map(|location| &location.frames);
        frames.map(|frame| &*frame.function).collect()
    }

    #[test]
    fn a_tower_keeps_its_ends() {
        let long = stack(&[
            "tokio::sync::mutex::Mutex::lock",
            "app::handler",
            "<axum::handler::HandlerFuture as core::future::Future>::poll",
            "-core::pin::Pin::poll",
            "<tower::util::Oneshot as core::future::Future>::poll",
            "hyper::proto::h1::dispatch::Dispatcher::poll",
            "<hyper::server::conn::http1::UpgradeableConnection as core::future::Future>::poll",
            "app::serve",
        ]);
        assert_eq!(
            names(&folded(&long)),
            [
                "tokio::sync::mutex::Mutex::lock",
                "app::handler",
                "<axum::handler::HandlerFuture as core::future::Future>::poll",
                "2 frames of hyper, tower",
                "<hyper::server::conn::http1::UpgradeableConnection as core::future::Future>::poll",
                "app::serve",
            ]
        );
        let short = stack(&["axum::a", "tower::b", "hyper::c"]);
        assert_eq!(names(&folded(&short)), names(&short));
    }

    #[test]
    fn frames_of_a_crate_keep_what_is_waited_for() {
        let all = stack(&[
            "-tokio::x",
            "tokio::sync::mutex::Mutex::lock",
            "<&app::A as core::future::Future>::poll",
            "apple::b",
            "tower::c",
            "app::main",
        ]);
        assert_eq!(
            names(&of_crates(&all, &["app".to_owned()])),
            [
                "tokio::sync::mutex::Mutex::lock",
                "<&app::A as core::future::Future>::poll",
                "app::main",
            ]
        );
    }

    /// One physical frame, as the innermost of a stack and further out, gives two locations: a profile identifies them
    /// by address.
    #[test]
    fn what_is_left_of_a_frame_has_an_address_of_its_own() {
        let mut inlined = stack(&["app::f"]);
        let frame = |name: &str| Frame {
            function: name.into(),
            file: "".into(),
            line: 0,
        };
        let location = Arc::make_mut(&mut inlined.trunk[0]);
        location.frames = vec![frame("core::a"), frame("app::f"), frame("core::b")];
        let mut outer = stack(&["app::leaf", "app::f"]);
        outer.trunk[1] = Arc::clone(&inlined.trunk[0]);
        let crates = ["app".to_owned()];
        let (inlined, outer) = (of_crates(&inlined, &crates), of_crates(&outer, &crates));
        assert_eq!(names(&inlined), ["core::a", "app::f"]);
        assert_eq!(names(&outer), ["app::leaf", "app::f"]);
        assert_ne!(
            inlined.trunk[0].return_address,
            outer.trunk[1].return_address
        );
    }
}
