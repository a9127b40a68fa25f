//! `top`: tasks or spawn sites, by their activity in an interval. On a terminal the table is redrawn in place.
//!
//! * [`tasks`]: the difference of each task between two dumps;
//! * [`sites`]: from the page `tasks`, which measures times while it collects.

mod sites;
mod tasks;

use crate::refusal::Refusal;
use crate::show;
use crate::show::screen::Screen;
use crate::show::style::{Style, printable};
use crate::show::table::Table;
use crate::source::Source;
use crate::source::arguments::{source, time_in, with_source};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub(crate) fn command() -> Command {
    let command = Command::new("top")
        .about("Tasks with the most time in polls or the most polls, or their spawn sites; redrawn in place, q quits")
        .after_help(
            "BUSY is time inside polls: CPU time, unless a poll blocks its thread; the head shows its sum, 100% a core, and the CPU time of the process. Keys: q quits, t changes between tasks and sites, \
             s changes the order. Without a terminal the command prints a table and ends. Tasks that ended within an interval count at their site only.",
        );
    with_source(command)
        .arg(
            Arg::new("every")
                .long("every")
                .value_name("TIME")
                .default_value("2s")
                .value_parser(time_in(
                    Duration::from_millis(100)..,
                    "a time from 100ms on, as in 500ms, 2s, 1m",
                ))
                .help("The length of an interval; in whole seconds for sites"),
        )
        .arg(
            Arg::new("by")
                .long("by")
                .value_name("WHAT")
                .value_parser(["tasks", "sites"])
                .default_value("tasks")
                .help("The rows: tasks, or the sites that spawn them"),
        )
        .arg(
            Arg::new("sort")
                .long("sort")
                .value_name("ORDER")
                .value_parser(["busy", "polls", "waits", "alive", "heap"])
                .default_value("busy")
                .help("The order: busy, polls, waits; for sites also alive, and heap if the service uses the probe's allocator"),
        )
        .arg(
            Arg::new("looks")
                .long("looks")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .help("Ends after N intervals"),
        )
}

/// The orders of rows. The key `s` steps through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Busy,
    Polls,
    Waits,
    Alive,
    /// The heap, of sites only.
    Heap,
}

impl Order {
    const ALL: [Self; 5] = [
        Self::Busy,
        Self::Polls,
        Self::Waits,
        Self::Alive,
        Self::Heap,
    ];

    /// The value of the server's parameter `sort`.
    fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Polls => "polls",
            Self::Waits => "waits",
            Self::Alive => "alive",
            Self::Heap => "heap",
        }
    }

    /// The next order. The heap is left out if no row has bytes.
    fn next(self, has_bytes: bool) -> Self {
        let at = Self::ALL
            .iter()
            .position(|order| *order == self)
            .unwrap_or(0);
        match Self::ALL[(at + 1) % Self::ALL.len()] {
            Self::Heap if !has_bytes => Self::Busy,
            order => order,
        }
    }
}

/// The shown text: a line and a table.
struct View {
    head: String,
    table: Table,
    /// Whether the rows have bytes of the heap.
    has_bytes: bool,
}

/// The selected rows and order, which keys change.
struct Choice {
    by_sites: bool,
    order: Order,
    /// Whether the last rows had bytes of the heap.
    has_bytes: bool,
}

impl Choice {
    /// Applies a key. Returns whether the key has a meaning.
    fn apply(&mut self, key: Option<u8>) -> bool {
        match key {
            Some(b't') => {
                self.by_sites = !self.by_sites;
                self.has_bytes = false;
                if self.order == Order::Heap {
                    self.order = Order::Busy;
                }
            }
            Some(b's') => self.order = self.order.next(self.has_bytes),
            _ => return false,
        }
        true
    }
}

pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    match top(matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.told(),
    }
}

fn top(matches: &ArgMatches) -> Result<(), Refusal> {
    let source = source(matches)?;
    if !source.is_live() {
        return Err(Refusal::new(format!(
            "{source}: rates need two moments: `top` needs a server; `runtime-dump diff` compares two files"
        )));
    }
    let every: Duration = *matches.get_one("every").expect("it has a default");
    let is = |name: &str, value: &str| {
        matches
            .get_one::<String>(name)
            .is_some_and(|given| given == value)
    };
    let order = Order::ALL
        .into_iter()
        .find(|order| is("sort", order.word()));
    let mut choice = Choice {
        by_sites: is("by", "sites"),
        order: order.unwrap_or(Order::Busy),
        has_bytes: false,
    };
    if choice.order == Order::Heap && !choice.by_sites {
        return Err(Refusal::new(
            "--sort heap orders sites: add --by sites".to_owned(),
        ));
    }
    // The first look is taken before the terminal changes, so that its errors are readable.
    let mut before = tasks::look(&source)?;
    let mut screen = Screen::open();
    let looks = matches
        .get_one::<u64>("looks")
        .copied()
        .unwrap_or(if screen.is_some() { u64::MAX } else { 1 });
    if let Some(screen) = &mut screen {
        screen.draw(&format!("{source}: the first interval of {every:?}"));
    }
    for _ in 0..looks {
        let seen = if choice.by_sites {
            sites::view(&source, every, choice.order)
        } else {
            let Some(keys) = pause(every, &mut screen) else {
                break;
            };
            if choice.apply(keys) && choice.by_sites {
                continue;
            }
            tasks::look(&source).map(|now| {
                let view = tasks::view(&before, &now, choice.order);
                before = now;
                view
            })
        };
        let rows = screen
            .as_ref()
            .map_or(20, |screen| screen.rows().saturating_sub(4));
        choice.has_bytes = seen.as_ref().is_ok_and(|view| view.has_bytes);
        let order = choice.order.word();
        let text = match seen {
            Ok(view) => format!(
                "{}\n{}",
                printable(&view.head),
                view.table.first(rows).text(Style::of_stdout())
            ),
            Err(refusal) if screen.is_some() => format!("{refusal}\n"),
            Err(refusal) => return Err(refusal),
        };
        match &mut screen {
            Some(screen) => {
                screen.draw(&format!("{source}, by {order}: {text}"));
                // Keys that were pressed while the server collected are handled here.
                match screen.key_before(Instant::now(), b"ts") {
                    Some(b'q') => break,
                    Some(key) => _ = choice.apply(Some(key)),
                    None => {}
                }
            }
            None => {
                let text = text.trim_end();
                if !show::line(&format!("{source}, by {order}: {text}")) {
                    break;
                }
            }
        }
    }
    drop(screen);
    Ok(())
}

/// Waits for an interval or a key. Returns `None` if the key quits.
#[allow(clippy::option_option, reason = "the outer one is whether to go on")]
fn pause(every: Duration, screen: &mut Option<Screen>) -> Option<Option<u8>> {
    let due = Instant::now() + every;
    match screen {
        None => {
            std::thread::sleep(every);
            Some(None)
        }
        Some(screen) => match screen.key_before(due, b"ts") {
            Some(b'q') => None,
            key => Some(key),
        },
    }
}

/// The answer of a page of the server, parsed as JSON.
fn json(source: &Source, page: &str, for_so_long: Duration) -> Result<serde_json::Value, Refusal> {
    let bytes = source.bytes(page, for_so_long)?;
    serde_json::from_slice(&bytes).map_err(|_| {
        Refusal::new(format!("{source}: its page {page} is no JSON: `top` needs a server of runtime-probe of this version"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_follow_each_other() {
        let mut choice = Choice {
            by_sites: true,
            order: Order::Busy,
            has_bytes: false,
        };
        let words = |choice: &mut Choice| -> Vec<&str> {
            let orders = (0..5).map(|_| {
                assert!(choice.apply(Some(b's')));
                choice.order.word()
            });
            orders.collect()
        };
        assert_eq!(
            words(&mut choice),
            ["polls", "waits", "alive", "busy", "polls"]
        );
        choice.has_bytes = true;
        assert_eq!(
            words(&mut choice),
            ["waits", "alive", "heap", "busy", "polls"]
        );
        // Tasks have no bytes.
        choice.order = Order::Heap;
        assert!(choice.apply(Some(b't')));
        assert_eq!((choice.by_sites, choice.order.word()), (false, "busy"));
        choice.order = Order::Alive;
        assert!(choice.apply(Some(b's')));
        assert_eq!(choice.order.word(), "busy");
        assert!(!choice.apply(Some(b'x')) && !choice.apply(None));
    }
}
