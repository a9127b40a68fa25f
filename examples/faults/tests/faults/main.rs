//! Each program in src/bin has one fault, and runs without it with the argument `repaired`. A test starts a program with the
//! probe and reads its pages as a user with curl would: the fault must be reported, and for the repaired twin no fault may be.
//! The tests poll for the text; none sleeps for a fixed time.

mod barrier;
mod block_on_worker;
mod blocking_call;
mod blocking_pool;
mod buffered;
mod convoy;
mod dashmap;
mod deadlock;
mod drain_under_lock;
mod dropped_runtime;
mod forgotten_reply;
mod full_channels;
mod futurelock;
mod half_read;
mod join_ring;
mod joinset;
mod kept_sender;
mod localset;
mod lost_after_sleep;
mod lost_notify;
mod mixed_locks;
mod nested_permits;
mod other_locks;
mod past_branches;
mod permit_leak;
mod process;
mod read_twice;
mod reentrant_init;
mod self_lock;
mod sleeping_pool;
mod spawn_growth;
mod spin;
mod std_mutex_root;
mod stdin;
mod token;
mod wake_in_driver;
mod watch_borrow;
