//! Starts what the environment asks for, when the first runtime is built.

use super::trace;
use super::{
    Server, set_block_profile_rate, set_mem_profile_rate, set_mutex_profile_fraction,
    set_task_histograms,
};
use crate::duty::{debug_lines, sigquit, watchdog};
use crate::environment::{
    self, BLOCK_RATE, LISTEN, MEM_RATE, MUTEX_FRACTION, TASK_HISTOGRAMS, TOKEN,
};
use crate::source;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Starts the probe, and the server if `RUNTIME_PROBE_LISTEN` names an address. Only the first call of a process reads
/// the environment. Errors are complaints and do not stop the application.
pub(crate) fn start_from_environment() {
    static FIRST: std::sync::Once = std::sync::Once::new();
    FIRST.call_once(|| {
        if !source::start() {
            return;
        }
        set_rates_from_environment();
        sigquit::from_environment();
        trace::from_environment();
        watchdog::from_environment();
        debug_lines::from_environment();
        let Some(address) = LISTEN.value() else {
            return;
        };
        match from_environment(&address, TOKEN.value_or_empty()).serve() {
            Ok(serving) => {
                let url = serving.url();
                serving.detach();
                environment::say(&format!("listening on {url}"));
            }
            Err(error) => {
                let address = address.to_string_lossy();
                environment::complain(format!("cannot listen on {address}: {error}"));
            }
        }
    });
}

fn set_rates_from_environment() {
    if let Some(ns) = BLOCK_RATE.number("a number of nanoseconds; block profiling stays off") {
        set_block_profile_rate(ns.into());
    }
    if let Some(bytes) = MEM_RATE.number("a number of bytes; the heap is sampled as without it") {
        set_mem_profile_rate(bytes.into());
    }
    let unlocks = "a number of unlocks; mutex profiling stays off";
    if let Some(fraction) = MUTEX_FRACTION.number(unlocks) {
        match fraction.try_into() {
            Ok(fraction) => drop(set_mutex_profile_fraction(fraction)),
            Err(_) => MUTEX_FRACTION.refuse(format_args!("not {unlocks}")),
        }
    }
    const SWITCH: &str = "1 or 0; task histograms stay off";
    match TASK_HISTOGRAMS.number(SWITCH) {
        None | Some(0) => {}
        Some(1) => drop(set_task_histograms(true)),
        Some(_) => TASK_HISTOGRAMS.refuse(format_args!("not {SWITCH}")),
    }
}

/// An empty token counts as set (and is refused): if a script fails to fill it in, the server must not run without one.
fn from_environment(address: &OsStr, token: Option<OsString>) -> Server {
    let server = match address.as_bytes().strip_prefix(b"unix:") {
        Some(path) => Server::unix(OsStr::from_bytes(path)),
        None => Server::new(&*address.to_string_lossy()),
    };
    match token {
        Some(token) => server.allow_remote(token.to_string_lossy()),
        None => server,
    }
}
