//! Fewer frames: what a reader asked for (`crate=`), and the towers of servers folded into a line.

use super::leaf_stacks::synthetic;
use runtime_dump::stack::{Frame, Location, Stack};
use std::sync::Arc;

/// What stacks servers and clients from layers: between a connection and its handler lie some twenty functions of these.
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

/// The fewest frames that are worth a line that stands for them.
const FEWEST: usize = 2;

/// The crate that a function is of: of a trait's method, that of the type.
fn crate_of(function: &str) -> &str {
    let inside = function.trim_start_matches(['<', '&']);
    let inside = inside.strip_prefix("mut ").unwrap_or(inside);
    inside.split("::").next().unwrap_or(inside)
}

/// The stack with the frames of some crates only, and the innermost one that is shown: what a task waits for.
pub(super) fn of_crates(stack: &Stack, crates: &[String]) -> Stack {
    let is_wanted = |frame: &Frame| crates.iter().any(|name| name == crate_of(&frame.function));
    let only = |locations: &[Arc<Location>], has_leaf: bool| {
        let leaf = locations.iter().position(|location| !location.hidden);
        let leaf = leaf.filter(|_| has_leaf);
        let kept = locations.iter().enumerate().filter_map(|(at, location)| {
            if leaf == Some(at) {
                return Some(location.clone());
            }
            let mut frames = location.frames.clone();
            frames.retain(is_wanted);
            (!frames.is_empty()).then(|| {
                Arc::new(Location {
                    frames,
                    ..(**location).clone()
                })
            })
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

/// The stack with a line for what lies between the first and the last function of a tower.
pub(super) fn folded(stack: &Stack) -> Stack {
    let mut condensed = stack.clone();
    for branch in &mut condensed.branches {
        branch.locations = fold(&branch.locations);
    }
    // The gap is an index of the trunk.
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
        !location.frames.is_empty()
            && frames.all(|frame| TOWERS.contains(&crate_of(&frame.function)))
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
}
