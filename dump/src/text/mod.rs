//! Pieces of text that several formats share.
//!
//! * [`digits`]: numbers as text;
//! * [`duration`]: durations as text;
//! * [`quoted`]: names, quoted where necessary;
//! * [`single_line`]: texts without line breaks;
//! * [`stack`]: a stack, with two lines for each frame;
//! * [`tabwriter`]: cells in columns.

pub(crate) mod digits;
pub(crate) mod duration;
pub(crate) mod quoted;
pub(crate) mod single_line;
pub(crate) mod stack;
pub(crate) mod tabwriter;
