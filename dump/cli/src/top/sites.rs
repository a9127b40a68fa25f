//! Spawn sites by the activity of their tasks while the server measured.

use super::{Order, View, json};
use crate::own_frame::short_file;
use crate::refusal::Refusal;
use crate::show::block::{duration, size};
use crate::show::style::printable;
use crate::show::table::Table;
use crate::source::Source;
use serde_json::Value;
use std::time::Duration;

/// Asks for an interval. The server sorts, because its answer lacks the sums that the order needs.
pub(super) fn view(source: &Source, every: Duration, order: Order) -> Result<View, Refusal> {
    let seconds = every.as_secs().max(1);
    let document = json(
        source,
        &format!("tasks?format=json&seconds={seconds}&sort={}", order.word()),
        Duration::from_secs(seconds),
    )?;
    Ok(table(&document, seconds))
}

/// The table of the server's answer, with a row for each site.
fn table(document: &Value, seconds: u64) -> View {
    let sites = document["locations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let span = document["seconds"]
        .as_f64()
        .unwrap_or(seconds as f64)
        .max(1e-3);
    let has_bytes = document["heap"] == true;
    let mut header = vec![
        ">ALIVE",
        ">SPAWNED/S",
        ">POLLS/S",
        ">POLL p50",
        ">p99",
        ">MAX",
        ">WAIT p50",
        ">DELAY p99",
    ];
    if has_bytes {
        header.extend([">HEAP", ">ALLOC/S"]);
    }
    header.extend(["FUTURE", "SITE"]);
    let mut table = Table::new(&header);
    for site in sites {
        let number = |key: &str| site[key].as_u64().unwrap_or(0);
        let rate = |key: &str| format!("{:.1}", number(key) as f64 / span);
        let time = |kind: &str, key: &str| {
            site[kind][key]
                .as_u64()
                .map_or_else(|| "-".to_owned(), duration)
        };
        let mut row = vec![
            number("alive").to_string(),
            rate("spawned"),
            rate("polls"),
            time("poll_ns", "p50"),
            time("poll_ns", "p99"),
            time("poll_ns", "max"),
            time("wait_ns", "p50"),
            time("delay_ns", "p99"),
        ];
        if has_bytes {
            let bytes = |key: &str, span: f64| {
                let told = site[key]
                    .as_u64()
                    .map(|bytes| size((bytes as f64 / span) as u64));
                told.unwrap_or_else(|| "-".to_owned())
            };
            row.push(bytes("heap_in_use_bytes", 1.0));
            row.push(bytes("heap_allocated_bytes", span));
        }
        row.extend([
            printable(
                site["future"]
                    .as_str()
                    .or(site["kind"].as_str())
                    .unwrap_or_default()
                    .trim_end_matches("::{{closure}}"),
            ),
            printable(site["location"].as_str().map_or("unknown", short_file)),
        ]);
        table.push(row);
    }
    let unlisted = match document["tasks_not_listed"].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("; {count} tasks are not listed"),
    };
    let alive: u64 = sites
        .iter()
        .filter_map(|site: &Value| site["alive"].as_u64())
        .sum();
    View {
        head: format!(
            "{alive} tasks of {} sites; {span:.1}s{unlisted}",
            sites.len()
        ),
        table,
        has_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::style::Style;
    use serde_json::json;

    fn text(has_heap: bool, sites: &[Value]) -> (bool, String) {
        let document =
            json!({ "heap": has_heap, "seconds": 2.0, "tasks_not_listed": 0, "locations": sites });
        let view = table(&document, 2);
        (view.has_bytes, view.table.text(Style::NONE))
    }

    fn site(in_use: Value, allocated: Value) -> Value {
        json!({
            "location": "src/main.rs:7:9", "future": "app::serve", "kind": "task", "alive": 3, "spawned": 4, "polls": 10,
            "heap_in_use_bytes": in_use, "heap_allocated_bytes": allocated,
            "poll_ns": null, "wait_ns": null, "delay_ns": null,
        })
    }

    #[test]
    fn bytes_have_columns_where_they_are_known() {
        let sites = [
            site(json!(3 << 20), json!(4096)),
            site(json!(null), json!(null)),
        ];
        let (has_bytes, told) = text(true, &sites);
        let rows: Vec<Vec<&str>> = told
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert!(
            has_bytes && told.contains("DELAY p99    HEAP  ALLOC/S  FUTURE"),
            "{told}"
        );
        let known = ["3", "2.0", "5.0", "-", "-", "-", "-", "-"];
        assert_eq!(rows[1][..8], known);
        assert_eq!(
            rows[1][8..],
            ["3.0MiB", "2.0KiB", "app::serve", "src/main.rs:7:9"]
        );
        assert_eq!(rows[2][8..], ["-", "-", "app::serve", "src/main.rs:7:9"]);

        let (has_bytes, told) = text(false, &sites[1..]);
        assert!(
            !has_bytes && !told.contains("HEAP") && !told.contains("ALLOC"),
            "{told}"
        );
        assert!(
            told.lines().nth(1).unwrap().contains("-  app::serve"),
            "{told}"
        );
    }
}
