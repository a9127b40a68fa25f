//! The path of a module, derived from the path of its file. With `debug = "line-tables-only"` the binary has only the
//! last part of the names of inlined functions (`recv`, `{async_fn#0}`). Their file still identifies their module.

/// Returns `tokio::sync::mpsc` for `/../tokio-1.54.1/src/sync/mpsc/mod.rs`, and `None` for a path of unknown shape.
pub fn of_file(file: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            // Such paths come from `#[path = "../shop.rs"]`.
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let last = parts.pop()?.strip_suffix(".rs")?;
    if last.is_empty() {
        return None;
    }
    let root = parts
        .iter()
        .rposition(|part| matches!(*part, "src" | "tests" | "examples" | "benches"))?;
    let below = &parts[root + 1..];
    let package = root
        .checked_sub(1)
        .map(|index| without_version(parts[index]));
    let mut path: Vec<String> = Vec::new();
    let modules = match (parts[root], below) {
        // A program in `src/bin` is a crate of its own, named by the file or the folder.
        ("src", ["bin", rest @ ..]) => rest,
        ("src", _) => {
            path.push(package.unwrap_or("crate").replace('-', "_"));
            below
        }
        _ => below,
    };
    path.extend(modules.iter().map(|part| (*part).to_owned()));
    if !matches!(last, "lib" | "main" | "mod") || path.is_empty() {
        path.push(last.replace('-', "_"));
    }
    Some(path.join("::"))
}

/// Returns `tokio` for `tokio-1.54.1`. A folder that is only a version keeps its name.
fn without_version(package: &str) -> &str {
    let version = package.match_indices('-').find(|(at, _)| {
        let mut numbers = package[at + 1..].splitn(3, '.');
        let number = |part: Option<&str>| {
            part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
        };
        *at > 0 && number(numbers.next()) && number(numbers.next())
    });
    version.map_or(package, |(at, _)| &package[..at])
}

#[cfg(test)]
mod tests {
    use super::of_file;

    #[test]
    fn files_give_modules() {
        for (file, module) in [
            (
                "/home/u/.cargo/registry/src/index-1/tokio-1.54.1/src/sync/mpsc/bounded.rs",
                "tokio::sync::mpsc::bounded",
            ),
            (
                "/home/u/.cargo/registry/src/index-1/hyper-util-0.1.21/src/rt/mod.rs",
                "hyper_util::rt",
            ),
            (
                "/rustc/0123abcd/library/core/src/future/poll_fn.rs",
                "core::future::poll_fn",
            ),
            ("src/main.rs", "crate"),
            ("/w/my-app/src/main.rs", "my_app"),
            ("/w/my-app/src/db/pool.rs", "my_app::db::pool"),
            ("/w/my-app/src/bin/shop.rs", "shop"),
            ("/w/my-app/src/bin/shop/main.rs", "shop"),
            ("/w/my-app/src/bin/shop/cart.rs", "shop::cart"),
            ("/w/my-app/src/bin/../shop/cart.rs", "my_app::shop::cart"),
            ("/w/my-app/tests/leaves.rs", "leaves"),
            ("-1.2.3/src/mod.rs", "_1.2.3"),
        ] {
            assert_eq!(of_file(file).as_deref(), Some(module), "{file}");
        }
        for none in ["", "x.c", "main.rs", "/", "tests/.rs"] {
            assert_eq!(of_file(none), None, "{none}");
        }
    }
}
