//! From snapshots and symbols to the models of `runtime-dump`, a file per profile.
//!
//! In reading order:
//! * [`parting`]: where two registrations of one poll part, and what the earlier one is by that;
//! * [`leaves`]: which registrations of a poll are waits;
//! * [`leaf_stacks`]: one task's raw stacks become one readable stack and a wait reason;
//! * [`thread_stacks`]: a thread's frames become that of a task that runs on it, or of the thread;
//! * [`doing`]: what tasks do, as the brackets have it;
//! * [`selection`]: which tasks a dump shows, how many, under which names;
//! * [`conditions`]: what is wrong with a whole runtime;
//! * `held_locks`: who has the locks that tasks wait for;
//! * `awaited`: whose ends tasks wait for;
//! * [`idle`]: who does not poll a task that is ready;
//! * [`condensed`]: which frames it leaves out;
//! * `decoded`: where foreign tasks wait, by their futures;
//! * `given_permits`: permits of tokio's own semaphores that a task does not take;
//! * [`goroutine`]: these tasks;
//! * [`goroutine_forms`]: the forms of a dump of them;
//! * [`leaks`]: those that can never go on;
//! * [`left`]: tasks that a check for leaks finds left behind;
//! * [`threads`]: all threads, and what tokio counts of its workers;
//! * `worker_table`: the latter as tables;
//! * [`ongoing`]: waits that have not ended, of tasks and threads;
//! * [`block`]: where tasks waited for each other;
//! * [`mutex`]: who made others wait for a lock;
//! * [`contended`]: the forms of these two;
//! * [`lock_table`]: the locks that something waits for;
//! * `lock_json`: the same as JSON;
//! * `lock_cards`: the same for a page to look at;
//! * [`sites`]: tasks by where they were spawned, and how long their polls and waits take;
//! * [`cpu`]: what ran;
//! * [`heap`]: what is allocated and alive;
//! * [`long_waits`]: waits that should have ended;
//! * [`growth`]: counts that become more and more;
//! * [`alarms`]: what a watchdog tells of what it sees;
//! * [`custom`]: profiles of the program's own;
//! * [`figures`]: numbers for a time series;
//! * [`vars`]: variables, as JSON;
//! * [`address_names`]: names for the addresses of a text that was handed out;
//! * [`named`]: those of these that have a name;
//! * [`diagnosis`]: what cannot be shown, and why;
//! * `troubles`: what is wrong in a dump, the worst first;
//! * `overview`: that, and what the process and its workers do;
//! * `task_table`: tasks in groups, and one of them with all that is known of it;
//! * `timeline`: what each thread polled in the last seconds;
//! * `own_code`: which frames are of the program's own crates;
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
