//! Makes the models of `runtime-dump` from snapshots and symbols, a file per profile.
//!
//! In reading order:
//! * [`parting`]: compares two registrations of one poll;
//! * [`leaves`]: the registrations of a poll that are waits;
//! * [`leaf_stacks`]: one readable stack and a wait reason from a task's raw stacks;
//! * [`thread_stacks`]: the stack of a running task, or of a thread, from a thread's frames;
//! * [`doing`]: what tasks do: the text in the brackets of a dump;
//! * [`selection`]: the tasks that a dump shows, their number, and the form of names;
//! * [`conditions`]: troubles of a whole runtime;
//! * `held_locks`: the holders of the locks that tasks wait for;
//! * `awaited`: the tasks whose end other tasks wait for;
//! * [`idle`]: why a ready task is not polled;
//! * [`condensed`]: stacks with fewer frames;
//! * `decoded`: stacks of foreign tasks, from their futures;
//! * `permit_waits`: waits for permits of tokio's semaphores;
//! * `given_permits`: permits of tokio's semaphores that a task was granted and does not take;
//! * [`goroutine`]: the goroutine dump: all tasks with their stacks;
//! * [`goroutine_forms`]: the forms of that dump;
//! * [`leaks`]: tasks that can never be woken;
//! * [`left`]: tasks that a leak check finds;
//! * [`threads`]: all threads, and tokio's counts of its workers;
//! * `worker_table`: these counts as tables;
//! * [`ongoing`]: waits that have not ended, of tasks and threads;
//! * [`block`]: the block profile;
//! * [`mutex`]: the mutex profile;
//! * [`contended`]: the forms that these two share;
//! * [`lock_table`]: the locks with waiters;
//! * `lock_json`: the same as JSON;
//! * `lock_cards`: the same for the HTML page;
//! * [`sites`]: tasks by spawn site, with the times of their polls and waits;
//! * [`cpu`]: the CPU profile;
//! * [`heap`]: the heap profiles;
//! * [`long_waits`]: waits that last too long;
//! * [`growth`]: counts that grow;
//! * [`alarms`]: the alarms of a watchdog;
//! * [`custom`]: profiles of the program's own;
//! * [`figures`]: figures for time series;
//! * [`vars`]: variables, as JSON;
//! * [`address_names`]: names for the addresses of a text profile;
//! * [`named`]: the list of named profiles;
//! * [`diagnosis`]: what the probe cannot show, and why;
//! * `troubles`: the troubles in a dump, the worst first;
//! * `overview`: troubles, states, workers and resources of the process;
//! * `task_table`: tasks in groups, and the facts about one task;
//! * `timeline`: the polls of each thread in the last seconds;
//! * `own_code`: recognizes frames of the program's own crates;
//! * [`mappings`]: the process's executable mappings.

pub(crate) mod address_names;
pub(crate) mod alarms;
mod awaited;
pub(crate) mod block;
pub(crate) mod condensed;
pub(crate) mod conditions;
pub(crate) mod contended;
pub(crate) mod cpu;
pub(crate) mod custom;
#[cfg(feature = "decode")]
mod decoded;
pub(crate) mod diagnosis;
pub(crate) mod doing;
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "the page is not built in")
)]
pub(crate) mod figures;
#[cfg(feature = "decode")]
mod given_permits;
pub(crate) mod goroutine;
pub(crate) mod goroutine_forms;
pub(crate) mod growth;
pub(crate) mod heap;
mod held_locks;
pub(crate) mod idle;
pub(crate) mod leaf_stacks;
pub(crate) mod leaks;
mod leaves;
#[cfg(feature = "rt")]
pub(crate) mod left;
#[cfg(feature = "ui")]
pub(crate) mod lock_cards;
mod lock_json;
pub(crate) mod lock_table;
pub(crate) mod long_waits;
pub(crate) mod mappings;
pub(crate) mod mutex;
pub(crate) mod named;
pub(crate) mod ongoing;
#[cfg(feature = "ui")]
pub(crate) mod overview;
#[cfg(feature = "ui")]
pub(crate) mod own_code;
mod parting;
mod permit_waits;
#[cfg(feature = "rt")]
pub(crate) mod sched;
pub(crate) mod selection;
mod site_bytes;
pub(crate) mod sites;
#[cfg(feature = "ui")]
pub(crate) mod task_table;
pub(crate) mod thread_stacks;
pub(crate) mod threads;
#[cfg(feature = "ui")]
pub(crate) mod timeline;
pub(crate) mod trace;
#[cfg(feature = "ui")]
pub(crate) mod troubles;
pub(crate) mod vars;
#[cfg(feature = "rt")]
pub(crate) mod worker_table;
