//! `/debug/pprof/`: the pages with counts and links, as on Go's index page, and the reasons why some of them are
//! incomplete in this process.

use super::page::{PAGES, Page};
use super::routes::only;
use crate::profile::conditions;
use crate::profile::custom;
use crate::profile::diagnosis::Diagnosis;
use runtime_probe_http::refusal::Refusal;
use runtime_probe_http::reply::Reply;
use runtime_probe_http::request::Request;
use std::fmt::Write;

/// The link to the HTML pages, if they are built in.
const LOOK: &str = match cfg!(feature = "ui") {
    true => "<p><a href=\"ui/\">Pages to look at</a>: what is wrong, tasks, locks, profiles.</p>\n",
    false => "",
};

/// Answers a request.
pub(super) fn answer(request: &Request) -> Result<Reply, Refusal> {
    only(request, &[])?;
    let conditions = conditions::now();
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>/debug/pprof/</title>\n<style>\n\
         .profile-name{{display:inline-block;width:6rem}}\n</style>\n</head>\n<body>\n/debug/pprof/\n<br>\n\
         {LOOK}<p>Set debug=1 as a query parameter to export in legacy text format.</p>\n<br>\nTypes of profiles available:\n\
         <table>\n<thead><td>Count</td><td>Profile</td></thead>\n",
    );
    for Page {
        name, link, count, ..
    } in &PAGES
    {
        let count = count(&conditions);
        let _ = writeln!(
            page,
            "<tr><td>{count}</td><td><a href='{name}{link}'>{name}</a></td></tr>"
        );
    }
    for (name, count) in custom::counts() {
        let _ = writeln!(
            page,
            "<tr><td>{count}</td><td><a href='{name}?debug=1'>{name}</a></td></tr>"
        );
    }
    page.push_str("</table>\n<a href=\"goroutine?debug=2\">full goroutine stack dump</a>\n<br>\n\
         <a href=\"goroutine?debug=2&amp;group=1\">the same, equal tasks once</a>\n<br>\n<p>\nProfile Descriptions:\n<ul>\n");
    for Page { name, about, .. } in &PAGES {
        let _ = writeln!(
            page,
            "<li><div class=profile-name>{name}:</div> {}</li>",
            escape(about)
        );
    }
    if !conditions.is_empty() {
        page.push_str("</ul>\n</p>\n<p>\nConditions:\n<ul>\n");
        for condition in conditions {
            let _ = writeln!(page, "<li>{}</li>", escape(&condition.text()));
        }
    }
    page.push_str("</ul>\n</p>\n<p>\nDiagnosis:\n<ul>\n");
    for line in Diagnosis::now().lines() {
        let _ = writeln!(page, "<li>{}</li>", escape(&line));
    }
    page.push_str("</ul>\n</p>\n</body>\n</html>\n");
    Ok(Reply::html(200, page.into_bytes()))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}
