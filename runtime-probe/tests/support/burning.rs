//! Functions that use the CPU, and measure how much.

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use runtime_dump::profile::proto::{Profile, Sample};
use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};

/// CPU time of this thread, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of this process, in nanoseconds.
pub fn process_cpu_ns() -> u64 {
    cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

#[expect(unsafe_code, reason = "std has no CPU clocks")]
fn cpu_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid pointer, and a clock that there is.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Burns some 50 µs. Reading the clock, which is a system call, is short in comparison.
#[inline(always)]
fn work() {
    let mut x = 1u64;
    for _ in 0..10_000 {
        x = black_box(x.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(7));
    }
    black_box(x);
}

macro_rules! burners {
    ($($(#[$attribute:meta])* $name:ident $spent:ident;)*) => {
        $(
            /// The CPU time of the function with nearly the same name, in nanoseconds.
            pub static $spent: AtomicU64 = AtomicU64::new(0);

            $(#[$attribute])*
            #[inline(never)]
            pub fn $name(time: Duration) {
                let (began, mut spent) = (thread_cpu_ns(), 0);
                while u128::from(spent) < time.as_nanos() {
                    work();
                    let so_far = thread_cpu_ns() - began;
                    $spent.fetch_add(so_far - spent, Relaxed);
                    spent = so_far;
                }
            }
        )*
    };
}

burners! {
    burn_seven SEVEN;
    burn_two TWO;
    burn_one ONE;
    burn_before BEFORE;
    burn_after AFTER;
    burn_named NAMED;
    burn_thread THREAD;
}

/// 70, 20 and 10 of a hundred, in rounds whose length is no multiple of the sampling period.
pub fn burn_round(round: u32) {
    let part = Duration::from_micros(300 + u64::from(round.wrapping_mul(2_654_435_761) >> 22));
    burn_seven(part * 7);
    burn_two(part * 2);
    burn_one(part);
}

/// Only one CPU profile can run at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A runtime whose workers have that name.
pub fn two_workers() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("burner")
        .build()
        .unwrap()
}

/// Two tasks that burn until they are stopped, on two workers, spawned at two places.
pub fn burn_in_two_tasks(runtime: &Runtime, stop: &'static AtomicBool) -> Stop {
    async fn rounds(stop: &'static AtomicBool) {
        let mut round = 0;
        while !stop.load(Relaxed) {
            burn_round(round);
            round += 1;
            runtime_probe::task::yield_now().await;
        }
    }
    runtime.spawn(rounds(stop));
    runtime.spawn(rounds(stop));
    Stop(stop)
}

/// Set at the end of a test, also when it fails.
pub struct Stop(pub &'static AtomicBool);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Waits until the process has used so much more CPU time.
pub fn wait_for_cpu(more: Duration) {
    let (began, deadline) = (process_cpu_ns(), Instant::now() + Duration::from_secs(60));
    while u128::from(process_cpu_ns() - began) < more.as_nanos() {
        assert!(Instant::now() < deadline, "nothing uses the CPU");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A buffer to write to, for a test that keeps another handle to it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The CPU profile of a closure.
pub fn profiled(meanwhile: impl FnOnce()) -> Profile {
    let out = Shared::default();
    pprof::start_cpu_profile(out.clone()).unwrap();
    meanwhile();
    pprof::stop_cpu_profile().unwrap();
    let bytes = out.0.lock().unwrap();
    Profile::decode(&bytes).unwrap()
}

/// The samples whose stack has a function whose name has this end.
pub fn with_function<'p>(
    profile: &'p Profile,
    function: &'p str,
) -> impl Iterator<Item = &'p Sample> {
    profile.sample.iter().filter(move |sample| {
        let lines = sample
            .location_id
            .iter()
            .flat_map(|id| &profile.location[*id as usize - 1].line);
        let mut names = lines.map(|line| {
            let function = &profile.function[line.function_id as usize - 1];
            profile.string(function.name)
        });
        names.any(|name| name.ends_with(function))
    })
}

/// The number of these samples.
pub fn samples_in(profile: &Profile, function: &str) -> i64 {
    with_function(profile, function)
        .map(|sample| sample.value[0])
        .sum()
}

/// The value of a label, if the sample has the label.
pub fn label<'p>(profile: &'p Profile, sample: &Sample, key: &str) -> Option<&'p str> {
    let label = sample
        .label
        .iter()
        .find(|label| profile.string(label.key) == key)?;
    Some(profile.string(label.str))
}

/// The comments of a profile, a line each.
pub fn remarks(profile: &Profile) -> String {
    let remarks = profile.comment.iter().map(|remark| profile.string(*remark));
    remarks.collect::<Vec<_>>().join("\n")
}
