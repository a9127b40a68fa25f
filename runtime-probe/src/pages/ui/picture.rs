//! The pages of a kept profile: as a flame graph and as a table. It can be searched, zoomed, inverted, and compared
//! with an earlier one.

use super::columns::{Column, heads};
use super::flame::{Drawn, Graph, valued};
use super::html::{Html, link};
use super::kept::{self, Taken};
use super::profiles::span;
use super::quantity::{Count, Time};
use super::shell::{self, Tab};
use super::words::{bar, choice, remarks, swatch};
use crate::pages::routes::only;
use crate::profile::selection::Selection;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The most rows of a table.
const MOST_ROWS: usize = 200;

/// The parameters of a request.
struct Query<'r> {
    path: &'static str,
    profile: Arc<Taken>,
    base: Option<Arc<Taken>>,
    search: &'r str,
    selection: Selection,
    is_inverted: bool,
}

/// The flame graph.
pub(super) fn flame(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["base", "invert", "profile", "search", "zoom"])?;
    let query = Query::of(request, "flame")?;
    let graph = Graph::new(&query.profile, query.base.as_deref(), query.is_inverted);
    let zoom = request.number("zoom")?.unwrap_or(0) as usize;
    if !graph.has(zoom) {
        return Err(Refusal::new(404, "there is no such box to zoom"));
    }
    Ok(shell::still(Tab::Profiles, &query.title(), |html| {
        query.head(html);
        if query.profile.stacks.is_empty() {
            html.tag("p")
                .class("note")
                .text("There are no stacks in it.");
            return;
        }
        if zoom != 0 {
            html.tag("p").class("note").with(|html| {
                html.tag("a")
                    .attr("href", query.link(&[]))
                    .text("Show all again");
            });
        }
        let mut found = None;
        html.tag("div")
            .class("card picture")
            .attr("id", "picture")
            .with(|html| {
                let drawn = Drawn {
                    zoom,
                    finder: query.selection.finder(),
                    link: &|at| match at {
                        0 => query.link(&[]),
                        _ => query.link(&[("zoom", &at.to_string())]),
                    },
                };
                found = graph.draw(html, drawn);
            });
        if let Some(found) = found {
            html.tag("p")
                .class("note")
                .attr("role", "status")
                .text(format_args!(
                    "{:.1} % is in or below functions that match.",
                    100.0 * found
                ));
        }
        legend(html, query.base.is_some());
    }))
}

fn legend(html: &mut Html, has_base: bool) {
    let colours: &[(&'static str, &str)] = match has_base {
        true => &[
            ("more much", "at least twice as much"),
            ("more", "more than before"),
            ("same", "about the same"),
            ("less", "less than before"),
            ("less much", "half or less"),
        ],
        false => &[
            ("f0", "the program's own crates"),
            ("f4", "other crates"),
            ("f6", "tokio"),
            ("f7", "std and C"),
        ],
    };
    html.tag("p").class("legend").with(|html| {
        for (class, text) in colours {
            html.tag("span").class("swatch").with(|html| {
                swatch(html, "flame", class);
                html.text(text);
            });
        }
    });
}

/// The table: functions with their own values and those including their callees.
pub(super) fn table(request: &Request) -> Result<Reply, Refusal> {
    only(request, &["base", "profile", "search", "sort"])?;
    let query = Query::of(request, "table")?;
    let by_cum = match request.param("sort")? {
        None | Some("" | "flat") => false,
        Some("cum") => true,
        Some(_) => {
            return Err(Refusal::bad_request(
                "invalid value for \"sort\" - must be flat, cum",
            ));
        }
    };
    let mut rows = rows(&query.profile, query.base.as_deref());
    if let Some(mut finder) = query.selection.finder() {
        rows.retain(|name, _| finder.finds(name));
    }
    let mut rows: Vec<(&str, Row)> = rows.into_iter().collect();
    rows.sort_by_key(|(_, row)| match by_cum {
        true => Reverse((row.cum, row.flat)),
        false => Reverse((row.flat, row.cum)),
    });
    Ok(shell::still(Tab::Profiles, &query.title(), |html| {
        query.head(html);
        html.tag("p").class("note").text(format_args!(
            "{}{}. Flat is what a function uses itself, cum with all that it calls.",
            Count(rows.len() as u64, "function"),
            match rows.len() > MOST_ROWS {
                true => format!(", the first {MOST_ROWS} of which are shown"),
                false => String::new(),
            }
        ));
        html.tag("div").class("card scroll").with(|html| {
            query.functions(html, &rows[..rows.len().min(MOST_ROWS)], by_cum);
        });
    }))
}

/// The values of a function.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    flat: i64,
    cum: i64,
    /// `cum` in the base profile.
    base_cum: i64,
    /// Whether the function is of the program's own crates.
    is_own: bool,
}

fn rows<'t>(profile: &'t Taken, base: Option<&'t Taken>) -> BTreeMap<&'t str, Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (taken, is_base) in [(Some(profile), false), (base, true)] {
        let Some(taken) = taken else { continue };
        for (frames, value) in &taken.stacks {
            let mut seen = HashSet::new();
            for (at, frame) in frames.iter().enumerate().rev() {
                let row = rows.entry(&taken.names[*frame as usize]).or_default();
                row.is_own |= taken.own[*frame as usize];
                if at + 1 == frames.len() && !is_base {
                    row.flat = row.flat.saturating_add(*value);
                }
                // A recursive function is counted once a stack.
                if seen.insert(*frame) {
                    let sum = if is_base {
                        &mut row.base_cum
                    } else {
                        &mut row.cum
                    };
                    *sum = sum.saturating_add(*value);
                }
            }
        }
    }
    rows
}

impl<'r> Query<'r> {
    fn of(request: &'r Request, path: &'static str) -> Result<Self, Refusal> {
        let find = |name: &str| -> Result<Option<Arc<Taken>>, Refusal> {
            let Some(number) = request.number(name)? else {
                return Ok(None);
            };
            let gone = || {
                let sentence = format!(
                    "profile {number} is not kept any more: the process keeps the last {}",
                    kept::MOST
                );
                Refusal::new(404, sentence)
            };
            kept::find(number.into()).map(Some).ok_or_else(gone)
        };
        let profile = find("profile")?.ok_or_else(|| {
            Refusal::bad_request("profile is missing: the number of one that was taken")
        })?;
        let base = find("base")?;
        if base.as_ref().is_some_and(|base| base.kind != profile.kind) {
            return Err(Refusal::bad_request(
                "profiles of two kinds cannot be compared",
            ));
        }
        let search = request.param("search")?.unwrap_or_default();
        let mut selection = Selection::default();
        if !search.is_empty() {
            selection.matching(search).map_err(|reason| {
                Refusal::bad_request(format!("invalid value for \"search\" - {reason}"))
            })?;
        }
        Ok(Query {
            path,
            profile,
            base,
            search,
            selection,
            is_inverted: request.switch("invert")?,
        })
    }

    fn title(&self) -> String {
        format!("{} {}", self.profile.kind.title, self.profile.number)
    }

    /// The address of this page with some parameters changed, without zoom.
    fn link(&self, changed: &[(&str, &str)]) -> String {
        self.link_to(self.path, changed)
    }

    fn link_to(&self, path: &str, changed: &[(&str, &str)]) -> String {
        let (number, base) = (self.profile.number.to_string(), self.base_number());
        let invert = if self.is_inverted { "1" } else { "" };
        let mut query = vec![
            ("profile", &*number),
            ("base", &*base),
            ("search", self.search),
        ];
        if path == "flame" {
            query.push(("invert", invert));
        }
        for (name, value) in changed {
            query.retain(|(other, _)| other != name);
            query.push((name, value));
        }
        link(path, &query)
    }

    fn base_number(&self) -> String {
        let base = self.base.as_ref();
        base.map_or(String::new(), |base| base.number.to_string())
    }

    fn head(&self, html: &mut Html) {
        let profile = &self.profile;
        html.tag("h1").with(|html| {
            html.text(self.title());
            if let Some(base) = &self.base {
                html.text(format_args!(" against {}", base.number));
            }
        });
        html.tag("form")
            .class("filters")
            .attr("method", "get")
            .attr("action", self.path)
            .attr("role", "search")
            .with(|html| {
                html.tag("label").with(|html| {
                    html.tag("span").text("Functions");
                    html.tag("input")
                        .attr("type", "search")
                        .attr("name", "search")
                        .attr("value", self.search)
                        .attr("placeholder", "regular expression")
                        .flag("data-filter", true)
                        .void();
                });
                let invert = if self.is_inverted { "1" } else { "" };
                for (name, value) in [
                    ("profile", &*profile.number.to_string()),
                    ("base", &*self.base_number()),
                    ("invert", invert),
                ] {
                    if !value.is_empty() {
                        html.tag("input")
                            .attr("type", "hidden")
                            .attr("name", name)
                            .attr("value", value)
                            .void();
                    }
                }
                html.tag("button").text("Search");
            });
        html.tag("div").class("choices").with(|html| {
            let is_flame = self.path == "flame";
            choice(
                html,
                "Show as",
                [
                    ("Flame graph", self.link_to("flame", &[]), is_flame),
                    ("Table", self.link_to("table", &[]), !is_flame),
                ],
            );
            if is_flame {
                choice(
                    html,
                    "At the top",
                    [
                        ("Callers", self.link(&[("invert", "")]), !self.is_inverted),
                        ("Leaves", self.link(&[("invert", "1")]), self.is_inverted),
                    ],
                );
            }
        });
        let age = u64::try_from(profile.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        html.tag("p").class("note").with(|html| {
            html.text(format_args!(
                "{} of {}, taken {} ago. ",
                valued(profile.kind.unit, profile.total()),
                span(profile),
                Time(age)
            ));
            html.tag("a").attr("href", "profiles").text("All profiles");
        });
        remarks(html, "the profile", &profile.remarks);
    }

    fn functions(&self, html: &mut Html, rows: &[(&str, Row)], by_cum: bool) {
        let unit = self.profile.kind.unit;
        let total = self.profile.total().max(1) as f64;
        html.tag("table")
            .attr("data-sortable", "")
            .class("functions")
            .with(|html| {
                let change = self.base.is_some().then_some(Column::number("Cum change"));
                let values = [
                    Column::number("Flat").descending(!by_cum),
                    Column::number("Flat %"),
                    Column::number("Cum").descending(by_cum),
                    Column::number("Cum %"),
                ];
                heads(
                    html,
                    values
                        .into_iter()
                        .chain(change)
                        .chain([Column::text("Function")]),
                );
                html.tag("tbody").attr("data-rows", "").with(|html| {
                    for (name, row) in rows {
                        html.tag("tr").with(|html| {
                            let mut cell = |value: i64, text: String| {
                                html.tag("td")
                                    .class("number")
                                    .attr("data-v", value)
                                    .text(text);
                            };
                            let part =
                                |value: i64| format!("{:.1} %", 100.0 * value as f64 / total);
                            cell(row.flat, valued(unit, row.flat));
                            cell(row.flat, part(row.flat));
                            cell(row.cum, valued(unit, row.cum));
                            cell(row.cum, part(row.cum));
                            if self.base.is_some() {
                                let change = row.cum.saturating_sub(row.base_cum);
                                cell(change, valued(unit, change));
                            }
                            html.tag("td").with(|html| {
                                let class = if row.is_own { "frame own" } else { "frame" };
                                html.tag("span")
                                    .class(class)
                                    .with(|html| html.tag("code").text(name));
                                bar(html, "fill-runnable", row.cum as f64 / total);
                            });
                        });
                    }
                });
            });
        html.tag("p").class("note").with(|html| {
            html.text("Most first by ");
            html.tag("a")
                .attr("href", self.link(&[("sort", "")]))
                .text("flat");
            html.text(" or ");
            html.tag("a")
                .attr("href", self.link(&[("sort", "cum")]))
                .text("cum");
        });
    }
}
