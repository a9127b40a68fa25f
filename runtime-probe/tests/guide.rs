//! The guide of the documentation has the links of the files in `docs/`: a file's own links are paths in the repository,
//! which a reader of the documentation does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of the definitions `[name]: target` whose target `keeps` holds.
fn definitions<'a>(
    lines: impl Iterator<Item = &'a str>,
    keeps: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    lines
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
        .filter(|(_, target)| keeps(target))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn each_path_has_an_address_in_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("src/guide.rs")).unwrap();
    let mut files = 0;
    let mut links = 0;
    for module in guide.split_inclusive("\")]\n") {
        let Some((before, file)) = module.split_once("#[doc = include_str!(\"../") else {
            continue;
        };
        let file = file.trim_end_matches("\")]\n");
        let text = fs::read_to_string(root.join(file)).unwrap();
        let paths = definitions(text.lines(), |target| !target.starts_with("http"));
        let addresses = definitions(
            before.lines().filter_map(|line| line.strip_prefix("/// ")),
            |_| true,
        );
        assert_eq!(paths, addresses, "{file}");
        files += 1;
        links += paths.len();
    }
    assert!(files >= 14 && links >= 30, "{files} files, {links} links");
}
