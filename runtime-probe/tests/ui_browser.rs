//! The pages in a browser, as a person uses them: by clicks and keys, on a process of 100,000 tasks.
#![cfg(feature = "ui")]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use runtime_dump_testing::browser::Browser;
use runtime_probe::pprof;
use runtime_probe::runtime::{Builder, Runtime};
use runtime_probe::sync::{Mutex, Notify};

const TASKS: usize = 100_000;

/// Longer than a page takes in a build without optimization, on a machine that does other things, too.
const SLOWEST: Duration = Duration::from_secs(20);

struct Application {
    server: SocketAddr,
    _runtime: Runtime,
}

async fn waits_for_a_lock(lock: Arc<Mutex<Vec<u8>>>) {
    let _guard = lock.lock().await;
    std::future::pending::<()>().await;
}

async fn rare_one(notify: Arc<Notify>) {
    notify.notified().await;
}

async fn sleeps() {
    runtime_probe::time::sleep(Duration::from_secs(3600)).await;
}

async fn serves() {
    waits_for_ever().await;
}

async fn waits_for_ever() {
    runtime_probe::sync::Notify::new().notified().await;
}

/// Is polled, and occupies its worker at times.
async fn burns(done: Arc<Notify>) {
    loop {
        runtime_probe::time::sleep(Duration::from_millis(200)).await;
        std::thread::sleep(Duration::from_millis(20));
        done.notify_one();
    }
}

async fn follows(done: Arc<Notify>) {
    loop {
        done.notified().await;
    }
}

/// Two of these with the locks the other way around wait for each other.
async fn takes_both(first: Arc<Mutex<()>>, second: Arc<Mutex<()>>) {
    let _first = first.lock().await;
    runtime_probe::time::sleep(Duration::from_millis(200)).await;
    let _second = second.lock().await;
}

/// No waker of this task is left.
async fn is_lost() {
    std::future::poll_fn(|_| std::task::Poll::<()>::Pending).await;
}

/// Is in one poll until the end.
async fn is_stuck() {
    std::thread::sleep(Duration::from_secs(3600));
}

fn application() -> &'static Application {
    static APPLICATION: OnceLock<Application> = OnceLock::new();
    APPLICATION.get_or_init(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(3)
            .enable_all()
            .build()
            .unwrap();
        let lock = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..4 {
            runtime.spawn(pprof::labels(
                ["tenant", "north"],
                waits_for_a_lock(lock.clone()),
            ));
        }
        let notify = Arc::new(Notify::new());
        runtime.spawn(rare_one(notify));
        for number in 0..TASKS {
            match number % 4 {
                0 => drop(runtime.spawn(sleeps())),
                1 => drop(runtime.spawn(std::future::pending::<()>())),
                _ => drop(runtime.spawn(serves())),
            }
        }
        let locks = [(); 2].map(|()| Arc::new(Mutex::new(())));
        let [one, other] = &locks;
        runtime.spawn(takes_both(one.clone(), other.clone()));
        runtime.spawn(takes_both(other.clone(), one.clone()));
        runtime.spawn(is_lost());
        runtime.spawn(is_stuck());
        let done = Arc::new(Notify::new());
        runtime.spawn(burns(done.clone()));
        runtime.spawn(follows(done));
        pprof::trace::FlightRecorder::new()
            .start()
            .unwrap()
            .detach();
        let server = pprof::serve("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        server.detach();
        // Until the last tasks have been polled.
        std::thread::sleep(Duration::from_secs(2));
        Application {
            server: address,
            _runtime: runtime,
        }
    })
}

fn open(browser: &mut Browser, page: &str) {
    let began = Instant::now();
    browser.open(&address(page));
    let took = began.elapsed();
    eprintln!("{page:40} {took:>10.1?}");
    assert!(took < SLOWEST, "{page}: {took:?}");
}

fn address(page: &str) -> String {
    format!("http://{}/debug/pprof/ui/{page}", application().server)
}

/// Takes a profile by its button. The browser then shows the flame graph. Returns the number of the profile.
fn take(browser: &mut Browser) -> u32 {
    open(browser, "profiles?kind=goroutine");
    browser.follow("form.take button", "Now");
    let title = browser.text("document.querySelector('h1').innerText");
    let number = title.strip_prefix("Tasks ");
    number.unwrap_or_else(|| panic!("{title}")).parse().unwrap()
}

#[track_caller]
fn assert_sound(browser: &mut Browser, page: &str) {
    for is_dark in [false, true] {
        browser.dark(is_dark);
        let unreadable = browser.unreadable();
        assert!(
            unreadable.is_empty(),
            "{page}, dark {is_dark}: {unreadable:#?}"
        );
    }
    browser.dark(false);
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{page}: {complaints:#?}");
}

const ROWS: &str = ".row > summary";

#[test]
fn a_hundred_thousand_tasks_are_turned_over_and_filtered() {
    let Some(mut browser) = Browser::start("a_hundred_thousand_tasks_are_turned_over_and_filtered")
    else {
        return;
    };
    open(&mut browser, "tasks?group=task");
    assert_eq!(browser.visible(ROWS), 50);
    let pager = "document.querySelector('.pager').innerText";
    assert!(
        browser.text(pager).contains("page 1 of 2,00"),
        "{}",
        browser.text(pager)
    );
    let first = browser.text("visible('.row > summary')[0].innerText");
    browser.follow(".pager a", "Next");
    assert!(browser.text(pager).contains("page 2 of 2,00"));
    assert_ne!(
        browser.text("visible('.row > summary')[0].innerText"),
        first
    );
    browser.follow(".pager a", "Last");
    // Also a number of six digits is on one line with its mark.
    let lines = "Math.max(...visible('.row .count').map((count) => count.getBoundingClientRect().height / parseFloat(getComputedStyle(count).lineHeight)))";
    assert!(browser.number(lines) < 1.5);
    assert!(browser.text(pager).contains("First"));
    assert!(!browser.text(pager).contains("Next"));

    // The filter asks the process, which looks through all tasks.
    open(&mut browser, "tasks?group=task");
    browser.key("/");
    browser.types("rare_one");
    browser.until("visible('.row > summary').length === 1");
    assert!(
        browser
            .text("visible('.row > summary')[0].innerText")
            .contains("rare_one")
    );
    browser.until("location.search.includes('match=rare_one')");
    assert_eq!(browser.text("document.activeElement.value"), "rare_one");

    // By keys: to the row, open, with its stack, and closed.
    browser.submit();
    let stack = ".row .stack .frame";
    assert_eq!(browser.visible(stack), 0);
    browser.key("j");
    assert!(browser.text("focused()").contains("rare_one"));
    browser.key(" ");
    browser.until("visible('.row .stack .frame').length > 0");
    assert!(
        browser
            .text("visible('.stack')[0].innerText")
            .contains("ui_browser::rare_one")
    );
    browser.key("c");
    assert_eq!(browser.visible(stack), 0);
    browser.key("e");
    assert!(browser.visible(stack) > 0);
    assert_sound(&mut browser, "a filtered list");

    // Equal tasks are one row.
    browser.follow(".choice a", "Equal stacks");
    browser.click("input[data-filter]", "");
    browser.value("document.activeElement.select()");
    browser.types("serves");
    browser.until("visible('.row > summary').length === 1 && visible('.row .count')[0].innerText.includes('50,000')");
}

#[test]
fn a_refresh_keeps_what_is_open_and_focused() {
    let Some(mut browser) = Browser::start("a_refresh_keeps_what_is_open_and_focused") else {
        return;
    };
    open(&mut browser, "tasks?match=rare_one");
    browser.click(ROWS, "rare_one");
    browser.value("window.before = visible('.row')[0], true");
    assert!(browser.visible(".stack") > 0);
    browser.click("#tools button", "Live");
    browser.until("!window.before.isConnected");
    assert!(browser.visible(".stack") > 0);
    assert!(browser.text("focused()").contains("Live"));
    let pressed = "document.querySelector('#tools button').getAttribute('aria-pressed')";
    assert_eq!(browser.text(pressed), "true");
    assert_sound(&mut browser, "a live list");
    browser.click("#tools button", "Live");
    assert_eq!(browser.text(pressed), "false");
}

/// The widths of boxes whose name begins with a text, as parts of the picture.
fn widths(browser: &mut Browser, name: &str) -> Vec<f64> {
    let widths = browser.value(&format!(
        "visible('#picture a').filter((box) => box.querySelector('title').textContent.startsWith({name:?}))\
         .map((box) => box.querySelector('rect').getBoundingClientRect().width / visible('svg.flame')[0].getBoundingClientRect().width)"
    ));
    let widths = widths.as_array().unwrap().iter();
    widths.map(|width| width.as_f64().unwrap()).collect()
}

#[test]
fn a_flame_graph_is_zoomed_searched_and_turned() {
    let Some(mut browser) = Browser::start("a_flame_graph_is_zoomed_searched_and_turned") else {
        return;
    };
    take(&mut browser);
    assert_sound(&mut browser, "a flame graph");
    let boxes = "#picture a";
    let all = browser.visible(boxes);
    let half = widths(&mut browser, "ui_browser::serves");
    assert!(
        half.len() == 1 && (0.49..0.51).contains(&half[0]),
        "{half:?}"
    );

    // Zoom by a click. The picture changes in place, and so does the address.
    browser.value("window.same = true");
    browser.click(boxes, "ui_browser::serves\n");
    browser.until("location.search.includes('zoom=')");
    assert!(widths(&mut browser, "ui_browser::serves")[0] > 0.99);
    assert!(widths(&mut browser, "ui_browser::sleeps").is_empty());
    assert!(browser.visible(boxes) < all);
    assert_eq!(browser.value("window.same"), true);
    assert_sound(&mut browser, "a zoomed flame graph");
    browser.value("history.back()");
    browser.until("!location.search.includes('zoom=')");
    browser.until(&format!("visible('#picture a').length === {all}"));

    // By keys. The box keeps the focus.
    while !browser.text("focused()").starts_with("ui_browser::serves") {
        browser.key("Tab");
    }
    browser.key("Enter");
    browser.until("location.search.includes('zoom=')");
    assert!(widths(&mut browser, "ui_browser::serves")[0] > 0.99);
    assert!(
        browser.text("focused()").starts_with("ui_browser::serves"),
        "{}",
        browser.text("focused()")
    );
    browser.click("a", "Show all again");
    browser.until(&format!("visible('#picture a').length === {all}"));

    // Search.
    browser.click("input[type=search]", "");
    browser.types("serves$");
    browser.until("document.querySelector('[role=status]')?.innerText.includes('is in or below')");
    let found = browser.text("document.querySelector('[role=status]').innerText");
    assert!(
        found.starts_with("50.0 %") || found.starts_with("49.9 %"),
        "{found}"
    );
    assert_eq!(browser.visible(".hit"), 1);
    assert_eq!(browser.text("document.activeElement.value"), "serves$");
    assert_sound(&mut browser, "a searched flame graph");

    // Turned: leaves are at the top, the search stays.
    browser.follow(".choice a", "Leaves");
    let second_row = "visible('#picture a').filter((box) => box.querySelector('svg').getAttribute('y') === visible('#picture a')[1].querySelector('svg').getAttribute('y')).map((box) => box.textContent).join(' ')";
    let leaves = browser.text(second_row);
    assert!(!leaves.contains("ui_browser::serves"), "{leaves}");
    assert!(browser.visible(".hit") >= 1);
    assert_sound(&mut browser, "a turned flame graph");
}

#[test]
fn a_table_is_sorted_searched_and_compared() {
    let Some(mut browser) = Browser::start("a_table_is_sorted_searched_and_compared") else {
        return;
    };
    let base = take(&mut browser);
    browser.follow(".choice a", "Table");
    let heads = browser.text("visible('thead th').map((head) => head.innerText.trim()).join('|')");
    assert!(
        heads.contains("Flat|Flat %|Cum|Cum %|Function") || heads.contains("Flat \u{2193}|Flat %"),
        "{heads}"
    );
    // The values of a column, in the order of the rows.
    let column = |at: usize| {
        format!("visible('tbody tr').map((row) => Number(row.cells[{at}].getAttribute('data-v')))")
    };
    let sorted = |browser: &mut Browser, at: usize| {
        let values = browser.value(&column(at));
        let values = values.as_array().unwrap().iter();
        let values: Vec<f64> = values.map(|value| value.as_f64().unwrap()).collect();
        assert!(values.len() > 5, "{values:?}");
        (values.is_sorted_by(|a, b| a >= b), values.is_sorted())
    };
    assert!(sorted(&mut browser, 0).0);
    browser.click("th button", "Cum");
    assert!(sorted(&mut browser, 2).0);
    browser.click("th button", "Cum");
    assert!(sorted(&mut browser, 2).1);
    // A row reads as its values.
    browser.click("input[type=search]", "");
    browser.types("ui_browser::serves");
    browser.until("visible('tbody tr').length === 1");
    let row = browser.text("visible('tbody tr')[0].innerText");
    assert!(
        row.contains("0 tasks") && row.contains("50,000 tasks"),
        "{row}"
    );
    assert_sound(&mut browser, "a table");

    // 500 tasks more.
    for _ in 0..500 {
        application()._runtime.spawn(sleeps());
    }
    let number = take(&mut browser);
    open(&mut browser, "profiles");
    browser.follow("a", &format!("against {base}"));
    let title = browser.text("document.querySelector('h1').innerText");
    assert_eq!(title, format!("Tasks {number} against {base}"));
    let titles = browser.text(
        "visible('#picture a').map((box) => box.querySelector('title').textContent).join(' ')",
    );
    assert!(titles.contains("25,000 tasks before"), "{titles}");
    assert!(
        browser
            .text("document.querySelector('.legend').innerText")
            .contains("about the same")
    );
    assert_sound(&mut browser, "a comparison");
    browser.follow(".choice a", "Table");
    browser.click("input[type=search]", "");
    browser.types("ui_browser::sleeps");
    browser.until("visible('tbody tr').length === 1");
    let row = browser.text("visible('tbody tr')[0].innerText");
    assert!(row.contains("500 tasks"), "{row}");
    assert_sound(&mut browser, "a table of changes");
}

#[test]
fn all_pages_are_readable_in_both_schemes() {
    let Some(mut browser) = Browser::start("all_pages_are_readable_in_both_schemes") else {
        return;
    };
    // With every kind of trouble that a page has a colour for.
    browser.open(&address(""));
    let troubles = browser.text("document.querySelector('.troubles').innerText");
    for trouble in ["Deadlock", "Stuck poll", "Lost task"] {
        assert!(troubles.contains(trouble), "{troubles}");
    }
    open(&mut browser, "tasks?match=takes_both&group=task");
    let task = browser.text("visible('.row')[0].id");
    let task = task.strip_prefix("task-").unwrap().to_owned();
    for page in [
        "",
        "tasks",
        "tasks?group=site",
        "tasks?match=waits_for_a_lock",
        "tasks?state=running",
        "task?id=TASK",
        "locks",
        "profiles",
        "timeline",
    ] {
        open(&mut browser, &page.replace("TASK", &task));
        // Everything that a page can show.
        browser.value(
            "document.querySelectorAll('details').forEach((details) => { details.open = true; })",
        );
        assert_sound(&mut browser, page);
        let cramped = browser.value("cramped()");
        assert_eq!(
            cramped.as_array().map(Vec::len),
            Some(0),
            "{page}: {cramped:#}"
        );
        // On a narrow window nothing is cut off at the side.
        browser.size(390, 844);
        let cramped = browser.value("cramped()");
        assert_eq!(
            cramped.as_array().map(Vec::len),
            Some(0),
            "{page}: {cramped:#}"
        );
        let wide = browser.value("wide()");
        assert_eq!(wide.as_array().map(Vec::len), Some(0), "{page}: {wide:#}");
        assert_sound(&mut browser, page);
        browser.size(1280, 900);
    }
}

#[test]
fn a_poll_that_is_pointed_at_has_arrows() {
    let Some(mut browser) = Browser::start("a_poll_that_is_pointed_at_has_arrows") else {
        return;
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let polls = "a[data-arrows~='0'], a[data-arrows~='1'], a[data-arrows~='2']";
    loop {
        open(&mut browser, "timeline");
        if browser.visible(polls) > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "no poll with a wake");
    }
    assert_eq!(browser.visible(".arrows"), 0);
    browser.point(polls, "");
    assert_eq!(browser.visible(".arrows"), 1);
    assert!(browser.visible(".arrows .head") >= 1);
    // The arrows are inside of the lanes.
    let inside = "((inner, outer) => inner.top >= outer.top - 30 && inner.bottom <= outer.bottom)(visible('.arrows .head')[0].getBoundingClientRect(), visible('.tracks')[0].getBoundingClientRect())";
    assert_eq!(browser.value(inside), true);
    // A click chooses the poll, and its card says what it woke.
    browser.follow(polls, "");
    assert!(
        browser
            .text("document.getElementById('poll').innerText")
            .contains("oken")
    );
    assert_eq!(browser.visible(".arrows"), 1);
    assert_sound(&mut browser, "a poll");
}

#[test]
fn a_page_that_does_not_exist_says_so() {
    let Some(mut browser) = Browser::start("a_page_that_does_not_exist_says_so") else {
        return;
    };
    browser.open(&address("nothing"));
    assert!(
        browser
            .text("visible('[role=alert]')[0].innerText")
            .contains("no such page")
    );
    let complaints = browser.complaints();
    // The browser itself notes the status.
    assert!(
        complaints.iter().all(|complaint| complaint.contains("404")),
        "{complaints:#?}"
    );
    for is_dark in [false, true] {
        browser.dark(is_dark);
        assert_eq!(browser.unreadable(), [""; 0]);
    }
}

#[test]
fn the_first_key_leads_past_the_navigation() {
    let Some(mut browser) = Browser::start("the_first_key_leads_past_the_navigation") else {
        return;
    };
    open(&mut browser, "tasks");
    browser.key("Tab");
    assert_eq!(browser.text("focused()"), "Skip to the content");
    assert!(browser.number("document.activeElement.getBoundingClientRect().left") >= 0.0);
    browser.key("Enter");
    browser.key("Tab");
    let inside = "document.getElementById('main').contains(document.activeElement)";
    assert_eq!(browser.value(inside), true);
    // What has the focus can be seen.
    for _ in 0..12 {
        browser.key("Tab");
        let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle");
        assert_ne!(
            outline,
            "none",
            "{}",
            browser.text("document.activeElement.outerHTML")
        );
    }
}

#[test]
fn pages_can_be_used_without_scripts() {
    let Some(mut browser) = Browser::start("pages_can_be_used_without_scripts") else {
        return;
    };
    browser.scripts(false);
    open(&mut browser, "tasks?group=task");
    assert_eq!(browser.visible(ROWS), 50);
    assert_eq!(browser.visible("#tools"), 0);
    browser.click(ROWS, "");
    assert!(browser.visible(".row .stack") == 1);
    browser.click("input[name=match]", "");
    browser.types("rare_one");
    browser.follow("form.filters button", "");
    assert_eq!(browser.visible(ROWS), 1);
    assert_sound(&mut browser, "tasks without scripts");
    take(&mut browser);
    let all = browser.visible("#picture a");
    browser.follow("#picture a", "ui_browser::serves\n");
    assert!(browser.visible("#picture a") < all);
    browser.follow("a", "Show all again");
    assert_eq!(browser.visible("#picture a"), all);
    browser.click("input[name=search]", "");
    browser.types("serves$");
    browser.follow("form.filters button", "Search");
    assert_eq!(browser.visible(".hit"), 1);
    browser.follow(".choice a", "Table");
    assert_eq!(browser.visible("tbody tr"), 1);
    assert_sound(&mut browser, "a table without scripts");
}
