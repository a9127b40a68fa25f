//! The page of the locks with waiters, and of the deadlocks.

use super::columns::{Column, heads};
use super::html::Html;
use super::quantity::Time;
use super::shell::{self, Tab};
use super::words::{fact_with, located, place, sentence};
use crate::pages::dump_permit::DumpPermit;
use crate::pages::routes::only;
use crate::profile::conditions::Wants;
use crate::profile::diagnosis::OFF;
use crate::profile::lock_cards::{Cycle, LockCard};
use crate::profile::lock_table::LockTable;
use crate::profile::selection::grouped;
use crate::source;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// The most waiters that are named at each place.
const MOST_NAMED: usize = 12;

pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let table = {
        let _permit = DumpPermit::take()?;
        LockTable::collect()
    };
    Ok(shell::page(Tab::Locks, "Locks", |html| {
        html.tag("h1").text("Locks");
        if !source::is_on() {
            html.tag("p").class("remark").text(OFF);
            return;
        }
        if LockTable::missed() > 0 {
            html.tag("p").class("remark").text(format_args!(
                "{} waits are not shown: there were too many at once",
                grouped(LockTable::missed())
            ));
        }
        for cycle in table.cycles() {
            html.tag("section")
                .class("card cycle")
                .with(|html| deadlock(html, &cycle));
        }
        let cards = table.cards();
        if cards.is_empty() {
            html.tag("p").class("well").attr("role", "status").text(
                "Nothing waits for a Mutex, RwLock or Semaphore of tokio::sync, or for a lock of tokio::sync::blocking, at this moment.",
            );
        }
        for lock in &cards {
            html.tag("section")
                .class("card lock")
                .with(|html| card(html, lock));
        }
        html.tag("p").class("note").with(|html| {
            html.text("Time that was lost to locks over a while: ");
            html.tag("a")
                .attr("href", "profiles?kind=mutex")
                .text("mutex profile");
            html.text(". The same for programs: ");
            html.tag("a")
                .attr("href", "../locks?format=json")
                .text("JSON");
            html.text(", ");
            html.tag("a")
                .attr("href", "../deadlocks")
                .text("stacks of deadlocks");
            html.text(".");
        });
    }))
}

/// The steps of a cycle, as a list. The last step waits for the first.
fn deadlock(html: &mut Html, cycle: &Cycle<'_>) {
    html.tag("h2").with(|html| {
        html.text(format_args!("Deadlock of {}", cycle.steps.len()));
        if let Some(behind) = &cycle.behind {
            html.text(format_args!(", {behind} behind it"));
        }
    });
    html.tag("ol").with(|html| {
        for step in &cycle.steps {
            html.tag("li").with(|html| {
                html.tag("div")
                    .class("who")
                    .with(|html| sentence(html, &step.waits));
                html.tag("div").class("wants").with(|html| {
                    html.text(format_args!(
                        "waits {} for ",
                        Time(u64::try_from(step.since.as_nanos()).unwrap_or(u64::MAX))
                    ));
                    match &step.wants {
                        Wants::Lock {
                            lock,
                            is_once,
                            taken_at,
                            itself,
                            ..
                        } => {
                            html.tag("b").text(lock);
                            if !itself.is_empty() {
                                html.text(" that ");
                                return sentence(html, itself);
                            }
                            html.text(match is_once {
                                true => ", made by ",
                                false => ", held by ",
                            });
                            sentence(html, &step.holds);
                            if !taken_at.is_empty() {
                                html.text(", taken at ");
                                located(html, taken_at);
                            }
                        }
                        Wants::End { of_any: 1 } => {
                            html.text("the end of ");
                            sentence(html, &step.holds);
                        }
                        Wants::End { of_any } => {
                            let tasks = grouped(*of_any as u64);
                            html.text(format_args!(
                                "the end of one of {tasks} tasks of a JoinSet, "
                            ));
                            sentence(html, &step.holds);
                            html.text(" among them");
                        }
                    }
                });
            });
        }
    });
}

fn card(html: &mut Html, lock: &LockCard) {
    html.tag("h2").with(|html| {
        html.tag("code").text(&lock.type_name);
    });
    html.tag("dl").class("facts").with(|html| {
        let mut row = |name: &str, value: &dyn Fn(&mut Html)| fact_with(html, name, value);
        if let Some(created) = &lock.created {
            row("Created at", &|html| place(html, created));
        }
        row("Holder", &|html| {
            sentence(html, &lock.whose);
            if let Some(at) = &lock.holder_at {
                html.text(", now at ");
                located(html, at);
            }
        });
        row("Waiters", &|html| {
            html.tag("b").text(&lock.waiting);
            html.text(format_args!(", the first for {}", Time(lock.longest_ns)));
            if let Some(ended) = &lock.ended {
                html.text("; ");
                html.text(ended);
            }
        });
    });
    html.tag("table").attr("data-sortable", "").with(|html| {
        heads(
            html,
            [
                Column::number("Waiters"),
                Column::text("Wait at"),
                Column::text("They are"),
            ],
        );
        html.tag("tbody").with(|html| {
            for (at, waiters) in &lock.places {
                html.tag("tr").with(|html| {
                    html.tag("td")
                        .class("number")
                        .attr("data-v", waiters.len())
                        .text(grouped(waiters.len() as u64));
                    html.tag("td").with(|html| located(html, at));
                    html.tag("td").with(|html| {
                        let named: Vec<&str> = waiters
                            .iter()
                            .take(MOST_NAMED)
                            .map(String::as_str)
                            .collect();
                        sentence(html, &named.join(", "));
                        if waiters.len() > named.len() {
                            html.text(format_args!(
                                " and {} more",
                                grouped((waiters.len() - named.len()) as u64)
                            ));
                        }
                    });
                });
            }
        });
    });
}
