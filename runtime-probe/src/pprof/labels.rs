//! Labels of what runs, as Go's `pprof.Do`.

use crate::source::labels::{LabelScope, Labeled};
use std::future::Future;

/// Runs a future under labels, keys and values in turn: `pprof::labels(["route", "/order", "tenant", tenant], future).await`.
/// Mirrors Go's `pprof.Do` with `pprof.Labels`.
///
/// They are added to the labels in force where this is called. What is spawned while `future` is polled has them, too, and so has
/// what that spawns. They are in the header of `goroutine?debug=2`, as Go 1.27 has them (`goroutine 7 [sleep] {route: /order}:`), and
/// are labels of the samples of `goroutine`, `block`, `mutex` and `profile`: `go tool pprof -tagfocus=route=/order`. In an execution
/// trace they stand behind the name of the task. A task that
/// waits in several such futures at once has the labels of the one that it polled last.
///
/// Polls, wakes and results are those of `future`. A call costs a look-up of the set, and a poll some nanoseconds; what has no
/// labels costs what it does without this. Each set of labels that occurs is kept for the life of the process, up to 4,095 of them; what
/// comes beyond is counted under the one label `labels: more than 4095 sets, or 16 in one`. So a value should not be the id
/// of a request. Of a key and of a value 256 bytes are kept.
///
/// An odd number of texts does not compile.
///
/// ```
/// use runtime_probe::pprof;
///
/// # runtime_probe::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = pprof::labels(["route", "/order"], async { 42 }).await;
/// assert_eq!(answer, 42);
/// # });
/// ```
///
/// ```compile_fail
/// let missing = runtime_probe::pprof::labels(["route"], async {});
/// ```
#[inline]
pub fn labels<const N: usize, F: Future>(labels: [&str; N], future: F) -> Labeled<F> {
    Labeled::new(pairs(&labels), future)
}

/// Puts labels in force on this thread until the returned [`LabelScope`] is dropped: [`labels()`] for code that is not async. What is
/// spawned meanwhile has them, too. Inside of a task it must be dropped in the same poll: an `.await` is no part of the scope.
///
/// ```
/// use runtime_probe::pprof;
///
/// fn parse(body: &str) -> usize {
///     let _labels = pprof::label_scope(["stage", "parse"]);
///     body.len() // CPU time spent here has the label.
/// }
/// assert_eq!(parse("{}"), 2);
/// ```
#[inline]
pub fn label_scope<const N: usize>(labels: [&str; N]) -> LabelScope {
    LabelScope::new(pairs(&labels))
}

fn pairs<'l, const N: usize>(labels: &[&'l str; N]) -> impl Iterator<Item = (&'l str, &'l str)> {
    const { assert!(N.is_multiple_of(2), "a value is missing") };
    labels.chunks_exact(2).map(|pair| (pair[0], pair[1]))
}
