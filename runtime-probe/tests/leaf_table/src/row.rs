//! A row of a table: a leaf, and the task that waits there.

/// The text of this file: the lines of every `outer` are in it.
pub const SOURCE: &str = include_str!("row.rs");

/// A leaf, and the task that waits there.
pub struct Row {
    pub name: &'static str,
    /// The text in the brackets.
    pub reason: &'static str,
    /// The frames above the row's own.
    pub frames: &'static [&'static str],
    /// The id of the task; `None` for the root of a `block_on`.
    pub id: Option<u64>,
    /// The module that the row is in.
    pub table: &'static str,
    /// The text of that module's file, to find its lines.
    pub source: &'static str,
}

/// The table of a module, from rows `name: reason, [frames] { the body of the inner async fn }`, and its `spawn_all`.
///
/// Frames are those of a dump, leaf first. The two frames of the row's own fns, which come last in all rows, are left
/// out. `a|b` is `a`, or `b` if line tables alone give the names. `a/b` is `a`, or `b` if `a` ends with a call of `b`
/// that the optimizer made a jump. `select.branch` stands for the pseudo frame above a branch, and `..` for any
/// frames of the crate of the frame below it. A `~` before all frames marks a library that has several functions of
/// the same name in a file: then only the row's own frames are checked with line tables alone. Each body has one line
/// that waits, and only that line has `.await;` or ends a macro call that waits. The module has its own text as
/// `SOURCE`.
macro_rules! rows {
    ($($name:ident: $reason:literal, [$($frame:literal),* $(,)?] $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;
            pub async fn outer() {
                inner().await
            }
            async fn inner() {
                $body
            }
        })*

        /// Spawns all rows. Must be called inside a runtime.
        pub fn spawn_all() -> Vec<crate::row::Row> {
            vec![$(crate::row::Row {
                name: stringify!($name),
                reason: $reason,
                frames: &[$($frame),*],
                id: tokio::spawn($name::outer()).id().to_string().parse().ok(),
                table: module_path!(),
                source: SOURCE,
            }),*]
        }
    };
}
pub(crate) use rows;
