//! The HTML: nested `details`, which fold without a script, and a script for the search.

use super::tree::{Node, Tree};
use crate::own_frame::{is_own, place};
use crate::show::inline::{Inline, beginning};
use crate::show::markup::escaped;
use runtime_dump::stack::Frame;
use std::fmt::Write as _;

/// Frames with a smaller part of the highest count are closed at first.
const OPEN_FROM: f64 = 0.05;

/// The whole file.
pub(super) fn html(title: &str, tree: &Tree) -> String {
    let moments = tree.labels().len();
    let most = (0..moments)
        .map(|moment| tree.root().at(moment))
        .max()
        .unwrap_or(0)
        .max(1);
    let mut page = beginning(title, &STYLE, &[], &[&SCRIPT]);
    let _ = write!(
        page,
        "<p>{}</p>\n\
         <p id=\"tools\" hidden><label>Search <input id=\"search\" type=\"search\" autocomplete=\"off\" title=\"Enter: the next one\"></label> <span id=\"found\" role=\"status\"></span>\n\
         <button id=\"open\" type=\"button\">Open all</button> <button id=\"close\" type=\"button\">Close all</button></p>\n<main>\n",
        about(tree)
    );
    for (frame, node) in tree.root().children() {
        push_node(&mut page, frame, node, moments, most);
    }
    if tree.frames() == 0 {
        page.push_str("<p>No tasks.</p>\n");
    }
    let _ = write!(page, "</main>\n<script>{SCRIPT}</script>\n</body></html>\n");
    page
}

fn about(tree: &Tree) -> String {
    let labels = tree.labels();
    let (first, last) = (
        labels.first().map_or("", String::as_str),
        labels.last().map_or("", String::as_str),
    );
    let mut about = format!(
        "{} moments, {} to {}, {} frames.",
        labels.len(),
        escaped(first),
        escaped(last),
        tree.frames()
    );
    if tree.per_moment() > 1 {
        let _ = write!(
            about,
            " Each is the largest of {} looks.",
            tree.per_moment()
        );
    }
    about.push_str(" Each line has the count at the end, its change since the start, the highest count, and the counts over time. Calls of the program's own are bold.");
    about
}

fn push_node(page: &mut String, frame: &Frame, node: &Node, moments: usize, most: i64) {
    let counts: Vec<i64> = (0..moments).map(|moment| node.at(moment)).collect();
    let (first, last) = (
        counts.first().copied().unwrap_or(0),
        counts.last().copied().unwrap_or(0),
    );
    let largest = counts.iter().copied().max().unwrap_or(0);
    let children = node.children();
    let open = if largest as f64 >= OPEN_FROM * most as f64 {
        " open"
    } else {
        ""
    };
    let place = match place(frame) {
        place if place.is_empty() => place,
        place => format!(" <span class=\"at\">{}</span>", escaped(&place)),
    };
    let own = if is_own(frame) { " class=\"own\"" } else { "" };
    let change = match last - first {
        0 => String::new(),
        more if more > 0 => format!("<span class=\"more\">+{more}</span>"),
        less => format!("<span class=\"less\">{less}</span>"),
    };
    let line = format!(
        "<span class=\"n\">{last}</span><span class=\"n\">{change}</span><span class=\"n\">{largest}</span>{} <code{own}>{}</code>{place}",
        chart(&counts, most),
        escaped(&frame.function),
    );
    if children.is_empty() {
        let _ = writeln!(page, "<div class=\"leaf\">{line}</div>");
        return;
    }
    let _ = writeln!(page, "<details{open}><summary>{line}</summary>");
    for (frame, child) in children {
        push_node(page, frame, child, moments, most);
    }
    page.push_str("</details>\n");
}

/// A chart of counts over time, scaled to the frame's own highest count. Of a single moment it is a bar, scaled to the highest
/// count of all frames.
fn chart(counts: &[i64], most: i64) -> String {
    if counts.len() < 2 {
        let width =
            (counts.first().copied().unwrap_or(0).max(0) as f64 / most as f64 * 80.0).ceil();
        return format!(
            "<svg width=\"80\" height=\"14\" aria-hidden=\"true\"><rect y=\"3\" width=\"{width}\" height=\"8\"/></svg>"
        );
    }
    let own = counts.iter().copied().max().unwrap_or(0).max(1);
    let step = 80.0 / (counts.len() - 1) as f64;
    let points: Vec<String> = counts
        .iter()
        .enumerate()
        .map(|(index, count)| {
            format!(
                "{:.1},{:.1}",
                index as f64 * step,
                13.0 - (*count).max(0) as f64 / own as f64 * 12.0
            )
        })
        .collect();
    format!(
        "<svg width=\"80\" height=\"14\" aria-hidden=\"true\"><polyline points=\"{}\"/></svg>",
        points.join(" ")
    )
}

static STYLE: Inline = Inline {
    sha256: "Vl+pYh2PaT4H6UXhroG1CfJpSEgdhiGhqEgbFOu0wbI=",
    text: "
:root{color-scheme:light dark;--dim:#555;--more:#b00020;--less:#00632b;--line:#1f5fbf}
@media(prefers-color-scheme:dark){:root{--dim:#b0b0b0;--more:#ff8a80;--less:#7fd99a;--line:#8ab4ff}}
body{font:14px/1.5 system-ui,sans-serif;margin:1rem}h1{font-size:1.2rem}
details{margin-left:1rem}main>details{margin-left:0}.leaf{margin-left:2rem}
summary{cursor:pointer}summary,.leaf{white-space:nowrap}
.n{display:inline-block;min-width:4.5em;text-align:right;font-variant-numeric:tabular-nums}
.more{color:var(--more)}.less{color:var(--less)}.at{color:var(--dim)}
svg{vertical-align:middle;margin-left:.5em}polyline{fill:none;stroke:var(--line)}rect{fill:var(--line)}
.own{font-weight:bold}.hit{outline:1px solid var(--line);outline-offset:-1px}.now{outline-width:3px;outline-offset:-3px}
#tools{position:sticky;top:0;left:0;padding:.4rem 0;background:Canvas}#tools[hidden]{display:none}summary,.leaf{scroll-margin:4rem 1rem}",
};

static SCRIPT: Inline = Inline {
    sha256: "7mhbKoothHf6O7i2ogmtImmKOakdBUgejC2btMYds/Q=",
    text: "
const all=[...document.querySelectorAll('summary,.leaf')].map(line=>[line,line.textContent.toLowerCase()]);
const search=document.getElementById('search'),found=document.getElementById('found');
let hits=[],now=-1;
const go=to=>{
 if(hits[now])hits[now].classList.remove('now');
 now=to;
 if(!hits[now])return;
 hits[now].classList.add('now');
 hits[now].scrollIntoView({block:'nearest'});
};
search.addEventListener('input',()=>{
 const text=search.value.toLowerCase();
 go(-1);
 for(const hit of hits)hit.classList.remove('hit');
 hits=text===''?[]:all.filter(([,words])=>words.includes(text)).map(([line])=>line);
 for(const line of hits){
  line.classList.add('hit');
  for(let up=line.parentElement.closest('details');up&&!up.open;up=up.parentElement.closest('details'))up.open=true;
 }
 if(hits[0])hits[0].scrollIntoView({block:'nearest'});
 found.textContent=text===''?'':hits.length+' found';
});
search.addEventListener('keydown',event=>{if(event.key==='Enter'&&hits.length)go((now+(event.shiftKey?hits.length-1:1))%hits.length)});
const fold=open=>()=>document.querySelectorAll('details').forEach(node=>{node.open=open});
document.getElementById('open').addEventListener('click',fold(true));
document.getElementById('close').addEventListener('click',fold(false));
document.getElementById('tools').hidden=false;
",
};

#[cfg(test)]
mod tests {
    use super::*;
    use runtime_dump::parse::stacks::CountedStack;

    #[test]
    fn names_are_text_and_nothing_is_loaded() {
        let frame = |function: &str| Frame {
            function: function.into(),
            file: "src/<a>.rs".into(),
            line: 1,
        };
        let mut tree = Tree::default();
        let frames = [frame("<T as A>::leaf"), frame("</script><script>alert(1)")];
        tree.add(
            "then".to_owned(),
            &[CountedStack {
                frames: frames.clone().into(),
                count: 1,
            }],
        );
        tree.add(
            "now".to_owned(),
            &[CountedStack {
                frames: frames.into(),
                count: 4,
            }],
        );
        let page = html("a & b", &tree);
        assert!(
            page.contains("<code class=\"own\">&lt;T as A&gt;::leaf</code>"),
            "{page}"
        );
        assert!(page.contains("a &amp; b") && !page.contains("<script>alert"));
        assert!(page.contains("<span class=\"more\">+3</span>"));
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(
            page.matches("<details").count(),
            page.matches("</details>").count()
        );
    }
}
