//! The page of the profiles: forms that take one, and a list of those that were taken. A profile is made by its own
//! page (`/debug/pprof/NAME`), with the parameters of that page.

use super::columns::{Column, heads};
use super::flame::valued;
use super::html::{Html, link};
use super::kept::{self, Kind, Taken, Unit};
use super::quantity::Time;
use super::shell::{self, Tab};
use crate::pages::dump_permit::DumpPermit;
use crate::pages::page::PAGES;
use crate::pages::routes::only;
use crate::profile::own_code::OwnCrates;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::{Body, Reply};
use runtime_probe_http::request::Request;

/// A kind of profile, and its form.
struct Offer {
    kind: Kind,
    about: &'static str,
    /// A button for each of these lengths; 0 is now, or since the start.
    seconds: &'static [u32],
    fields: &'static [Field],
}

/// A parameter of the profile's page.
struct Field {
    name: &'static str,
    label: &'static str,
    value: &'static str,
    /// Whether the parameter needs a length: it sets a rate for that time only.
    with_seconds: bool,
}

static OFFERS: [Offer; 6] = [
    Offer {
        kind: Kind {
            name: "cpu",
            title: "CPU",
            page: "profile",
            unit: Unit::Nanoseconds,
        },
        about: "What runs, sampled by the CPU time of each thread.",
        seconds: &[2, 5, 10, 30],
        fields: &[Field {
            name: "hz",
            label: "Samples a second",
            value: "100",
            with_seconds: true,
        }],
    },
    Offer {
        kind: Kind {
            name: "goroutine",
            title: "Tasks",
            page: "goroutine",
            unit: Unit::Tasks,
        },
        about: "Where all tasks are now, or what became more within a time.",
        seconds: &[0, 10, 30],
        fields: &[],
    },
    Offer {
        kind: Kind {
            name: "block",
            title: "Waits",
            page: "block",
            unit: Unit::Nanoseconds,
        },
        about: "Where tasks wait for each other: channels, locks, semaphores, joins.",
        seconds: &[2, 10, 30, 0],
        fields: &[Field {
            name: "rate",
            label: "Nanoseconds for each sample",
            value: "10000",
            with_seconds: true,
        }],
    },
    Offer {
        kind: Kind {
            name: "mutex",
            title: "Locks",
            page: "mutex",
            unit: Unit::Nanoseconds,
        },
        about: "What made others wait for a lock, where it let go.",
        seconds: &[2, 10, 30, 0],
        fields: &[Field {
            name: "fraction",
            label: "Unlocks for each sample",
            value: "1",
            with_seconds: true,
        }],
    },
    Offer {
        kind: Kind {
            name: "heap",
            title: "Memory",
            page: "heap",
            unit: Unit::Bytes,
        },
        about: "What is allocated and alive, or what became more within a time.",
        seconds: &[0, 10, 30],
        fields: &[],
    },
    Offer {
        kind: Kind {
            name: "allocs",
            title: "Allocations",
            page: "allocs",
            unit: Unit::Bytes,
        },
        about: "What was ever allocated, or within a time.",
        seconds: &[0, 10, 30],
        fields: &[],
    },
];

/// The page of the forms.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["kind"])?;
    let wanted = request.param("kind")?.map(offer).transpose()?;
    Ok(shell::page(Tab::Profiles, "Profiles", |html| {
        html.tag("h1").text("Profiles");
        html.tag("div").class("offers").with(|html| {
            let offers = OFFERS.iter();
            let offers =
                offers.filter(|offer| wanted.is_none_or(|wanted| wanted.kind == offer.kind));
            for offer in offers {
                html.tag("section")
                    .class("card")
                    .with(|html| form(html, offer));
            }
        });
        let taken = kept::all();
        html.tag("section")
            .class("card scroll")
            .with(|html| list(html, &taken));
    }))
}

fn offer(name: &str) -> Result<&'static Offer, Refusal> {
    let mut offers = OFFERS.iter();
    offers.find(|offer| offer.kind.name == name).ok_or_else(|| {
        let known = OFFERS.each_ref().map(|offer| offer.kind.name);
        Refusal::bad_request(format!(
            "invalid value for \"kind\" - must be {}",
            known.join(", ")
        ))
    })
}

fn form(html: &mut Html, offer: &Offer) {
    html.tag("h2").text(offer.kind.title);
    html.tag("p").class("note").text(offer.about);
    html.tag("form")
        .attr("method", "get")
        .attr("action", "take")
        .class("take")
        .with(|html| {
            let hidden = html
                .tag("input")
                .attr("type", "hidden")
                .attr("name", "kind");
            hidden.attr("value", offer.kind.name).void();
            for field in offer.fields {
                html.tag("label").with(|html| {
                    html.tag("span").text(field.label);
                    html.tag("input")
                        .attr("type", "number")
                        .attr("min", 1)
                        .attr("name", field.name)
                        .attr("value", field.value)
                        .void();
                });
            }
            html.tag("div").class("buttons").with(|html| {
                for seconds in offer.seconds {
                    let button = html
                        .tag("button")
                        .attr("name", "seconds")
                        .attr("value", seconds);
                    match (seconds, offer.fields) {
                        (0, []) => button.text("Now"),
                        (0, _) => button.text("Since the start"),
                        _ => button.text(format_args!("{seconds} s")),
                    }
                }
            });
        });
}

fn list(html: &mut Html, taken: &[std::sync::Arc<Taken>]) {
    html.tag("h2").text("Taken");
    if taken.is_empty() {
        html.tag("p").class("note").text(format_args!(
            "None yet. The process keeps the last {}, until it ends.",
            kept::MOST
        ));
        return;
    }
    html.tag("table").attr("data-sortable", "").with(|html| {
        heads(
            html,
            [
                Column::text("Profile"),
                Column::text("Of"),
                Column::number("Total"),
                Column::number("Taken"),
                Column::text("Look at").unsorted(),
            ],
        );
        html.tag("tbody").with(|html| {
            for one in taken {
                html.tag("tr").with(|html| row(html, one, taken));
            }
        });
    });
}

fn row(html: &mut Html, one: &Taken, all: &[std::sync::Arc<Taken>]) {
    let number = one.number.to_string();
    let to = |html: &mut Html, path: &str, query: &[(&str, &str)], text: String| {
        html.tag("a").attr("href", link(path, query)).text(text);
        html.text(" ");
    };
    html.tag("td").attr("data-v", one.number).with(|html| {
        to(
            html,
            "flame",
            &[("profile", &number)],
            format!("{} {number}", one.kind.title),
        );
    });
    html.tag("td").text(span(one));
    html.tag("td")
        .class("number")
        .attr("data-v", one.total())
        .text(valued(one.kind.unit, one.total()));
    let age = u64::try_from(one.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
    html.tag("td")
        .class("number")
        .attr("data-v", age)
        .text(format_args!("{} ago", Time(age)));
    html.tag("td").with(|html| {
        to(html, "table", &[("profile", &number)], "table".to_owned());
        let earlier = all.iter();
        let earlier = earlier.filter(|other| other.kind == one.kind && other.number < one.number);
        for base in earlier {
            let base = base.number.to_string();
            let text = format!("against {base}");
            to(
                html,
                "flame",
                &[("profile", &number), ("base", &base)],
                text,
            );
        }
    });
}

/// The time span of a profile, as text.
pub(super) fn span(taken: &Taken) -> String {
    match (taken.seconds, taken.kind.unit) {
        (Some(seconds), _) => format!("{seconds} s"),
        (None, Unit::Nanoseconds) => "since the start".to_owned(),
        (None, _) => "one moment".to_owned(),
    }
}

/// Takes a profile, and redirects to its page.
pub(super) fn take(request: &Request) -> Result<Reply, Refusal> {
    let kind = request.param("kind")?.unwrap_or_default();
    let offer = offer(kind)?;
    let fields: Vec<&str> = offer.fields.iter().map(|field| field.name).collect();
    let known: Vec<&str> = ["kind", "seconds", "crate"]
        .into_iter()
        .chain(fields)
        .collect();
    only(request, &known)?;
    let seconds = request.number("seconds")?.filter(|seconds| *seconds > 0);
    let length = seconds.map_or(String::new(), |seconds| seconds.to_string());
    let mut query = vec![
        ("format", "folded"),
        ("seconds", &*length),
        ("crate", request.param("crate")?.unwrap_or_default()),
    ];
    for field in offer.fields {
        if seconds.is_some() || !field.with_seconds {
            query.push((field.name, request.param(field.name)?.unwrap_or_default()));
        }
    }
    let folded = folded(request, offer, &query)?;
    let own = {
        let _permit = DumpPermit::take()?;
        OwnCrates::now()
    };
    let number = kept::keep(&offer.kind, seconds, &folded, &own).ok_or_else(|| {
        Refusal::new(
            500,
            "the profile has more stacks than the process keeps for these pages: go tool pprof reads it",
        )
    })?;
    let to = link("flame", &[("profile", &number.to_string())]);
    Ok(Reply::redirect(303, &to))
}

/// The answer of the profile's own page.
fn folded(request: &Request, offer: &Offer, query: &[(&str, &str)]) -> Result<String, Refusal> {
    let mut pages = PAGES.iter();
    let page = pages.find(|page| page.name == offer.kind.page);
    let page = page.ok_or_else(|| Refusal::new(404, "Unknown profile"))?;
    let target = link(&format!("/debug/pprof/{}", page.name), query);
    let asked = Request::new("GET", &target, Vec::new(), Vec::new())?;
    let reply = (page.answer)(&asked.with_client(request.client().clone()))?;
    let (status, _, body) = reply.into_parts();
    let text = match body {
        Body::Bytes(bytes) => bytes,
        Body::Stream(write) => {
            let mut bytes = Vec::new();
            write(&mut bytes).map_err(|error| {
                Refusal::new(500, format!("could not write the profile: {error}"))
            })?;
            bytes
        }
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    match status {
        200 => Ok(text),
        _ => Err(Refusal::new(status, text.trim_end().to_owned())),
    }
}
