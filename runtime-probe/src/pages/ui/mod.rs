//! `/debug/pprof/ui/`: the HTML pages. Each works without scripts; one script adds live filters, refresh and sorting.
//!
//! In reading order:
//! * [`html`]: HTML that is escaped by construction;
//! * [`quantity`]: times and sizes with units;
//! * [`shell`]: the frame of all pages, and the headers of replies;
//! * [`assets`]: stylesheet, script and icon;
//! * [`words`]: parts of pages: links to tasks, states, stacks;
//! * [`columns`]: the heads of tables;
//! * [`kept`]: profiles that were taken for these pages;
//! * [`flame`]: flame graphs;
//! * [`summary`], [`tasks`], [`task`], [`locks`], [`profiles`], [`picture`], [`timeline`]: the pages.

mod assets;
mod columns;
mod flame;
mod html;
mod kept;
mod locks;
mod picture;
mod profiles;
mod quantity;
mod shell;
mod summary;
mod task;
mod tasks;
mod timeline;
mod words;

use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use shell::Tab;

/// A page, by the last part of its path.
struct View {
    name: &'static str,
    tab: Tab,
    answer: fn(&Request) -> Result<Reply, Refusal>,
}

static VIEWS: [View; 9] = [
    View {
        name: "",
        tab: Tab::Summary,
        answer: summary::answer,
    },
    View {
        name: "flame",
        tab: Tab::Profiles,
        answer: picture::flame,
    },
    View {
        name: "locks",
        tab: Tab::Locks,
        answer: locks::answer,
    },
    View {
        name: "profiles",
        tab: Tab::Profiles,
        answer: profiles::answer,
    },
    View {
        name: "table",
        tab: Tab::Profiles,
        answer: picture::table,
    },
    View {
        name: "take",
        tab: Tab::Profiles,
        answer: profiles::take,
    },
    View {
        name: "task",
        tab: Tab::Tasks,
        answer: task::answer,
    },
    View {
        name: "tasks",
        tab: Tab::Tasks,
        answer: tasks::answer,
    },
    View {
        name: "timeline",
        tab: Tab::Timeline,
        answer: timeline::answer,
    },
];

/// Answers a request for a path below `/debug/pprof/ui/`.
pub(super) fn answer(request: &Request, name: &str) -> Result<Reply, Refusal> {
    if let Some(asset) = assets::find(name) {
        return asset.answer(request);
    }
    let Some(view) = VIEWS.iter().find(|view| view.name == name) else {
        let refusal = Refusal::new(404, "there is no such page");
        return Ok(shell::refusal(Tab::Summary, &refusal));
    };
    // A refusal is a page as well, with the reason.
    Ok((view.answer)(request).unwrap_or_else(|refusal| shell::refusal(view.tab, &refusal)))
}
