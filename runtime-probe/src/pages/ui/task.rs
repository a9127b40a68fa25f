//! The page of one task.

use super::quantity::Time;
use super::shell::{self, Tab};
use super::tasks::about;
use super::words::{fact, stack, state, task_link};
use crate::pages::dump_permit::DumpPermit;
use crate::pages::routes::only;
use crate::profile::selection::{Selection, grouped};
use crate::profile::task_table::TaskTable;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

/// The most children that are listed.
const MOST_CHILDREN: usize = 50;

pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["id"])?;
    let must_be = || "a task's number".to_owned();
    let id: u64 = request
        .up_to("id", u64::MAX, must_be)?
        .ok_or_else(|| Refusal::bad_request("id is missing: the task's number"))?;
    let table = {
        let _permit = DumpPermit::take()?;
        TaskTable::collect(Selection::default())
    };
    let Some(view) = table.task(id) else {
        let sentence = format!("task {id} is not alive: it has ended, or there was none");
        return Err(Refusal::new(404, sentence));
    };
    let title = format!("Task {id}");
    Ok(shell::page(Tab::Tasks, &title, |html| {
        html.tag("h1").with(|html| {
            html.text(format_args!("{title} "));
            state(html, view.state, view.reason);
        });
        html.tag("dl").class("tiles").with(|html| {
            fact(html, "In this state for", Time(view.since_ns));
            fact(html, "Polls", grouped(view.polls));
            fact(html, "Time in polls", Time(view.busy_ns));
        });
        html.tag("section").class("card").with(|html| {
            about(html, &view, false);
        });
        html.tag("section").class("card").with(|html| {
            html.tag("h2").text("Stack");
            stack(html, &view.stack);
        });
        let children = table.children(id);
        if !children.is_empty() {
            html.tag("section").class("card").with(|html| {
                html.tag("h2").text(format_args!(
                    "Spawned by it: {} alive",
                    grouped(children.len() as u64)
                ));
                html.tag("ul").with(|html| {
                    for (id, name) in children.iter().take(MOST_CHILDREN) {
                        html.tag("li").with(|html| {
                            html.tag("a").attr("href", task_link(*id)).text(name);
                        });
                    }
                });
                if children.len() > MOST_CHILDREN {
                    let more = grouped((children.len() - MOST_CHILDREN) as u64);
                    html.tag("p")
                        .class("note")
                        .text(format_args!("and {more} more"));
                }
            });
        }
    }))
}
