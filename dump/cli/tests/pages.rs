//! The pages that `graph` and `flame` write, in a browser: what a person sees, and what clicks and keys do.

use runtime_dump_testing::browser::Browser;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A log of `watch -o`: two tasks of an own function in a timer, a lock whose waiters become more, and 40 sites with
/// one task each.
fn log() -> String {
    let mut log = String::new();
    for (second, waiters) in [(1, 3), (2, 30), (3, 58)] {
        let _ = write!(
            log,
            "2026-11-30T09:00:0{second}.000Z\ngoroutine profile: total {}\n\
             {waiters} @ 0x30 0x20 0x10\n\
             #\t0x2f\ttokio::sync::mutex::Mutex::lock+0x1\ttokio-1.54.1/src/sync/mutex.rs:455\n\
             #\t0x1f\tshop::reserve<&str>+0x1\tsrc/shop.rs:12\n\
             #\t0xf\tshop::serve+0x1\tsrc/main.rs:3\n\n\
             2 @ 0x50 0x10\n\
             #\t0x4f\tshop::tick+0x1\tsrc/tick.rs:9\n\
             #\t0xf\tshop::serve+0x1\tsrc/main.rs:3\n\n",
            waiters + 2 + 40
        );
        for site in 0..40 {
            let _ = write!(
                log,
                "1 @ 0x{:x} 0x100\n\
                 #\t0x{:x}\tshop::rare{site}+0x1\tsrc/rare.rs:{site}\n\
                 #\t0xff\tshop::all_rare+0x1\tsrc/rare.rs:1\n\n",
                0x1000 + site * 16,
                0xfff + site * 16,
            );
        }
    }
    log
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes a page with a command. Returns its address.
fn page(command: &str, log: &str, name: &str) -> String {
    let (source, page) = (folder().join(format!("{name}.log")), folder().join(name));
    std::fs::write(&source, log).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runtime-dump"))
        .args([
            command,
            source.to_str().unwrap(),
            "-o",
            page.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    format!("file://{}", page.display())
}

/// The dump of a log's last moment.
fn last_moment() -> String {
    let log = log();
    log[log.rfind("goroutine profile").unwrap()..].to_owned()
}

/// Checks contrasts in both schemes, and that the browser had nothing to complain of.
#[track_caller]
fn assert_sound(browser: &mut Browser) {
    for is_dark in [false, true] {
        browser.dark(is_dark);
        let unreadable = browser.unreadable();
        assert!(unreadable.is_empty(), "dark {is_dark}: {unreadable:#?}");
    }
    browser.dark(false);
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert_eq!(browser.text("document.documentElement.lang"), "en");
}

const LINES: &str = "summary, .leaf";

#[test]
fn a_call_graph_is_folded_and_searched() {
    let Some(mut browser) = Browser::start("a_call_graph_is_folded_and_searched") else {
        return;
    };
    browser.open(&page("graph", &log(), "graph.html"));
    assert_sound(&mut browser);
    // Two roots. Frames with less than a twentieth of the highest count are closed.
    let shown =
        browser.text("visible('summary, .leaf').map((line) => line.innerText.trim()).join('\\n')");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].contains("60") && lines[0].contains("+55"),
        "{shown}"
    );
    assert!(lines[0].ends_with("shop::serve src/main.rs:3"), "{shown}");
    assert!(shown.contains("shop::reserve<&str>"), "{shown}");
    let all = browser.visible(LINES);
    // A click folds the frames below.
    browser.click("summary", "shop::serve");
    assert_eq!(browser.visible(LINES), all - 3);
    browser.click("summary", "shop::serve");
    assert_eq!(browser.visible(LINES), all);
    browser.click("button", "Close all");
    assert_eq!(browser.visible(LINES), 2);
    // A search opens what is above its hits, in any case of letters.
    browser.click("input", "");
    browser.types("RARE3");
    assert_eq!(
        browser.text("document.getElementById('found').innerText"),
        "11 found"
    );
    assert_eq!(browser.visible(".hit"), 11);
    browser.until("visible('.hit')[0].getBoundingClientRect().top < innerHeight");
    // Enter goes from hit to hit, and around.
    let current = "visible('.hit.now')[0].querySelector('code').innerText";
    let mut seen = Vec::new();
    for _ in 0..12 {
        browser.key("Enter");
        seen.push(browser.text(current));
        let inside = "(([box]) => box.top >= 0 && box.bottom <= innerHeight)(visible('.hit.now').map((hit) => hit.getBoundingClientRect()))";
        assert_eq!(browser.value(inside), true);
    }
    assert_eq!(seen[0], seen[11]);
    seen.pop();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 11, "{seen:?}");
    assert_sound(&mut browser);
    browser.click("button", "Open all");
    assert_eq!(browser.visible(LINES), 45);
}

#[test]
fn a_call_graph_is_folded_by_keys_and_without_scripts() {
    let Some(mut browser) = Browser::start("a_call_graph_is_folded_by_keys_and_without_scripts")
    else {
        return;
    };
    let page = page("graph", &log(), "without_scripts.html");
    for scripts in [true, false] {
        browser.scripts(scripts);
        browser.open(&page);
        let all = browser.visible(LINES);
        // With scripts the search and two buttons come first.
        while !browser.text("focused()").contains("shop::serve") {
            browser.key("Tab");
        }
        let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle");
        assert_ne!(outline, "none");
        browser.key("Enter");
        assert_eq!(browser.visible(LINES), all - 3);
        browser.click("summary", "shop::serve");
        assert_eq!(browser.visible(LINES), all);
        // What needs a script is not there without one.
        assert_eq!(
            browser.visible("input, button"),
            if scripts { 3 } else { 0 }
        );
        assert_sound(&mut browser);
    }
}

#[test]
fn a_call_graph_of_many_frames_can_be_used() {
    let Some(mut browser) = Browser::start("a_call_graph_of_many_frames_can_be_used") else {
        return;
    };
    // 100,000 tasks at 20,000 sites.
    let mut log = String::new();
    for second in [1, 2] {
        let _ = write!(
            log,
            "2026-11-30T09:00:0{second}.000Z\ngoroutine profile: total 100000\n"
        );
        for site in 0..20_000 {
            let _ = write!(
                log,
                "5 @ 0x{:x} 0x{:x}\n#\t0x{:x}\tshop::site{site}+0x1\tsrc/a.rs:1\n#\t0x{:x}\tshop::group{}+0x1\tsrc/b.rs:1\n\n",
                0x10_0000 + site * 16,
                0x1000 + site / 200 * 16,
                0xf_ffff + site * 16,
                0xfff + site / 200 * 16,
                site / 200,
            );
        }
    }
    browser.open(&page("graph", &log, "many.html"));
    // The groups are closed, so that what is visible is a hundred lines.
    assert_eq!(browser.visible(LINES), 100);
    browser.click("input", "");
    let began = std::time::Instant::now();
    browser.types("site12345");
    browser.until("document.getElementById('found').innerText === '1 found'");
    let took = began.elapsed();
    assert_eq!(browser.visible(".hit"), 1);
    // Nine letters. Each took less than a second on a machine that does other things, too.
    assert!(took.as_secs() < 15, "{took:?}");
    assert!(browser.complaints().is_empty());
}

#[test]
fn a_flame_graph_is_zoomed_and_searched() {
    let Some(mut browser) = Browser::start("a_flame_graph_is_zoomed_and_searched") else {
        return;
    };
    browser.open(&page("flame", &last_moment(), "flame.html"));
    assert_sound(&mut browser);
    let boxes = "svg g";
    // The root, two callers, three callees, 40 sites, and the lock.
    assert_eq!(browser.visible(boxes), 46);
    browser.click(boxes, "shop::reserve");
    // What is above, the box, and what is below.
    assert_eq!(browser.visible(boxes), 4);
    let width = "document.querySelector('svg').getBoundingClientRect().width";
    let zoomed = "visible('svg g').find((box) => box.textContent.includes('shop::reserve')).querySelector('rect').getBoundingClientRect().width";
    assert!(browser.number(zoomed) > 0.99 * browser.number(width));
    assert!(
        browser
            .text("visible('svg g')[2].querySelector('text').textContent")
            .contains("shop::reserve<&str>")
    );
    browser.key("Escape");
    assert_eq!(browser.visible(boxes), 46);
    // By keys.
    while !browser.text("focused()").contains("shop::tick") {
        browser.key("Tab");
    }
    browser.key("Enter");
    assert_eq!(browser.visible(boxes), 3);
    browser.click("button", "Show all");
    assert_eq!(browser.visible(boxes), 46);
    // 58 + 2 of 100 tasks.
    browser.click("input", "");
    browser.types("SERVE|tick");
    assert_eq!(
        browser.text("document.getElementById('found').innerText"),
        "60.0 % is in or below frames that match"
    );
    assert_eq!(browser.visible(".hit"), 3);
    assert_sound(&mut browser);
    // In a dark scheme the frames that do not match are dark.
    browser.dark(true);
    let fill = "getComputedStyle(document.querySelector('.miss rect')).fill";
    assert_eq!(browser.text(fill), "rgb(44, 44, 44)");
    browser.dark(false);
    // Half a pattern is text.
    browser.types("(");
    assert_eq!(
        browser.text("document.getElementById('found').innerText"),
        "0.0 % is in or below frames that match"
    );
    assert!(browser.complaints().is_empty());
    // Without scripts it is a picture with tool tips.
    browser.scripts(false);
    browser.open(&page("flame", &last_moment(), "flame.html"));
    assert_eq!(browser.visible(boxes), 46);
    assert_eq!(browser.visible("input, button"), 0);
    assert_eq!(
        browser.text("document.querySelector('svg g title').textContent"),
        "all (100 x, 100.0%)"
    );
    assert_sound(&mut browser);
}

#[test]
fn a_picture_alone_is_zoomed_by_clicks_and_keys() {
    let Some(mut browser) = Browser::start("a_picture_alone_is_zoomed_by_clicks_and_keys") else {
        return;
    };
    browser.open(&page("flame", &last_moment(), "flame.svg"));
    let boxes = "g";
    let shown = "[...document.querySelectorAll('g')].filter((box) => box.getBoundingClientRect().width > 0).length";
    assert_eq!(browser.number(shown), 46.0);
    let at = browser.value("(([box]) => [box.left + 5, box.top + 5])([...document.querySelectorAll('g')].filter((box) => box.textContent.includes('shop::reserve')).map((box) => box.getBoundingClientRect()))");
    assert!(at.is_array(), "{boxes}: {at}");
    browser.click_at(at[0].as_f64().unwrap(), at[1].as_f64().unwrap());
    assert_eq!(browser.number(shown), 4.0);
    browser.key("Escape");
    assert_eq!(browser.number(shown), 46.0);
    assert!(browser.complaints().is_empty());
}

#[test]
fn only_the_scripts_and_styles_of_the_page_are_allowed() {
    let Some(mut browser) = Browser::start("only_the_scripts_and_styles_of_the_page_are_allowed")
    else {
        return;
    };
    for (command, log) in [("graph", log()), ("flame", last_moment())] {
        let name = format!("{command}_with_foreign_code.html");
        let address = page(command, &log, &name);
        let file = folder().join(&name);
        let written = std::fs::read_to_string(&file).unwrap();
        let foreign = "<script>document.title='ran'</script><style>h1{display:none}</style>\
                       <img src=x onerror=\"document.title='ran'\">";
        let with_foreign = written.replace("</h1>\n", &format!("</h1>\n{foreign}"));
        assert_ne!(with_foreign, written);
        std::fs::write(&file, with_foreign).unwrap();
        browser.open(&address);
        let complaints = browser.complaints();
        for directive in ["script-src", "style-src", "img-src"] {
            assert!(
                complaints
                    .iter()
                    .any(|complaint| complaint.contains(directive)),
                "{directive}: {complaints:#?}"
            );
        }
        assert_ne!(browser.text("document.title"), "ran");
        assert_eq!(browser.visible("h1"), 1);
        // The page's own script ran.
        assert_eq!(browser.visible("input"), 1);
    }
}
