//! The frame of all pages: head, navigation, and the headers of the reply.

use super::assets::{ICON, SCRIPT, STYLE};
use super::html::Html;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use std::ffi::OsStr;

/// The current page, for the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Summary,
    Tasks,
    Locks,
    Profiles,
    Timeline,
}

const TABS: [(Tab, &str, &str); 5] = [
    (Tab::Summary, "./", "Summary"),
    (Tab::Tasks, "tasks", "Tasks"),
    (Tab::Locks, "locks", "Locks"),
    (Tab::Profiles, "profiles", "Profiles"),
    (Tab::Timeline, "timeline", "Timeline"),
];

/// Scripts, styles, pictures and answers to the script come from this server; nothing else is loaded or run. No other
/// page may frame this one.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page.
pub(super) fn page(tab: Tab, title: &str, body: impl FnOnce(&mut Html)) -> Reply {
    respond(200, tab, title, false, body)
}

/// A page that is not refreshed, because it does not change.
pub(super) fn still(tab: Tab, title: &str, body: impl FnOnce(&mut Html)) -> Reply {
    respond(200, tab, title, true, body)
}

/// A page with the reason of a refusal.
pub(super) fn refusal(tab: Tab, refusal: &Refusal) -> Reply {
    respond(refusal.status(), tab, "Not shown", true, |html| {
        html.tag("h1").text("Not shown");
        html.tag("p")
            .class("refusal")
            .attr("role", "alert")
            .text(refusal);
    })
}

fn respond(
    status: u16,
    tab: Tab,
    title: &str,
    is_still: bool,
    body: impl FnOnce(&mut Html),
) -> Reply {
    let process = process();
    let mut html = Html::document();
    html.tag("html").attr("lang", "en").with(|html| {
        html.tag("head").with(|html| {
            html.tag("meta").attr("charset", "utf-8").void();
            html.tag("meta")
                .attr("name", "viewport")
                .attr("content", "width=device-width, initial-scale=1")
                .void();
            html.tag("meta")
                .attr("name", "color-scheme")
                .attr("content", "light dark")
                .void();
            html.tag("title").text(format_args!("{title} - {process}"));
            let link = |html: &mut Html, rel: &str, href: String| {
                html.tag("link").attr("rel", rel).attr("href", href).void();
            };
            link(html, "icon", ICON.link());
            link(html, "stylesheet", STYLE.link());
            html.tag("script")
                .attr("src", SCRIPT.link())
                .flag("defer", true)
                .text("");
        });
        html.tag("body").with(|html| {
            html.tag("a")
                .class("skip")
                .attr("href", "#main")
                .text("Skip to the content");
            html.tag("header")
                .class("top")
                .with(|html| navigation(html, tab, &process));
            html.tag("main")
                .attr("id", "main")
                .flag("data-still", is_still)
                .with(body);
        });
    });
    Reply::html(status, html.into_bytes())
        .with_header("Content-Security-Policy", POLICY)
        .with_header("Cache-Control", "no-store")
        .with_header("Referrer-Policy", "same-origin")
        .with_header("X-Frame-Options", "DENY")
}

fn navigation(html: &mut Html, tab: Tab, process: &str) {
    html.tag("a")
        .class("brand")
        .attr("href", "./")
        .with(|html| {
            html.tag("img")
                .attr("src", ICON.link())
                .attr("alt", "")
                .attr("width", 24)
                .attr("height", 24)
                .void();
            html.tag("span").text(process);
        });
    html.tag("nav").attr("aria-label", "Pages").with(|html| {
        for (of, href, name) in TABS {
            html.tag("a")
                .attr("href", href)
                .maybe("aria-current", (of == tab).then_some("page"))
                .text(name);
        }
        html.tag("a")
            .class("aside")
            .attr("href", "../")
            .text("Endpoints");
    });
    // The script fills this in.
    html.tag("div")
        .attr("id", "tools")
        .flag("hidden", true)
        .text("");
}

/// The name of the program's file and the id of the process.
fn process() -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name());
    let program = program.map(OsStr::to_string_lossy);
    format!(
        "{} {}",
        program.as_deref().unwrap_or("process"),
        std::process::id()
    )
}
