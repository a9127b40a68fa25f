//! The source as `syn` parses it.

use std::path::Path;
use syn::UseTree;

/// Reads a file, or fails the test.
pub fn parse(file: &Path) -> syn::File {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// A path without its generic arguments.
pub fn segments(path: &syn::Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect()
}

/// Calls `leaf` with the path and the new name (`None` for a glob) of each item of a use tree.
pub fn flatten(
    tree: &UseTree,
    prefix: &mut Vec<String>,
    leaf: &mut impl FnMut(Vec<String>, Option<String>),
) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaf);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => leaf(prefix.clone(), prefix.last().cloned()),
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            leaf([prefix, std::slice::from_ref(&name)].concat(), Some(name));
        }
        UseTree::Rename(rename) => leaf(
            [&prefix[..], &[rename.ident.to_string()]].concat(),
            Some(rename.rename.to_string()),
        ),
        UseTree::Glob(_) => leaf(prefix.clone(), None),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, leaf);
            }
        }
    }
}
