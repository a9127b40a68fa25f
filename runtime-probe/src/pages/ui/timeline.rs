//! The page of the flight recorder's events: the polls of each thread in the last seconds, in the colour of the spawn
//! site.

use super::columns::{Column, heads};
use super::html::{Html, link};
use super::quantity::{Count, Time};
use super::shell::{self, Tab};
use super::words::{swatch, task_link};
use crate::pages::dump_permit::DumpPermit;
use crate::pages::routes::only;
use crate::primitive;
use crate::profile::selection::grouped;
use crate::profile::timeline::{Lane, Poll, Timeline, Wake};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

/// Columns of a lane. A poll that is shorter than a column adds to the height of that column.
const COLUMNS: usize = 1200;

/// The number of sites with a colour of their own. All others share the last colour.
const COLOURS: usize = 7;

/// The height of a lane in pixels.
const HEIGHT: f64 = 30.0;

/// The most threads that are drawn.
const MOST_LANES: usize = 64;

/// The most rows in the table of the longest polls, and in the list of tasks that one poll woke.
const MOST_POLLS: usize = 20;

/// A shorter poll is not a link. In columns.
const LEAST_LINKED: f64 = 3.0;

/// The most timelines that are kept.
const MOST_KEPT: usize = 2;

/// The last timelines, the newest first, by number. They are kept so that a user can zoom.
static KEPT: Mutex<VecDeque<(u64, Arc<Timeline>)>> = Mutex::new(VecDeque::new());

/// The part of a timeline that is shown, in nanoseconds.
#[derive(Clone, Copy)]
struct Window {
    from: u64,
    length: u64,
}

pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["from", "length", "past", "lane", "poll"])?;
    let Some((number, timeline)) = past(request)? else {
        return Ok(shell::page(Tab::Timeline, "Timeline", without_recorder));
    };
    let micros = |name: &str| -> Result<Option<u64>, Refusal> {
        let number = request.number(name)?;
        Ok(number.map(|micros| u64::from(micros) * 1000))
    };
    let from = micros("from")?.unwrap_or(0);
    let length = micros("length")?.unwrap_or(timeline.span_ns);
    let length = length.clamp(1000, timeline.span_ns.max(1000));
    let window = Window {
        from: from.min(timeline.span_ns.saturating_sub(length)),
        length,
    };
    let view = View {
        number,
        timeline: &timeline,
        window,
        chosen: chosen(request, &timeline)?,
    };
    Ok(shell::still(Tab::Timeline, "Timeline", |html| {
        html.tag("h1").text("Timeline");
        html.tag("p").class("note").with(|html| {
            html.text(format_args!(
                "The last {} of each thread. ",
                Time(timeline.span_ns)
            ));
            html.tag("a")
                .attr("href", "timeline")
                .text("Take the newest");
            html.text(".");
        });
        downloads(html);
        if timeline.lost > 0 {
            html.tag("p").class("remark").text(format_args!(
                "{} events found no room: there are polls that are not shown",
                grouped(timeline.lost)
            ));
        }
        zoom(html, &view);
        html.tag("section").class("card tracks").with(|html| {
            axis(html, window);
            for lane in 0..timeline.lanes.len().min(MOST_LANES) {
                draw(html, &view, lane);
            }
            if timeline.lanes.len() > MOST_LANES {
                let more = grouped((timeline.lanes.len() - MOST_LANES) as u64);
                html.tag("p")
                    .class("note")
                    .text(format_args!("and {more} more threads"));
            }
        });
        one(html, &view);
        // It also says which colour is which spawn site.
        sites(html, &timeline);
        longest(html, &view);
    }))
}

/// A timeline, with the part and the poll that are shown.
struct View<'t> {
    number: u64,
    timeline: &'t Timeline,
    window: Window,
    chosen: Option<Chosen>,
}

/// A poll, by the number of its lane and its number in the lane.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Chosen {
    lane: usize,
    poll: usize,
}

impl View<'_> {
    fn link(&self, from: u64, length: u64, chosen: Option<Chosen>) -> String {
        let of = |ns: u64| (ns / 1000).to_string();
        let number = |number: Option<usize>| number.map_or(String::new(), |at| at.to_string());
        link(
            "timeline",
            &[
                ("past", &self.number.to_string()),
                ("from", &of(from)),
                ("length", &of(length)),
                ("lane", &number(chosen.map(|chosen| chosen.lane))),
                ("poll", &number(chosen.map(|chosen| chosen.poll))),
            ],
        )
    }

    fn link_to(&self, chosen: Chosen) -> String {
        self.link(self.window.from, self.window.length, Some(chosen)) + "#poll"
    }

    fn poll(&self, chosen: Chosen) -> Option<(&Lane, &Poll)> {
        let lane = self.timeline.lanes.get(chosen.lane)?;
        Some((lane, lane.polls.get(chosen.poll)?))
    }

    /// The last poll of a thread that began before that moment.
    fn at(&self, thread: u32, at_ns: u64) -> Option<Chosen> {
        let (lane, poll) = self.timeline.poll_at(thread, at_ns)?;
        Some(Chosen { lane, poll })
    }

    /// The poll that was under way on a thread at that moment.
    fn under_way(&self, thread: u32, at_ns: u64) -> Option<Chosen> {
        self.at(thread, at_ns).filter(|chosen| {
            self.poll(*chosen)
                .is_some_and(|(_, poll)| poll.until_ns >= at_ns)
        })
    }

    fn wake_of(&self, lane: &Lane, poll: &Poll) -> Option<&Wake> {
        self.timeline.wake_of(lane.thread, poll.from_ns)
    }

    fn woken_by(&self, lane: &Lane, poll: &Poll) -> &[Wake] {
        self.timeline
            .woken_by(lane.thread, poll.from_ns, poll.until_ns)
    }

    fn column_of(&self, at_ns: u64) -> f64 {
        let from = at_ns as f64 - self.window.from as f64;
        (from * COLUMNS as f64 / self.window.length as f64).clamp(0.0, COLUMNS as f64)
    }

    /// The arrows of a poll, for the script: lane and column of the begin and of the end of each.
    fn arrows(&self, lane: &Lane, poll: &Poll) -> String {
        let of = self.wake_of(lane, poll).into_iter();
        let wakes = of.chain(self.woken_by(lane, poll).iter().take(MOST_POLLS));
        let number = |thread: u32| {
            let number = self
                .timeline
                .lanes
                .iter()
                .position(|lane| lane.thread == thread);
            number.filter(|number| *number < MOST_LANES)
        };
        let mut arrows = String::new();
        for wake in wakes {
            if let Some((from, to)) = number(wake.thread).zip(number(wake.woken_thread)) {
                let (begin, end) = (self.column_of(wake.at_ns), self.column_of(wake.woken_ns));
                let _ = write!(arrows, "{from} {begin:.1} {to} {end:.1} ");
            }
        }
        arrows
    }

    fn name(&self, poll: &Poll) -> &str {
        let site = self.timeline.sites.get(poll.site as usize);
        site.map_or("", |site| &site.name)
    }
}

fn chosen(request: &Request, timeline: &Timeline) -> Result<Option<Chosen>, Refusal> {
    let Some((lane, poll)) = request.number("lane")?.zip(request.number("poll")?) else {
        return Ok(None);
    };
    let chosen = Chosen {
        lane: lane as usize,
        poll: poll as usize,
    };
    let known = timeline.lanes.get(chosen.lane);
    match known.and_then(|lane| lane.polls.get(chosen.poll)) {
        Some(_) => Ok(Some(chosen)),
        None => Err(Refusal::new(404, "that past has no such poll".to_owned())),
    }
}

/// Links to the trace, for Perfetto and for `go tool trace`.
fn downloads(html: &mut Html) {
    let link = |html: &mut Html, to: &'static str, name: &'static str, text: &'static str| {
        html.tag("a")
            .attr("href", to)
            .attr("download", name)
            .text(text);
    };
    html.tag("ul").class("note downloads").with(|html| {
        html.tag("li").with(|html| {
            link(
                html,
                "../trace?last=1&format=perfetto",
                "trace.pftrace",
                "For Perfetto",
            );
            html.text(": open ui.perfetto.dev, or a copy of it, and drop the file on the page, which reads it in the browser.");
        });
        html.tag("li").with(|html| {
            link(html, "../trace?last=1", "trace.out", "For go tool trace");
            html.text(", or ");
            link(
                html,
                "../trace?seconds=5",
                "trace.out",
                "the next five seconds",
            );
            html.text(": go tool trace trace.out shows the file.");
        });
    });
}

/// The timeline that is asked for, by default a new one.
fn past(request: &Request) -> Result<Option<(u64, Arc<Timeline>)>, Refusal> {
    if let Some(wanted) = request.number("past")? {
        let kept = primitive::lock(&KEPT);
        let found = kept.iter().find(|(number, _)| *number == u64::from(wanted));
        let gone = || {
            let sentence =
                format!("that past is not kept any more: the process keeps the last {MOST_KEPT}");
            Refusal::new(404, sentence)
        };
        return found.cloned().map(Some).ok_or_else(gone);
    }
    let timeline = {
        let _permit = DumpPermit::take()?;
        Timeline::past()
    };
    Ok(timeline.map(|timeline| {
        let mut kept = primitive::lock(&KEPT);
        let number = kept.front().map_or(1, |(last, _)| last + 1);
        kept.push_front((number, Arc::new(timeline)));
        kept.truncate(MOST_KEPT);
        kept[0].clone()
    }))
}

fn without_recorder(html: &mut Html) {
    html.tag("h1").text("Timeline");
    html.tag("p").class("remark").text(
        "No flight recorder keeps the last seconds. RUNTIME_PROBE_FLIGHT_RECORDER=10s, or pprof::trace::FlightRecorder, switches one on.",
    );
    html.tag("p").with(|html| {
        html.tag("a")
            .attr("href", "../trace?seconds=1")
            .text("The next second, for go tool trace");
    });
}

fn zoom(html: &mut Html, view: &View<'_>) {
    let View {
        timeline, window, ..
    } = view;
    let to = |from: u64, length: u64| view.link(from, length, view.chosen);
    let Window { from, length } = *window;
    html.tag("nav")
        .class("pager zoom")
        .attr("aria-label", "Part of the past")
        .with(|html| {
            let mut button = |text: &str, from: u64, length: u64, is_there: bool| {
                if is_there {
                    html.tag("a")
                        .class("button")
                        .attr("href", to(from, length))
                        .text(text);
                }
            };
            let is_part = length < timeline.span_ns;
            button("All", 0, timeline.span_ns, is_part);
            button("Earlier", from.saturating_sub(length / 2), length, from > 0);
            button(
                "Later",
                from + length / 2,
                length,
                is_part && from + length < timeline.span_ns,
            );
            let middle = from + length / 2;
            button("Closer", middle - length / 10, length / 5, length > 10_000);
            button("First half", from, length / 2, length > 10_000);
            button("Second half", middle, length - length / 2, length > 10_000);
            let back = timeline.span_ns.saturating_sub(from);
            html.tag("span").text(format_args!(
                "{} from {} before the end",
                Time(length),
                Time(back)
            ));
        });
}

fn axis(html: &mut Html, window: Window) {
    html.tag("svg")
        .class("axis")
        .attr("width", "100%")
        .attr("height", 18)
        .attr("aria-hidden", "true")
        .with(|html| {
            for tenth in (0..10).step_by(2) {
                html.tag("text")
                    .attr("x", format_args!("{}%", tenth * 10))
                    .attr("y", 13)
                    .text(format_args!("+{}", Time(window.length / 10 * tenth)));
            }
        });
}

fn draw(html: &mut Html, view: &View<'_>, number: usize) {
    let window = view.window;
    let Some(lane) = view.timeline.lanes.get(number) else {
        return;
    };
    let shown = lane.polls.iter().enumerate();
    let shown = shown.filter_map(|(at, poll)| Some((at, cut(poll, window)?)));
    let shown: Vec<(usize, Poll)> = shown.collect();
    let busy: u64 = shown
        .iter()
        .map(|(_, poll)| poll.until_ns - poll.from_ns)
        .sum();
    html.tag("p").class("lane").with(|html| {
        html.tag("b").text(if lane.name.is_empty() {
            "thread"
        } else {
            &lane.name
        });
        html.text(format_args!(
            " {}, {}, {:.1} % busy",
            lane.thread,
            Count(shown.len() as u64, "poll"),
            100.0 * busy as f64 / window.length as f64
        ));
    });
    html.tag("svg")
        .class("timeline")
        .attr("width", "100%")
        .attr("height", HEIGHT)
        .attr("viewBox", format_args!("0 0 {COLUMNS} {HEIGHT}"))
        .attr("preserveAspectRatio", "none")
        .attr("role", "group")
        .attr(
            "aria-label",
            format_args!("Polls of thread {}", lane.thread),
        )
        .with(|html| {
            let column = window.length as f64 / COLUMNS as f64;
            let (long, short): (Vec<_>, Vec<_>) = shown
                .iter()
                .partition(|(_, poll)| (poll.until_ns - poll.from_ns) as f64 >= column);
            for (colour, path) in heaps(&short, window).iter().enumerate() {
                if !path.is_empty() {
                    html.tag("path")
                        .class(CLASSES[colour])
                        .attr("d", path)
                        .text("");
                }
            }
            for (at, poll) in long {
                let chosen = Chosen {
                    lane: number,
                    poll: *at,
                };
                bar(html, view, chosen, poll);
            }
            marks(html, view, lane);
        });
}

/// A poll that is at least a column long. It is a link if it is wide enough to be clicked.
fn bar(html: &mut Html, view: &View<'_>, chosen: Chosen, shown: &Poll) {
    let (x, end) = (
        view.column_of(shown.from_ns),
        view.column_of(shown.until_ns),
    );
    let rect = |html: &mut Html| {
        html.tag("rect")
            .class(class_of(shown.site))
            .attr("x", format_args!("{x:.2}"))
            .attr("width", format_args!("{:.2}", end - x))
            .attr("height", HEIGHT)
            .text("");
    };
    let Some((lane, poll)) = view
        .poll(chosen)
        .filter(|_| end - x >= LEAST_LINKED || view.chosen == Some(chosen))
    else {
        return rect(html);
    };
    let lasts = Time(poll.until_ns - poll.from_ns);
    html.tag("a")
        .attr("href", view.link_to(chosen))
        .attr("data-arrows", view.arrows(lane, poll))
        .maybe(
            "aria-current",
            (view.chosen == Some(chosen)).then_some("true"),
        )
        .with(|html| {
            html.tag("title")
                .text(format_args!("{}, {lasts}", view.name(poll)));
            rect(html);
        });
}

/// Marks of the wake of the chosen poll, and of the polls that it caused.
fn marks(html: &mut Html, view: &View<'_>, lane: &Lane) {
    let Some((of, poll)) = view.chosen.and_then(|chosen| view.poll(chosen)) else {
        return;
    };
    let woken = view
        .wake_of(of, poll)
        .map(|wake| (wake.thread, wake.at_ns, "mark woken"));
    let wakes = view.woken_by(of, poll).iter().take(MOST_POLLS);
    let wakes = wakes.map(|wake| (wake.woken_thread, wake.woken_ns, "mark wakes"));
    let Window { from, length } = view.window;
    for (thread, at_ns, class) in woken.into_iter().chain(wakes) {
        if thread == lane.thread && (from..=from + length).contains(&at_ns) {
            let x = view.column_of(at_ns);
            html.tag("path")
                .class(class)
                .attr("d", format_args!("M{x:.2} 0v{HEIGHT}"))
                .text("");
        }
    }
}

/// The part of a poll that is in the window.
fn cut(poll: &Poll, window: Window) -> Option<Poll> {
    let (from_ns, until_ns) = (
        poll.from_ns.max(window.from),
        poll.until_ns.min(window.from + window.length),
    );
    (from_ns < until_ns || (from_ns == until_ns && poll.from_ns == poll.until_ns)).then_some(Poll {
        from_ns,
        until_ns,
        ..*poll
    })
}

/// Polls that are shorter than a column: a path for each colour, whose height in a column is the colour's part of the
/// column's time.
fn heaps(polls: &[&(usize, Poll)], window: Window) -> Vec<String> {
    let mut busy = vec![[0_u64; CLASSES.len()]; COLUMNS];
    let column = window.length as f64 / COLUMNS as f64;
    for (_, poll) in polls {
        let at = ((poll.from_ns - window.from) as f64 / column) as usize;
        let colour = (poll.site as usize).min(COLOURS);
        busy[at.min(COLUMNS - 1)][colour] += poll.until_ns - poll.from_ns;
    }
    let mut paths = vec![String::new(); CLASSES.len()];
    for (x, busy) in busy.iter().enumerate() {
        let mut y = HEIGHT;
        for (colour, busy) in busy.iter().enumerate().filter(|(_, busy)| **busy > 0) {
            // At least 1.5 pixels, so that each part is visible.
            let height = (HEIGHT * *busy as f64 / column).max(1.5).min(y);
            y -= height;
            let _ = write!(paths[colour], "M{x} {y:.1}h1v{height:.1}h-1z");
        }
    }
    paths
}

const CLASSES: [&str; COLOURS + 1] = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"];

fn class_of(site: u32) -> &'static str {
    CLASSES[(site as usize).min(COLOURS)]
}

fn sites(html: &mut Html, timeline: &Timeline) {
    html.tag("section").class("card scroll").with(|html| {
        html.tag("h2").text("What was polled");
        html.tag("table").attr("data-sortable", "").with(|html| {
            heads(
                html,
                [
                    Column::number("Time"),
                    Column::number("Polls"),
                    Column::text("Task"),
                ],
            );
            html.tag("tbody").with(|html| {
                for (at, site) in timeline.sites.iter().enumerate().take(40) {
                    html.tag("tr").with(|html| {
                        html.tag("td")
                            .class("number")
                            .attr("data-v", site.busy_ns)
                            .text(Time(site.busy_ns));
                        html.tag("td")
                            .class("number")
                            .attr("data-v", site.polls)
                            .text(grouped(site.polls));
                        html.tag("td").with(|html| {
                            swatch(html, "timeline swatch", class_of(at as u32));
                            html.tag("code").text(&site.name);
                        });
                    });
                }
            });
        });
        if timeline.sites.len() > 40 {
            let more = grouped((timeline.sites.len() - 40) as u64);
            html.tag("p")
                .class("note")
                .text(format_args!("and {more} more"));
        }
    });
}

/// The chosen poll, its wake, and the polls that it caused.
fn one(html: &mut Html, view: &View<'_>) {
    let Some((lane, poll)) = view.chosen.and_then(|chosen| view.poll(chosen)) else {
        return;
    };
    html.tag("section")
        .class("card")
        .attr("id", "poll")
        .with(|html| {
            html.tag("h2").text("One poll");
            html.tag("p").with(|html| {
                task(html, view, poll);
                html.text(format_args!(
                    ": {} on thread {}, {} before the end.",
                    Time(poll.until_ns - poll.from_ns),
                    lane.thread,
                    Time(view.timeline.span_ns.saturating_sub(poll.from_ns))
                ));
            });
            html.tag("p").with(|html| match view.wake_of(lane, poll) {
                Some(wake) => {
                    html.text(match wake.is_spawn {
                        true => "Spawned by ",
                        false => "Woken by ",
                    });
                    cause(html, view, wake);
                    html.text(format_args!(
                        ", {} before it began.",
                        Time(poll.from_ns.saturating_sub(wake.at_ns))
                    ));
                }
                None => {
                    html.text("No wake of it is known: it woke itself in its poll before, or the wake is older than the recorder's past, or this is a part of a poll.");
                }
            });
            let wakes = view.woken_by(lane, poll);
            if wakes.is_empty() {
                return;
            }
            html.tag("p").text("What it woke:");
            html.tag("ol").with(|html| {
                for wake in wakes.iter().take(MOST_POLLS) {
                    html.tag("li").with(|html| woken(html, view, wake));
                }
            });
            if wakes.len() > MOST_POLLS {
                let more = grouped((wakes.len() - MOST_POLLS) as u64);
                html.tag("p")
                    .class("note")
                    .text(format_args!("and {more} more"));
            }
        });
}

/// The poll, or the thread, that a wake came from.
fn cause(html: &mut Html, view: &View<'_>, wake: &Wake) {
    let chosen = view.under_way(wake.thread, wake.at_ns);
    let poll = chosen.and_then(|chosen| Some((chosen, view.poll(chosen)?.1)));
    match poll {
        Some((chosen, poll)) => {
            html.tag("a")
                .attr("href", view.link_to(chosen))
                .text(view.name(poll));
        }
        None => {
            html.text(format_args!("thread {}, outside of polls", wake.thread));
        }
    }
}

/// The poll that a wake caused.
fn woken(html: &mut Html, view: &View<'_>, wake: &Wake) {
    let chosen = view.at(wake.woken_thread, wake.woken_ns);
    if let Some((chosen, (_, poll))) = chosen.and_then(|chosen| Some((chosen, view.poll(chosen)?)))
    {
        html.tag("a")
            .attr("href", view.link_to(chosen))
            .text(view.name(poll));
        html.text(format_args!(
            " on thread {}, {} later",
            wake.woken_thread,
            Time(wake.woken_ns.saturating_sub(wake.at_ns))
        ));
    }
}

/// The task of a poll.
fn task(html: &mut Html, view: &View<'_>, poll: &Poll) {
    if let Some(task) = poll.task {
        html.tag("a")
            .attr("href", task_link(task))
            .text(format_args!("goroutine {task}"));
        html.text(" ");
    }
    html.tag("code").text(view.name(poll));
}

fn longest(html: &mut Html, view: &View<'_>) {
    let View {
        timeline, window, ..
    } = view;
    let lanes = timeline.lanes.iter().enumerate();
    let polls = lanes.flat_map(|(lane, of)| {
        let polls = of.polls.iter().enumerate();
        let polls = polls.map(move |(poll, is)| (Chosen { lane, poll }, of, is));
        polls.filter(|(.., poll)| cut(poll, *window).is_some())
    });
    let mut polls: Vec<(Chosen, &Lane, &Poll)> = polls.collect();
    polls.sort_by_key(|(.., poll)| std::cmp::Reverse(poll.until_ns - poll.from_ns));
    polls.truncate(MOST_POLLS);
    if polls.is_empty() {
        return;
    }
    html.tag("section").class("card scroll").with(|html| {
        html.tag("h2").text("The longest polls");
        html.tag("table").attr("data-sortable", "").with(|html| {
            heads(
                html,
                [
                    Column::number("Lasts"),
                    Column::number("Before the end"),
                    Column::number("Thread"),
                    Column::text("Task"),
                    Column::text("Made ready by"),
                ],
            );
            html.tag("tbody").with(|html| {
                for (chosen, lane, poll) in polls {
                    let lasts = poll.until_ns - poll.from_ns;
                    let back = timeline.span_ns.saturating_sub(poll.from_ns);
                    html.tag("tr").with(|html| {
                        html.tag("td")
                            .class("number")
                            .attr("data-v", lasts)
                            .with(|html| {
                                html.tag("a")
                                    .attr("href", view.link_to(chosen))
                                    .text(Time(lasts));
                            });
                        html.tag("td")
                            .class("number")
                            .attr("data-v", back)
                            .text(Time(back));
                        html.tag("td")
                            .class("number")
                            .attr("data-v", lane.thread)
                            .text(lane.thread);
                        html.tag("td").with(|html| task(html, view, poll));
                        html.tag("td").with(|html| {
                            if let Some(wake) = view.wake_of(lane, poll) {
                                cause(html, view, wake);
                            }
                        });
                    });
                }
            });
        });
    });
}
