//! The leaf table: for every public way to wait, a task that waits there inside two async fns of its own, and the
//! expected dump. `ci/leaf_table.sh` runs it with one binary for each kind of build.
//!
//! `leaf-table full|lines|symbols|stripped [--print]`, by the detail of the binary's debug information:
//! * `full`: every name, every reason, exactly;
//! * `lines`: only the last part of the names of inlined functions, with exact files and lines;
//! * `symbols`: inlined functions are missing; the root, and the reason if there is one, are right;
//! * `stripped`: addresses.

mod check;
mod dump;
mod leaves;
mod libraries;
mod outside;
mod row;
mod running;
#[cfg(feature = "services")]
mod services;

use check::Detail;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let detail = match arguments.first().map(String::as_str) {
        Some("full") => Detail::Full,
        Some("lines") => Detail::Lines,
        Some("symbols") => Detail::Symbols,
        Some("stripped") => Detail::Stripped,
        _ => {
            eprintln!("usage: leaf-table full|lines|symbols|stripped [--print]");
            return ExitCode::from(2);
        }
    };
    let print = arguments.iter().any(|argument| argument == "--print");
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("leaf-table: no runtime: {error}");
            return ExitCode::from(2);
        }
    };
    let rows = {
        let _entered = runtime.enter();
        all_rows()
    };
    let settled = dump::settled(Duration::from_secs(20));
    if print {
        println!("{}", settled.text);
    }
    let mut report = check::all(&rows, &settled, detail);
    // Tasks that never wait are dumped often, as each dump may catch them polled or queued.
    for _ in 0..200 {
        report.extend(check::never_waits(&rows, &dump::take(), detail));
    }
    report.extend(check::index_page(detail));
    report.extend(running::complaints(detail));
    let unstable = if cfg!(tokio_unstable) {
        "tokio_unstable"
    } else {
        "stable tokio"
    };
    for line in &report {
        println!("{line}");
    }
    println!(
        "leaf-table: {detail:?}, {unstable}: {} leaves, {} complaints",
        rows.len(),
        report.len()
    );
    // Tasks and threads of the table never end.
    std::process::exit(i32::from(!report.is_empty()));
}

/// Spawns all rows of all tables.
fn all_rows() -> Vec<row::Row> {
    let mut rows = leaves::spawn_all();
    rows.extend(leaves::spawn_special());
    rows.extend(outside::spawn_all());
    rows.extend(libraries::spawn_all());
    #[cfg(feature = "services")]
    rows.extend(services::spawn_all());
    rows
}
