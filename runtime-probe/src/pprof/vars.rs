//! Variables at `/debug/vars`, as Go's `expvar`.
//!
//! ```
//! use runtime_probe::pprof::vars::{self, Func, Int, Map, Value};
//!
//! static ORDERS: Int = Int::new(0);
//! static BY_COUNTRY: Map = Map::new();
//!
//! vars::publish("orders", &ORDERS)?;
//! vars::publish("orders_by_country", &BY_COUNTRY)?;
//! vars::publish("threads", Func::new(|| Value::Int(4)))?;
//! ORDERS.add(1);
//! BY_COUNTRY.add("de", 1);
//! assert!(vars::publish("orders", &ORDERS).is_err());
//! # Ok::<(), vars::PublishError>(())
//! ```
//!
//! The page also has `cmdline` and `memstats` (with Go's names where the meaning is the same), `tokio` (the
//! `RuntimeMetrics` of each runtime, with tokio's names), `tasks` and `probe`.

use crate::profile::vars::BUILT_IN;
use crate::registry::vars::{self, MOST_NAMES, Refused};
use std::fmt;

pub use crate::registry::vars::{Float, Func, Int, Map, Text, Value, Var};

/// Publishes a variable until the process ends. Mirrors Go's `expvar.Publish`; a name that is in use is an error here,
/// and a panic in Go.
///
/// # Errors
/// There is a variable of that name, or there are 1,024.
pub fn publish(name: &str, var: impl Var) -> Result<(), PublishError> {
    match BUILT_IN.contains(&name) {
        true => Err(PublishError(Refused::Taken)),
        false => vars::publish(name, var).map_err(PublishError),
    }
}

/// Why a variable is not published.
#[derive(Debug)]
pub struct PublishError(Refused);

impl std::error::Error for PublishError {}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Refused::Taken => f.write_str("there is a variable of this name already"),
            Refused::TooMany => write!(f, "there are {MOST_NAMES} variables already"),
        }
    }
}
