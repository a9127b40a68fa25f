//! Each program in src/bin has one fault; its test starts it with the probe and reads the pages as a person with curl would.
//! A test says what must be printed and what must not, and waits until it is: no test sleeps for a fixed time.

mod blocking_pool;
mod dashmap;
mod deadlock;
mod futurelock;
mod joinset;
mod localset;
mod lost_after_sleep;
mod other_locks;
mod past_branches;
mod permit_leak;
mod process;
mod spin;
mod std_mutex_root;
mod stdin;
mod token;
