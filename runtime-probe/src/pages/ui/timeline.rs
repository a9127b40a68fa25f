//! The last seconds of each thread: what it polled, in the colour of the spawn site. The flight recorder has them.

use super::html::{Html, link};
use super::quantity::Time;
use super::shell::{self, Tab};
use super::words::task_link;
use crate::pages::dump_permit::DumpPermit;
use crate::pages::routes::only;
use crate::primitive;
use crate::profile::selection::grouped;
use crate::profile::timeline::{Lane, Poll, Timeline};
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

/// Columns of a lane. What is shorter than one adds to its height.
const COLUMNS: usize = 1200;

/// Sites with a colour of their own; all others share the last.
const COLOURS: usize = 7;

/// Pixels of a lane.
const HEIGHT: f64 = 30.0;

/// The most threads that are drawn.
const MOST_LANES: usize = 64;

/// Rows of the table of the longest polls.
const MOST_POLLS: usize = 20;

/// The most pasts that are kept.
const MOST_KEPT: usize = 2;

/// Those that were looked at last, the newest first, by their numbers: their parts can be looked at closer.
static KEPT: Mutex<VecDeque<(u64, Arc<Timeline>)>> = Mutex::new(VecDeque::new());

/// The part of the past that is shown, in nanoseconds.
#[derive(Clone, Copy)]
struct Window {
    from: u64,
    length: u64,
}

pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["from", "length", "past"])?;
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
            html.text(". For go tool trace: ");
            html.tag("a")
                .attr("href", "../trace?last=1")
                .text("these seconds");
            html.text(", ");
            html.tag("a")
                .attr("href", "../trace?seconds=5")
                .text("the next five");
            html.text(".");
        });
        if timeline.lost > 0 {
            html.tag("p").class("remark").text(format_args!(
                "{} events found no room: there are polls that are not shown",
                grouped(timeline.lost)
            ));
        }
        zoom(html, number, &timeline, window);
        html.tag("section").class("card").with(|html| {
            axis(html, window);
            for lane in timeline.lanes.iter().take(MOST_LANES) {
                draw(html, lane, window);
            }
            if timeline.lanes.len() > MOST_LANES {
                let more = grouped((timeline.lanes.len() - MOST_LANES) as u64);
                html.tag("p")
                    .class("note")
                    .text(format_args!("and {more} more threads"));
            }
        });
        sites(html, &timeline);
        longest(html, &timeline, window);
    }))
}

/// The past that is asked for, or that of now.
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

fn zoom(html: &mut Html, number: u64, timeline: &Timeline, window: Window) {
    let to = |from: u64, length: u64| {
        let of = |ns: u64| (ns / 1000).to_string();
        link(
            "timeline",
            &[
                ("past", &number.to_string()),
                ("from", &of(from)),
                ("length", &of(length)),
            ],
        )
    };
    let Window { from, length } = window;
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

fn draw(html: &mut Html, lane: &Lane, window: Window) {
    let shown = lane.polls.iter().filter_map(|poll| cut(poll, window));
    let shown: Vec<Poll> = shown.collect();
    let busy: u64 = shown.iter().map(|poll| poll.until_ns - poll.from_ns).sum();
    html.tag("p").class("lane").with(|html| {
        html.tag("b").text(if lane.name.is_empty() {
            "thread"
        } else {
            &lane.name
        });
        html.text(format_args!(
            " {}, {} polls, {:.1} % busy",
            lane.thread,
            grouped(shown.len() as u64),
            100.0 * busy as f64 / window.length as f64
        ));
    });
    html.tag("svg")
        .class("timeline")
        .attr("width", "100%")
        .attr("height", HEIGHT)
        .attr("viewBox", format_args!("0 0 {COLUMNS} {HEIGHT}"))
        .attr("preserveAspectRatio", "none")
        .attr("role", "img")
        .attr(
            "aria-label",
            format_args!("Polls of thread {}", lane.thread),
        )
        .with(|html| {
            let column = window.length as f64 / COLUMNS as f64;
            let (long, short): (Vec<&Poll>, Vec<&Poll>) = shown
                .iter()
                .partition(|poll| (poll.until_ns - poll.from_ns) as f64 >= column);
            for (colour, path) in heaps(&short, window).iter().enumerate() {
                if !path.is_empty() {
                    html.tag("path")
                        .class(CLASSES[colour])
                        .attr("d", path)
                        .text("");
                }
            }
            for poll in long {
                let x = (poll.from_ns - window.from) as f64 / column;
                let width = (poll.until_ns - poll.from_ns) as f64 / column;
                html.tag("rect")
                    .class(class_of(poll.site))
                    .attr("x", format_args!("{x:.2}"))
                    .attr("width", format_args!("{width:.2}"))
                    .attr("height", HEIGHT)
                    .text("");
            }
        });
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

/// Polls that are shorter than a column: a path for each colour, in each column as high as the part of its time.
fn heaps(polls: &[&Poll], window: Window) -> Vec<String> {
    let mut busy = vec![[0_u64; CLASSES.len()]; COLUMNS];
    let column = window.length as f64 / COLUMNS as f64;
    for poll in polls {
        let at = ((poll.from_ns - window.from) as f64 / column) as usize;
        let colour = (poll.site as usize).min(COLOURS);
        busy[at.min(COLUMNS - 1)][colour] += poll.until_ns - poll.from_ns;
    }
    let mut paths = vec![String::new(); CLASSES.len()];
    for (x, busy) in busy.iter().enumerate() {
        let mut y = HEIGHT;
        for (colour, busy) in busy.iter().enumerate().filter(|(_, busy)| **busy > 0) {
            // What is there at all is seen.
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
            html.tag("thead").with(|html| {
                html.tag("tr").with(|html| {
                    html.tag("th")
                        .class("number")
                        .attr("scope", "col")
                        .text("Time");
                    html.tag("th")
                        .class("number")
                        .attr("scope", "col")
                        .text("Polls");
                    html.tag("th").attr("scope", "col").text("Task");
                });
            });
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
                            html.tag("svg")
                                .class("timeline swatch")
                                .attr("width", 14)
                                .attr("height", 14)
                                .attr("aria-hidden", "true")
                                .with(|html| {
                                    html.tag("rect")
                                        .class(class_of(at as u32))
                                        .attr("width", 14)
                                        .attr("height", 14)
                                        .attr("rx", 3)
                                        .text("");
                                });
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

fn longest(html: &mut Html, timeline: &Timeline, window: Window) {
    let polls = timeline.lanes.iter().flat_map(|lane| {
        let polls = lane.polls.iter().map(move |poll| (lane, poll));
        polls.filter(|(_, poll)| cut(poll, window).is_some())
    });
    let mut polls: Vec<(&Lane, &Poll)> = polls.collect();
    polls.sort_by_key(|(_, poll)| std::cmp::Reverse(poll.until_ns - poll.from_ns));
    polls.truncate(MOST_POLLS);
    if polls.is_empty() {
        return;
    }
    html.tag("section").class("card scroll").with(|html| {
        html.tag("h2").text("The longest polls");
        html.tag("table").attr("data-sortable", "").with(|html| {
            html.tag("thead").with(|html| {
                html.tag("tr").with(|html| {
                    for name in ["Lasts", "Before the end", "Thread"] {
                        html.tag("th")
                            .class("number")
                            .attr("scope", "col")
                            .text(name);
                    }
                    html.tag("th").attr("scope", "col").text("Task");
                });
            });
            html.tag("tbody").with(|html| {
                for (lane, poll) in polls {
                    let lasts = poll.until_ns - poll.from_ns;
                    let back = timeline.span_ns.saturating_sub(poll.from_ns);
                    html.tag("tr").with(|html| {
                        html.tag("td")
                            .class("number")
                            .attr("data-v", lasts)
                            .text(Time(lasts));
                        html.tag("td")
                            .class("number")
                            .attr("data-v", back)
                            .text(Time(back));
                        html.tag("td")
                            .class("number")
                            .attr("data-v", lane.thread)
                            .text(lane.thread);
                        html.tag("td").with(|html| {
                            if let Some(task) = poll.task {
                                html.tag("a")
                                    .attr("href", task_link(task))
                                    .text(format_args!("goroutine {task}"));
                                html.text(" ");
                            }
                            if let Some(site) = timeline.sites.get(poll.site as usize) {
                                html.tag("code").text(&site.name);
                            }
                        });
                    });
                }
            });
        });
    });
}
