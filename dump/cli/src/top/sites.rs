//! Sites by what their tasks did while the server noted times.

use super::{Order, View, json};
use crate::own_frame::short_file;
use crate::refusal::Refusal;
use crate::show::block::duration;
use crate::show::style::printable;
use crate::show::table::Table;
use crate::source::Source;
use serde_json::Value;
use std::time::Duration;

/// Asks for an interval. The order is the server's: the sums of times that it goes by are not in its answer.
pub(super) fn view(source: &Source, every: Duration, order: Order) -> Result<View, Refusal> {
    let seconds = every.as_secs().max(1);
    let document = json(
        source,
        &format!("tasks?format=json&seconds={seconds}&sort={}", order.word()),
        Duration::from_secs(seconds),
    )?;
    let sites = document["locations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let span = document["seconds"]
        .as_f64()
        .unwrap_or(seconds as f64)
        .max(1e-3);
    let mut table = Table::new(&[
        ">ALIVE",
        ">SPAWNED/S",
        ">POLLS/S",
        ">POLL p50",
        ">p99",
        ">MAX",
        ">WAIT p50",
        ">DELAY p99",
        "FUTURE",
        "SITE",
    ]);
    for site in sites {
        let number = |key: &str| site[key].as_u64().unwrap_or(0);
        let rate = |key: &str| format!("{:.1}", number(key) as f64 / span);
        let time = |kind: &str, key: &str| {
            site[kind][key]
                .as_u64()
                .map_or_else(|| "-".to_owned(), duration)
        };
        table.push(vec![
            number("alive").to_string(),
            rate("spawned"),
            rate("polls"),
            time("poll_ns", "p50"),
            time("poll_ns", "p99"),
            time("poll_ns", "max"),
            time("wait_ns", "p50"),
            time("delay_ns", "p99"),
            printable(
                site["future"]
                    .as_str()
                    .or(site["kind"].as_str())
                    .unwrap_or_default()
                    .trim_end_matches("::{{closure}}"),
            ),
            printable(site["location"].as_str().map_or("unknown", short_file)),
        ]);
    }
    let unlisted = match document["tasks_not_listed"].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("; {count} tasks are not listed"),
    };
    let alive: u64 = sites
        .iter()
        .filter_map(|site: &Value| site["alive"].as_u64())
        .sum();
    Ok(View {
        head: format!(
            "{alive} tasks of {} sites; {span:.1}s{unlisted}",
            sites.len()
        ),
        table,
    })
}
