//! The guide of the documentation has the links of the files in `docs/`: a file's own links are paths in the repository,
//! which a reader of the documentation does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The name and the target of a definition, `[name]: target`.
fn definition(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix('[')?.split_once("]: ")
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
        let paths: BTreeSet<&str> = (text.lines().filter_map(definition))
            .filter(|(_, target)| !target.starts_with("http"))
            .map(|(name, _)| name)
            .collect();
        let addresses: BTreeSet<&str> = (before.lines())
            .filter_map(|line| definition(line.strip_prefix("/// ")?))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(paths, addresses, "{file}");
        files += 1;
        links += paths.len();
    }
    assert!(files >= 14 && links >= 30, "{files} files, {links} links");
}
