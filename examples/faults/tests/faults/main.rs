//! Each program in src/bin has one fault, and is without it when its argument is `repaired`. A test starts a program with the probe
//! and reads the pages as a person with curl would: what must be printed of the fault, and that nothing is printed of its repaired
//! twin. It waits until it is: no test sleeps for a fixed time.

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
