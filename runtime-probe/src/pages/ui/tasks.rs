//! The page of the tasks: by equal stacks, by spawn site, or one by one; with filters, in pages. Each entry unfolds to
//! its stack.

use super::html::{Html, link};
use super::quantity::{Bytes, Count, Time};
use super::shell::{self, Tab};
use super::words::{choice, fact_with, place, remarks, sentence, stack, state, task_link};
use crate::pages::dump_permit::DumpPermit;
use crate::pages::goroutine::selection;
use crate::pages::routes::only;
use crate::profile::diagnosis::{OFF, no_tasks};
use crate::profile::selection::grouped;
use crate::profile::task_table::{Entry, EntryBytes, GroupBy, Heap, Order, TaskTable, TaskView};
use crate::source;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;

const PARAMETERS: [&str; 12] = [
    "crate", "decode", "group", "label", "match", "minwait", "names", "page", "site", "sort",
    "stack", "state",
];

/// The entries of one page: some 100 KB with their stacks.
const PER_PAGE: usize = 50;

const GROUPS: [(GroupBy, &str, &str); 3] = [
    (GroupBy::Stack, "stack", "Equal stacks"),
    (GroupBy::Site, "site", "Spawn sites"),
    (GroupBy::Task, "task", "One by one"),
];

const ORDERS: [(Order, &str, &str); 5] = [
    (Order::Tasks, "tasks", "Tasks"),
    (Order::Since, "since", "Time in state"),
    (Order::Polls, "polls", "Polls"),
    (Order::Busy, "busy", "Time in polls"),
    (Order::Heap, "heap", "Heap in use"),
];

/// The states that the form offers. Others can be set in the address.
const STATES: [(&str, &str); 8] = [
    ("", "Any state"),
    ("running", "running"),
    ("runnable", "runnable"),
    ("waiting", "waiting"),
    ("blocking", "blocking"),
    ("queued", "queued"),
    ("sync.Mutex.Lock", "sync.Mutex.Lock"),
    ("IO wait", "IO wait"),
];

/// The parameters of a request.
struct Query<'r> {
    request: &'r Request,
    group: (GroupBy, &'static str),
    order: (Order, &'static str),
    page: usize,
}

pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &PARAMETERS)?;
    let query = Query::of(request)?;
    if query.order.0 == Order::Heap && query.group.0 != GroupBy::Site {
        return Err(Refusal::bad_request(
            "sort=heap needs group=site: bytes are known by spawn site",
        ));
    }
    // A form also sends its empty fields.
    let selection = selection(&filled(request)?)?;
    let table = {
        let _permit = DumpPermit::take()?;
        let mut table = TaskTable::collect(selection);
        table.keep(request.param("stack")?, request.param("site")?);
        table.group(query.group.0, query.order.0);
        table
    };
    if let (Order::Heap, Heap::Unknown(why)) = (query.order.0, table.heap()) {
        return Err(Refusal::new(501, why));
    }
    let pages = table.entries().len().div_ceil(PER_PAGE).max(1);
    if query.page > pages {
        return Err(Refusal::new(
            404,
            format!(
                "there is no page {} of {pages}: tasks have ended",
                query.page
            ),
        ));
    }
    Ok(shell::page(Tab::Tasks, "Tasks", |html| {
        html.tag("h1").text("Tasks");
        query.form(html);
        remarks(html, "all tasks", &table.remarks());
        if table.all() == 0 {
            let why = if source::is_on() { no_tasks() } else { OFF };
            html.tag("p").class("remark").text(why);
        }
        query.counts(html, &table);
        on_heap(html, table.heap());
        query.list(html, &table);
        query.pager(html, pages);
    }))
}

/// The request without empty parameters.
fn filled(request: &Request) -> Result<Request, Refusal> {
    let kept = request.params().iter();
    let kept: Vec<(&str, &str)> = kept.map(|(name, value)| (&**name, &**value)).collect();
    Request::new("GET", &link("/", &kept), Vec::new(), Vec::new())
}

impl<'r> Query<'r> {
    fn of(request: &'r Request) -> Result<Self, Refusal> {
        let invalid = |name: &str, words: Vec<&str>| {
            Refusal::bad_request(format!(
                "invalid value for \"{name}\" - must be {}",
                words.join(", ")
            ))
        };
        let group = match request.param("group")? {
            None | Some("") => (GroupBy::default(), "stack"),
            Some(wanted) => GROUPS
                .iter()
                .find(|(_, word, _)| *word == wanted)
                .map(|(by, word, _)| (*by, *word))
                .ok_or_else(|| invalid("group", GROUPS.map(|(_, word, _)| word).to_vec()))?,
        };
        let order = match request.param("sort")? {
            None | Some("") => (Order::default(), "tasks"),
            Some(wanted) => ORDERS
                .iter()
                .find(|(_, word, _)| *word == wanted)
                .map(|(order, word, _)| (*order, *word))
                .ok_or_else(|| invalid("sort", ORDERS.map(|(_, word, _)| word).to_vec()))?,
        };
        Ok(Query {
            request,
            group,
            order,
            page: request.number("page")?.unwrap_or(1).max(1) as usize,
        })
    }

    /// A parameter as it was sent. A repeated one has been refused before.
    fn value(&self, name: &str) -> &'r str {
        self.request.param(name).ok().flatten().unwrap_or_default()
    }

    /// The address of this page with some parameters changed. A changed list begins at its first page.
    fn with(&self, changed: &[(&str, &str)]) -> String {
        let mut query: Vec<(&str, &str)> = PARAMETERS
            .into_iter()
            .filter(|name| *name != "page")
            .map(|name| (name, self.value(name)))
            .collect();
        for (name, value) in changed {
            query.retain(|(other, _)| other != name);
            query.push((name, value));
        }
        link("tasks", &query)
    }

    fn form(&self, html: &mut Html) {
        html.tag("form")
            .class("filters")
            .attr("method", "get")
            .attr("action", "tasks")
            .attr("role", "search")
            .with(|html| {
                self.text_field(
                    html,
                    "match",
                    "Function, file or name",
                    "regular expression",
                );
                html.tag("label").with(|html| {
                    html.tag("span").text("State");
                    let chosen = self.value("state");
                    html.tag("select").attr("name", "state").with(|html| {
                        for (value, text) in STATES {
                            html.tag("option")
                                .attr("value", value)
                                .flag("selected", value == chosen)
                                .text(text);
                        }
                        if !STATES.iter().any(|(value, _)| *value == chosen) {
                            html.tag("option")
                                .attr("value", chosen)
                                .flag("selected", true)
                                .text(chosen);
                        }
                    });
                });
                self.text_field(html, "label", "Label", "tenant=acme");
                self.text_field(html, "minwait", "At least for", "10s");
                self.text_field(html, "crate", "Frames of crates", "app,app_core");
                for name in ["group", "sort", "stack", "site", "names", "decode"] {
                    if !self.value(name).is_empty() {
                        html.tag("input")
                            .attr("type", "hidden")
                            .attr("name", name)
                            .attr("value", self.value(name))
                            .void();
                    }
                }
                html.tag("button").text("Show");
                html.tag("a")
                    .class("button")
                    .attr("href", "tasks")
                    .text("Reset");
            });
    }

    fn text_field(&self, html: &mut Html, name: &'static str, label: &str, hint: &str) {
        html.tag("label").with(|html| {
            html.tag("span").text(label);
            html.tag("input")
                .attr("type", "search")
                .attr("name", name)
                .attr("value", self.value(name))
                .attr("placeholder", hint)
                .flag("data-filter", name == "match")
                .void();
        });
    }

    fn counts(&self, html: &mut Html, table: &TaskTable) {
        html.tag("div").class("choices").with(|html| {
            choice(
                html,
                "List by",
                GROUPS.map(|(by, word, text)| {
                    // Other entries have no bytes.
                    let sort = match (self.order.0, by) {
                        (Order::Heap, GroupBy::Stack | GroupBy::Task) => "",
                        _ => self.value("sort"),
                    };
                    let changed = [("group", word), ("sort", sort)];
                    (text, self.with(&changed), word == self.group.1)
                }),
            );
            let has_bytes = matches!(table.heap(), Heap::Known { .. });
            let orders = ORDERS
                .into_iter()
                .filter(|(order, ..)| has_bytes || *order != Order::Heap);
            choice(
                html,
                "Most",
                orders.map(|(_, word, text)| {
                    (text, self.with(&[("sort", word)]), word == self.order.1)
                }),
            );
        });
        let (all, wanted) = (table.all() as u64, table.wanted() as u64);
        html.tag("p")
            .class("note")
            .attr("role", "status")
            .with(|html| {
                match wanted == all {
                    true => html.text(Count(all, "task")),
                    false => html.text(format_args!(
                        "{} of {}",
                        grouped(wanted),
                        Count(all, "task")
                    )),
                };
                let entries = table.entries().len() as u64;
                match self.group.0 {
                    GroupBy::Stack => {
                        html.text(format_args!(" with {}", Count(entries, "different stack")))
                    }
                    GroupBy::Site => {
                        html.text(format_args!(" of {}", Count(entries, "spawn site")))
                    }
                    GroupBy::Task => html.text(""),
                };
                for (name, text) in [("stack", "one stack only"), ("site", "one spawn site only")] {
                    if !self.value(name).is_empty() {
                        html.text(", ");
                        html.tag("a")
                            .attr("href", self.with(&[(name, "")]))
                            .text(format_args!("{text} (show all)"));
                    }
                }
            });
    }

    fn list(&self, html: &mut Html, table: &TaskTable) {
        let first = (self.page - 1) * PER_PAGE;
        let entries = table.entries().iter().skip(first).take(PER_PAGE);
        let has_bytes = matches!(table.heap(), Heap::Known { .. });
        html.tag("div")
            .class(if has_bytes { "rows heap" } else { "rows" })
            .attr("id", "rows")
            .with(|html| {
                for entry in entries {
                    if let Some(view) = table.view(entry) {
                        self.entry(html, entry, &view, has_bytes);
                    }
                }
            });
    }

    fn entry(&self, html: &mut Html, entry: &Entry, view: &TaskView<'_>, has_bytes: bool) {
        let is_group = self.group.0 != GroupBy::Task;
        let id = match self.group.0 {
            GroupBy::Stack => format!("stack-{}", view.stack_key),
            GroupBy::Site => format!(
                "site-{}",
                view.spawned.as_ref().map_or("", |site| &site.key)
            ),
            GroupBy::Task => format!("task-{}", view.id),
        };
        html.tag("details")
            .class("row")
            .attr("id", id)
            .with(|html| {
                html.tag("summary").with(|html| {
                    html.tag("span").class("count").text(match is_group {
                        true => grouped(entry.tasks),
                        false => view.id.to_string(),
                    });
                    html.tag("span")
                        .class("what")
                        .with(|html| self.heading(html, view));
                    if has_bytes {
                        html.tag("span")
                            .class("number bytes")
                            .with(|html| bytes(html, entry.bytes));
                    }
                    html.tag("span").class("number times").with(|html| {
                        html.tag("span").class("time").text(Time(entry.longest_ns));
                        html.tag("small").text(format_args!(
                            "{}, {}",
                            Count(entry.polls, "poll"),
                            Time(entry.busy_ns)
                        ));
                    });
                });
                html.tag("div").class("inside").with(|html| {
                    if is_group {
                        self.members(html, entry, view);
                    }
                    about(html, view, is_group && entry.tasks > 1);
                    stack(html, &view.stack);
                });
            });
    }

    fn heading(&self, html: &mut Html, view: &TaskView<'_>) {
        if self.group.0 == GroupBy::Site {
            match &view.spawned {
                Some(site) => {
                    html.tag("code").text(site.function.unwrap_or("spawned"));
                    html.text(" ");
                    place(html, &site.place);
                }
                None => {
                    html.tag("code").text("not spawned: roots of block_on");
                }
            }
            return;
        }
        state(html, view.state, view.reason);
        html.text(" ");
        match view.stack.innermost_own() {
            Some(line) => {
                html.tag("code").text(line.function);
                html.text(" ");
                place(html, &line.place);
            }
            None => html
                .tag("code")
                .text(view.name.as_deref().unwrap_or("no stack")),
        }
    }

    /// Links to the tasks of a group.
    fn members(&self, html: &mut Html, entry: &Entry, view: &TaskView<'_>) {
        html.tag("p").class("members").with(|html| {
            for id in &entry.ids {
                html.tag("a").attr("href", task_link(*id)).text(id);
                html.text(" ");
            }
            if entry.tasks > 1 {
                let one_by_one = ("group", "task");
                let all = match (self.group.0, &view.spawned) {
                    (GroupBy::Site, Some(site)) => self.with(&[one_by_one, ("site", &site.key)]),
                    (GroupBy::Site, None) => self.with(&[one_by_one]),
                    _ => self.with(&[one_by_one, ("stack", &view.stack_key)]),
                };
                html.tag("a")
                    .attr("href", all)
                    .text(format_args!("all {} one by one", grouped(entry.tasks)));
            }
        });
    }

    fn pager(&self, html: &mut Html, pages: usize) {
        if pages == 1 {
            return;
        }
        html.tag("nav")
            .class("pager")
            .attr("aria-label", "Pages of the list")
            .with(|html| {
                let mut to = |page: usize, text: &str, rel: &str| {
                    if (1..=pages).contains(&page) && page != self.page {
                        html.tag("a")
                            .class("button")
                            .attr("rel", rel)
                            .attr("href", self.with(&[("page", &page.to_string())]))
                            .text(text);
                    }
                };
                to(1, "First", "first");
                to(self.page - 1, "Previous", "prev");
                to(self.page + 1, "Next", "next");
                to(pages, "Last", "last");
                html.tag("span").text(format_args!(
                    "page {} of {}",
                    grouped(self.page as u64),
                    grouped(pages as u64)
                ));
            });
    }
}

/// The heap bytes of a spawn site.
fn bytes(html: &mut Html, known: Option<EntryBytes>) {
    let Some(EntryBytes { bytes, is_shared }) = known else {
        html.tag("span").text("-");
        html.tag("small").text("heap not known");
        return;
    };
    html.tag("span").text(Bytes(bytes.in_use));
    let of = match is_shared {
        true => " by all of this line",
        false => "",
    };
    html.tag("small").text(format_args!(
        "in use{of}, {} allocated",
        Bytes(bytes.allocated)
    ));
}

/// The meaning of the bytes of spawn sites, or why there are none.
fn on_heap(html: &mut Html, heap: Heap) {
    match heap {
        Heap::NotAsked => {}
        Heap::Unknown(_) if !source::is_on() => {}
        Heap::Unknown(why) => html
            .tag("p")
            .class("note")
            .text(format_args!("No bytes by spawn site: {why}")),
        Heap::Known { elsewhere_in_use } => html.tag("p").class("note").with(|html| {
            html.text("Bytes are estimates, of all tasks of a spawn site, ended ones included");
            if elsewhere_in_use > 0 {
                html.text(format_args!(
                    ". Spawn sites that have no task now have {} in use",
                    Bytes(elsewhere_in_use)
                ));
            }
            html.text(": ");
            html.tag("a")
                .attr("href", "../tasks?debug=1&sort=heap")
                .text("all spawn sites");
        }),
    }
}

/// The facts about a task, beside its stack.
pub(super) fn about(html: &mut Html, view: &TaskView<'_>, stands_for_others: bool) {
    html.tag("dl").class("facts").with(|html| {
        let mut row = |name: &str, value: &dyn Fn(&mut Html)| fact_with(html, name, value);
        row(
            if stands_for_others { "Longest" } else { "Task" },
            &|html| {
                html.tag("a")
                    .attr("href", task_link(view.id))
                    .text(format_args!("goroutine {}", view.id));
                if let Some(name) = &view.name {
                    html.text(" ");
                    html.tag("code").text(name);
                }
            },
        );
        if let Some(site) = &view.spawned {
            row("Spawned at", &|html| {
                if let Some(function) = site.function {
                    html.tag("code").text(function);
                    html.text(" ");
                }
                place(html, &site.place);
                html.text(" ");
                html.tag("a")
                    .attr(
                        "href",
                        link("tasks", &[("group", "task"), ("site", &site.key)]),
                    )
                    .text("all of this site");
            });
        }
        if let Some(parent) = view.parent {
            row("Spawned by", &|html| {
                html.tag("a")
                    .attr("href", task_link(parent))
                    .text(format_args!("goroutine {parent}"));
            });
        }
        if !view.labels.is_empty() {
            row("Labels", &|html| {
                for (key, value) in &view.labels {
                    let label = format!("{key}={value}");
                    html.tag("a")
                        .class("label")
                        .attr("href", link("tasks", &[("label", &label)]))
                        .attr("title", "All tasks with this label")
                        .text(&label);
                    html.text(" ");
                }
            });
        }
        for note in &view.notes {
            row("", &|html| sentence(html, note));
        }
    });
}
