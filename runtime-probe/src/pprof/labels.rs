//! Labels for tasks and code, as Go's `pprof.Do`.

use crate::source::labels::{LabelScope, Labeled};
use std::future::Future;

/// Runs a future under labels, keys and values in turn: `pprof::labels(["route", "/order", "tenant", tenant], future).await`.
/// Mirrors Go's `pprof.Do` with `pprof.Labels`.
///
/// The labels are added to those in force at the call. Tasks that are spawned while `future` is polled inherit them,
/// and so do their children. `goroutine?debug=2` shows them in the header of a task, as Go 1.27 does (`goroutine 7
/// [sleep] {route: /order}:`), and the samples of `goroutine`, `block`, `mutex` and `profile` have them as labels:
/// `go tool pprof -tagfocus=route=/order`. An execution trace has them behind the name of the task. A task that waits
/// in several such futures at once has the labels of the future that it polled last.
///
/// The returned future behaves as `future` does. A call costs a look-up of the set, and a poll some nanoseconds; code
/// without labels costs no more. Each set of labels is kept for the life of the process, up to 4,095 sets. All further
/// sets are counted under the one label `labels: more than 4095 sets, or 16 in one`. So a value should not be the id of
/// a request. The first 256 bytes of a key and of a value are kept.
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

/// Puts labels in force on this thread until the returned [`LabelScope`] is dropped: [`labels()`] for code that is not
/// async. Tasks that are spawned in the scope inherit them. Inside of a task the scope must be dropped in the same
/// poll: do not `.await` in it.
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
