//! The first page: the troubles, the tasks by state, the workers, and the resources of the process.

use super::columns::{Column, heads};
use super::html::{Html, link};
use super::quantity::{Bytes, Count, Time};
use super::shell::{self, Tab};
use super::words::{bar, class_of, fact, fact_of, sentence, state, task_link};
use crate::pages::dump_permit::DumpPermit;
use crate::pages::routes::only;
use crate::profile::overview::{Lane, LaneDoes, Overview, Process, RuntimeLanes, StateCount};
use crate::profile::selection::grouped;
use crate::profile::troubles::{Trouble, TroubleKind};
use runtime_dump::goroutine::State;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::time::Duration;

pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let overview = {
        let _permit = DumpPermit::take()?;
        Overview::collect()
    };
    Ok(shell::page(Tab::Summary, "Summary", |html| {
        html.tag("h1").text("Summary");
        troubles(html, &overview.troubles);
        tiles(html, &overview);
        html.tag("section")
            .class("card")
            .with(|html| states(html, &overview));
        for runtime in &overview.runtimes {
            html.tag("section")
                .class("card")
                .with(|html| lanes(html, runtime, &overview.process));
        }
        html.tag("details")
            .class("card")
            .attr("id", "diagnosis")
            .with(|html| {
                html.tag("summary")
                    .text("What this process can show, and what it cannot");
                html.tag("ul").with(|html| {
                    for line in &overview.diagnosis {
                        html.tag("li").text(line);
                    }
                });
            });
    }))
}

fn troubles(html: &mut Html, troubles: &[Trouble]) {
    if troubles.is_empty() {
        html.tag("p")
            .class("well")
            .attr("role", "status")
            .text("No trouble found: no deadlock, no stuck poll, no full pool, no lock that is waited for longer than a second.");
        return;
    }
    html.tag("ol")
        .class("troubles")
        .attr("aria-label", "Trouble found, the worst first")
        .with(|html| {
            for trouble in troubles {
                let (name, class) = named(trouble.kind);
                // The link has that word.
                let text = trouble
                    .text
                    .strip_prefix("deadlock: ")
                    .unwrap_or(&trouble.text);
                html.tag("li").class(class).with(|html| {
                    html.tag("a")
                        .class("kind")
                        .attr("href", target(trouble))
                        .text(name);
                    html.tag("span").with(|html| sentence(html, text));
                });
            }
        });
}

fn named(kind: TroubleKind) -> (&'static str, &'static str) {
    const BAD: &str = "bad";
    const DOUBTFUL: &str = "doubtful";
    match kind {
        TroubleKind::Off => ("Switched off", BAD),
        TroubleKind::Deadlock => ("Deadlock", BAD),
        TroubleKind::Futurelock => ("Futurelock", BAD),
        TroubleKind::Standstill => ("Driver stands still", BAD),
        TroubleKind::LongPoll => ("Stuck poll", BAD),
        TroubleKind::FullPool => ("Full pool", BAD),
        TroubleKind::Spin => ("Spin", BAD),
        TroubleKind::LostTask => ("Lost task", BAD),
        TroubleKind::LongWait => ("Lock held long", BAD),
        TroubleKind::LateTask => ("Late task", DOUBTFUL),
        TroubleKind::Ending => ("Shutdown", DOUBTFUL),
        TroubleKind::Growth => ("Growth", DOUBTFUL),
        TroubleKind::Unlisted => ("Unlisted tasks", DOUBTFUL),
        TroubleKind::Loss => ("Loss", DOUBTFUL),
    }
}

/// The page with more about a trouble.
fn target(trouble: &Trouble) -> String {
    if let Some(task) = trouble.task {
        return task_link(task);
    }
    match trouble.kind {
        TroubleKind::Deadlock | TroubleKind::Futurelock | TroubleKind::LongWait => "locks",
        TroubleKind::Standstill | TroubleKind::Ending => "../threads?debug=2",
        TroubleKind::LongPoll | TroubleKind::Spin => "tasks?state=running&group=task",
        TroubleKind::FullPool => "tasks?state=queued",
        TroubleKind::LateTask => "tasks?state=runnable&group=task&sort=since",
        TroubleKind::LostTask => "../goroutineleak?debug=2",
        TroubleKind::Growth => "tasks?group=site",
        TroubleKind::Off | TroubleKind::Unlisted | TroubleKind::Loss => "#diagnosis",
    }
    .to_owned()
}

fn tiles(html: &mut Html, overview: &Overview) {
    let Process {
        cpu_ns,
        age,
        resident_bytes,
        threads,
        open_fds,
        most_fds,
    } = &overview.process;
    html.tag("dl").class("tiles").with(|html| {
        fact(html, "Tasks", grouped(overview.tasks as u64));
        if overview.unlisted > 0 {
            fact(html, "Unlisted", grouped(overview.unlisted));
        }
        if let Some(age) = age {
            fact(html, "Up for", Time(nanoseconds(*age)));
            let cores = *cpu_ns as f64 / age.as_nanos().max(1) as f64;
            fact(html, "CPU on average", format_args!("{cores:.2} cores"));
        }
        fact(html, "CPU time", Time(*cpu_ns));
        if let Some(bytes) = resident_bytes {
            fact(html, "Memory (RSS)", Bytes(*bytes));
        }
        if let Some(threads) = threads {
            fact(html, "Threads", threads);
        }
        match (open_fds, most_fds) {
            (Some(open), Some(most)) => {
                let most = format!("of {}", grouped(*most));
                fact_of(html, "Open files", open, most);
            }
            (Some(open), None) => fact(html, "Open files", open),
            (None, _) => {}
        }
    });
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn states(html: &mut Html, overview: &Overview) {
    html.tag("h2").text("Tasks by state");
    if overview.states.is_empty() {
        html.tag("p").class("note").text("There are no tasks.");
        return;
    }
    whole(html, &overview.states, overview.tasks);
    html.tag("table").with(|html| {
        heads(
            html,
            [
                Column::text("State"),
                Column::number("Tasks"),
                Column::text("Part").wide(),
                Column::number("Longest"),
            ],
        );
        html.tag("tbody").with(|html| {
            for count in &overview.states {
                html.tag("tr").with(|html| {
                    html.tag("td").with(|html| {
                        // The filter's word for closures that wait for a thread is shorter.
                        let word = match count.text {
                            "blocking, queued" => "queued",
                            text => text,
                        };
                        html.tag("a")
                            .class("plain")
                            .attr("href", link("tasks", &[("state", word)]))
                            .with(|html| state(html, count.state, count.text));
                    });
                    html.tag("td")
                        .class("number")
                        .text(grouped(count.tasks as u64));
                    html.tag("td").class("wide").with(|html| {
                        bar(
                            html,
                            fill(count.state),
                            count.tasks as f64 / overview.tasks.max(1) as f64,
                        );
                    });
                    html.tag("td").class("number").text(Time(count.longest_ns));
                });
            }
        });
    });
}

fn fill(state: State) -> &'static str {
    match state {
        State::Running => "fill-running",
        State::Runnable => "fill-runnable",
        State::Waiting => "fill-waiting",
    }
}

/// One bar for all tasks, with a part for each state.
fn whole(html: &mut Html, states: &[StateCount], tasks: usize) {
    let sum = |of: State| {
        let states = states.iter().filter(|count| count.state == of);
        states.map(|count| count.tasks).sum::<usize>()
    };
    let states = [State::Running, State::Runnable, State::Waiting].map(|state| (state, sum(state)));
    html.tag("p").class("legend").with(|html| {
        for (state, count) in states {
            html.tag("span").class(class_of(state)).text(format_args!(
                "{} {}",
                grouped(count as u64),
                state.word()
            ));
        }
    });
    html.tag("svg")
        .class("bar whole")
        .attr("viewBox", "0 0 1000 10")
        .attr("preserveAspectRatio", "none")
        .attr("aria-hidden", "true")
        .with(|html| {
            let mut x = 0.0;
            for (state, count) in states {
                let width = 1000.0 * count as f64 / tasks.max(1) as f64;
                html.tag("rect")
                    .class(fill(state))
                    .attr("x", format_args!("{x:.1}"))
                    .attr("width", format_args!("{width:.1}"))
                    .attr("height", 10)
                    .text("");
                x += width;
            }
        });
}

fn lanes(html: &mut Html, runtime: &RuntimeLanes, process: &Process) {
    html.tag("h2")
        .text(format_args!("Runtime {}", runtime.name));
    html.tag("p").class("note").with(|html| {
        html.text(format_args!(
            "{}, {}; global queue {}; blocking pool: {} closures run, {} are queued",
            runtime.flavor,
            Count(runtime.workers.len() as u64, "worker"),
            grouped(runtime.global_queue),
            grouped(runtime.blocking.0 as u64),
            grouped(runtime.blocking.1 as u64)
        ));
    });
    html.tag("ul").class("lanes").with(|html| {
        for worker in &runtime.workers {
            html.tag("li").with(|html| lane(html, worker, process));
        }
    });
}

fn lane(html: &mut Html, worker: &Lane, process: &Process) {
    html.tag("span")
        .class("thread")
        .with(|html| match &worker.thread {
            Some((tid, name)) => {
                html.tag("b")
                    .text(if name.is_empty() { "thread" } else { name });
                html.text(format_args!(" {tid}"));
            }
            None => {
                html.text("no thread");
            }
        });
    html.tag("span")
        .class("now")
        .with(|html| match &worker.does {
            LaneDoes::Polls {
                task,
                name,
                since_ns,
            } => {
                let long = *since_ns >= 100_000_000;
                let class = if long { "state stuck" } else { "state running" };
                html.tag("span")
                    .class(class)
                    .text(format_args!("polls for {}", Time(*since_ns)));
                html.text(" ");
                html.tag("a").attr("href", task_link(*task)).text(name);
            }
            LaneDoes::Sleeps => html.tag("span").class("state idle").text("sleeps"),
            LaneDoes::Awake => html
                .tag("span")
                .class("state runnable")
                .text("awake, between polls"),
            LaneDoes::Outside => html
                .tag("span")
                .class("state idle")
                .text("no thread drives it"),
            LaneDoes::Unknown => html.tag("span").class("state idle").text("polls nothing"),
        });
    html.tag("span").class("load").with(|html| {
        let Some(busy) = worker.busy else { return };
        let age = process.age.unwrap_or_default().as_secs_f64();
        let part = if age > 0.0 {
            busy.as_secs_f64() / age
        } else {
            0.0
        };
        bar(html, "fill-running", part);
        html.tag("span").class("number").text(format_args!(
            "busy {} ({:.0} % since the start){}",
            Time(nanoseconds(busy)),
            100.0 * part.min(1.0),
            worker.queue.map_or(String::new(), |queue| format!(
                ", {} queued",
                grouped(queue)
            ))
        ));
    });
}
