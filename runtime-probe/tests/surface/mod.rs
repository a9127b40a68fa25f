//! The public API of a crate, read from its source: the functions and methods that can be named from outside, and
//! under which paths.
//!
//! rustdoc's JSON has the same data, but needs a nightly compiler and covers one set of features at a time. Here
//! every `cfg` counts as on, and so do the bodies of macros that only wrap items in one (tokio's `cfg_rt!` and
//! similar ones). Items that any other macro makes are missing. Those macros are listed in [`Crate::unread`], for a
//! test to judge.

use crate::syntax::{flatten, parse, segments};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use syn::parse::{Parse, ParseStream, Parser};
use syn::visit::Visit;
use syn::{Attribute, Generics, ImplItem, Item, Signature, TraitItem, Type, Visibility};

/// A crate's modules, by path from its root.
#[derive(Default)]
pub struct Crate {
    modules: BTreeMap<ModulePath, Module>,
    /// Names of macros in item position whose bodies could not be read as items.
    pub unread: BTreeSet<String>,
    /// The results of [`Crate::lookup`].
    known: RefCell<HashMap<(ModulePath, String), Vec<Definition>>>,
}

/// A function or a method that can be named from outside.
#[derive(Clone)]
pub struct Callable {
    /// `task::JoinSet::spawn`.
    pub path: String,
    pub signature: Signature,
    /// The generics of the `impl` around it.
    pub outer: Generics,
    /// The type that it is a method of.
    pub owner: Option<TypeName>,
    pub track_caller: bool,
    /// The module in which its types are looked up.
    module: ModulePath,
}

/// The definition of a type, whichever path leads to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeName(ModulePath, String);

type ModulePath = Vec<String>;

#[derive(Default)]
struct Module {
    /// Name to whether it is public.
    children: BTreeMap<String, bool>,
    types: BTreeMap<String, bool>,
    /// Name to the traits it derives.
    derives: BTreeMap<String, Vec<String>>,
    functions: Vec<(Visibility, Signature, Vec<Attribute>)>,
    traits: Vec<syn::ItemTrait>,
    impls: Vec<syn::ItemImpl>,
    uses: Vec<Use>,
}

struct Use {
    public: bool,
    path: Vec<String>,
    /// `None` for a glob.
    name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Definition {
    Module(ModulePath),
    Type(TypeName),
    /// All functions of that name in that module: `cfg`s choose among them.
    Function(ModulePath, String),
}

impl Crate {
    /// Reads a crate from its root file.
    pub fn read(root: &Path) -> Crate {
        let mut all = Crate::default();
        let directory = root.parent().expect("a file has a directory");
        all.file(root, directory, Vec::new());
        all
    }

    /// Every function and method that can be named from outside, once for each path that leads to it.
    pub fn callables(&self) -> Vec<Callable> {
        let impls = self.impls();
        let mut callables = Vec::new();
        for (path, definition) in self.public() {
            match definition {
                Definition::Module(_) => {}
                Definition::Function(module, name) => {
                    for (_, signature, attributes) in self.functions(&module, &name) {
                        callables.push(Callable {
                            path: path.clone(),
                            signature: signature.clone(),
                            outer: Generics::default(),
                            owner: None,
                            track_caller: has_track_caller(attributes),
                            module: module.clone(),
                        });
                    }
                }
                Definition::Type(owner) => {
                    let module = &owner.0;
                    for definition in self.modules[module]
                        .traits
                        .iter()
                        .filter(|t| t.ident == owner.1)
                    {
                        for item in &definition.items {
                            let TraitItem::Fn(item) = item else { continue };
                            callables.push(Callable {
                                path: format!("{path}::{}", item.sig.ident),
                                signature: item.sig.clone(),
                                outer: definition.generics.clone(),
                                owner: Some(owner.clone()),
                                track_caller: has_track_caller(&item.attrs),
                                module: module.clone(),
                            });
                        }
                    }
                    let inherent = impls
                        .get(&owner)
                        .into_iter()
                        .flatten()
                        .filter(|(_, item)| item.trait_.is_none());
                    for (module, item) in inherent {
                        for method in methods(item) {
                            if !matches!(method.vis, Visibility::Public(_)) {
                                continue;
                            }
                            callables.push(Callable {
                                path: format!("{path}::{}", method.sig.ident),
                                signature: method.sig.clone(),
                                outer: item.generics.clone(),
                                owner: Some(owner.clone()),
                                track_caller: has_track_caller(&method.attrs),
                                module: (*module).clone(),
                            });
                        }
                    }
                }
            }
        }
        callables.sort_by(|a, b| a.path.cmp(&b.path));
        callables
    }

    /// The type that a public path names.
    pub fn type_at(&self, path: &str) -> Option<TypeName> {
        self.public()
            .into_iter()
            .find_map(|(at, definition)| match definition {
                Definition::Type(name) if at == path => Some(name),
                _ => None,
            })
    }

    /// The traits that a type implements in its own `impl` blocks, and those it derives.
    pub fn traits_of(&self, name: &TypeName) -> BTreeSet<String> {
        let impls = self.impls();
        let implemented = impls
            .get(name)
            .into_iter()
            .flatten()
            .filter_map(|(_, item)| item.trait_.as_ref());
        let derived = self.modules[&name.0].derives.get(&name.1);
        implemented
            .filter_map(|(_, path, _)| path.segments.last())
            .map(|segment| segment.ident.to_string())
            .chain(derived.into_iter().flatten().cloned())
            .collect()
    }

    /// Whether a type, as it is written in that callable, mentions this one; `Self` counts.
    pub fn mentions(&self, callable: &Callable, written: &Type, name: &TypeName) -> bool {
        let mut paths = Paths::default();
        paths.visit_type(written);
        paths.0.iter().any(|path| {
            if path == &["Self"] {
                callable.owner.as_ref() == Some(name)
            } else {
                self.resolve(&callable.module, path, 0)
                    .contains(&Definition::Type(name.clone()))
            }
        })
    }

    fn functions<'a>(
        &'a self,
        module: &ModulePath,
        name: &'a str,
    ) -> impl Iterator<Item = &'a (Visibility, Signature, Vec<Attribute>)> {
        self.modules[module]
            .functions
            .iter()
            .filter(move |(visibility, signature, _)| {
                signature.ident == name && matches!(visibility, Visibility::Public(_))
            })
    }

    /// All `impl` blocks by their type, with their module.
    fn impls(&self) -> BTreeMap<TypeName, Vec<(&ModulePath, &syn::ItemImpl)>> {
        let mut impls: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (path, module) in &self.modules {
            for item in &module.impls {
                let Type::Path(written) = &*item.self_ty else {
                    continue;
                };
                for definition in self.resolve(path, &segments(&written.path), 0) {
                    if let Definition::Type(name) = definition {
                        impls.entry(name).or_default().push((path, item));
                    }
                }
            }
        }
        impls
    }

    /// All public items, with their names.
    fn public(&self) -> BTreeSet<(String, Definition)> {
        let mut found = BTreeSet::new();
        self.walk(&Vec::new(), &[], &mut found);
        found
    }

    fn walk(&self, at: &ModulePath, prefix: &[String], found: &mut BTreeSet<(String, Definition)>) {
        let Some(module) = self.modules.get(at) else {
            return;
        };
        let named = |name: &str| [prefix, &[name.to_owned()]].concat();
        let mut emit = |name: &str, definition: Definition| {
            let path = named(name);
            let new = found.insert((path.join("::"), definition.clone()));
            if let (true, Definition::Module(inner)) = (new, definition) {
                self.walk(&inner, &path, found);
            }
        };
        for (name, _) in module.children.iter().filter(|(_, public)| **public) {
            emit(
                name,
                Definition::Module([&at[..], std::slice::from_ref(name)].concat()),
            );
        }
        for (name, _) in module.types.iter().filter(|(_, public)| **public) {
            emit(name, Definition::Type(TypeName(at.clone(), name.clone())));
        }
        for (visibility, signature, _) in &module.functions {
            if matches!(visibility, Visibility::Public(_)) {
                let name = signature.ident.to_string();
                emit(&name, Definition::Function(at.clone(), name.clone()));
            }
        }
        let mut globs = Vec::new();
        for item in module.uses.iter().filter(|item| item.public) {
            for definition in self.resolve(at, &item.path, 0) {
                // A private module with the same name as a function is not reexported.
                let private =
                    matches!(&definition, Definition::Module(path) if !self.is_public(path));
                match (&item.name, definition) {
                    (Some(_), _) if private => {}
                    (Some(name), definition) => emit(name, definition),
                    (None, Definition::Module(inner)) => globs.push(inner),
                    (None, _) => {}
                }
            }
        }
        for inner in globs {
            self.walk(&inner, prefix, found);
        }
    }

    fn is_public(&self, module: &ModulePath) -> bool {
        module.split_last().is_none_or(|(name, parent)| {
            self.modules
                .get(parent)
                .and_then(|parent| parent.children.get(name))
                .is_some_and(|public| *public)
        })
    }

    /// The definitions of a path in a module; empty for items of another crate.
    fn resolve(&self, at: &[String], path: &[String], depth: usize) -> Vec<Definition> {
        let (Some((first, rest)), true) = (path.split_first(), depth < 12) else {
            return Vec::new();
        };
        let mut here = match first.as_str() {
            "std" | "core" | "alloc" | "tokio" => Vec::new(),
            "crate" => vec![Definition::Module(Vec::new())],
            "self" => vec![Definition::Module(at.to_vec())],
            "super" => at
                .split_last()
                .map(|(_, parent)| Definition::Module(parent.to_vec()))
                .into_iter()
                .collect(),
            name => self.lookup(at, name, depth + 1),
        };
        for name in rest {
            here = here
                .into_iter()
                .filter_map(|definition| match (definition, name.as_str()) {
                    (Definition::Module(module), "super") => {
                        let (_, parent) = module.split_last()?;
                        Some(vec![Definition::Module(parent.to_vec())])
                    }
                    (Definition::Module(module), name) => {
                        Some(self.lookup(&module, name, depth + 1))
                    }
                    _ => None,
                })
                .flatten()
                .collect();
        }
        here
    }

    fn lookup(&self, at: &[String], name: &str, depth: usize) -> Vec<Definition> {
        let Some(module) = self.modules.get(at) else {
            return Vec::new();
        };
        let key = (at.to_vec(), name.to_owned());
        if let Some(found) = self.known.borrow().get(&key) {
            return found.clone();
        }
        let mut found = Vec::new();
        if module.children.contains_key(name) {
            found.push(Definition::Module([at, &[name.to_owned()]].concat()));
        }
        if module.types.contains_key(name) {
            found.push(Definition::Type(TypeName(at.to_vec(), name.to_owned())));
        }
        if module.functions.iter().any(|(_, s, _)| s.ident == name) {
            found.push(Definition::Function(at.to_vec(), name.to_owned()));
        }
        for item in &module.uses {
            if item.name.as_deref() == Some(name) {
                found.extend(self.resolve(at, &item.path, depth + 1));
            }
        }
        if found.is_empty() {
            for item in module.uses.iter().filter(|item| item.name.is_none()) {
                for definition in self.resolve(at, &item.path, depth + 1) {
                    if let Definition::Module(inner) = definition
                        && inner != at
                    {
                        found.extend(self.lookup(&inner, name, depth + 1));
                    }
                }
            }
        }
        // At a greater depth the limit may have ended the search, in a cycle of globs.
        if depth < 6 {
            self.known.borrow_mut().insert(key, found.clone());
        }
        found
    }

    fn file(&mut self, file: &Path, directory: &Path, at: ModulePath) {
        let parsed = parse(file);
        self.items(parsed.items, directory, at);
    }

    fn items(&mut self, items: Vec<Item>, directory: &Path, at: ModulePath) {
        self.modules.entry(at.clone()).or_default();
        for item in items {
            self.item(item, directory, &at);
        }
    }

    fn item(&mut self, item: Item, directory: &Path, at: &ModulePath) {
        let module = self.modules.entry(at.clone()).or_default();
        match item {
            Item::Mod(item) if !is_test(&item.attrs) => {
                let name = item.ident.to_string();
                *module.children.entry(name.clone()).or_default() |= is_public(&item.vis);
                let inner = [&at[..], std::slice::from_ref(&name)].concat();
                match item.content {
                    Some((_, items)) => self.items(items, &directory.join(&name), inner),
                    None => {
                        let (beside, below) = (
                            directory.join(format!("{name}.rs")),
                            directory.join(&name).join("mod.rs"),
                        );
                        let file = if beside.exists() { beside } else { below };
                        if file.exists() {
                            self.file(&file, &directory.join(&name), inner);
                        } else {
                            self.unread.insert(format!("mod {name}"));
                        }
                    }
                }
            }
            Item::Fn(item) if !is_test(&item.attrs) => {
                module.functions.push((item.vis, item.sig, item.attrs));
            }
            Item::Struct(item) => module.add_type(&item.ident, &item.vis, &item.attrs),
            Item::Enum(item) => module.add_type(&item.ident, &item.vis, &item.attrs),
            Item::Type(item) => module.add_type(&item.ident, &item.vis, &item.attrs),
            Item::Trait(item) => {
                module.add_type(&item.ident, &item.vis, &item.attrs);
                module.traits.push(item);
            }
            Item::Impl(mut item) => {
                item.items = unwrapped(item.items, &mut self.unread);
                module.impls.push(item);
            }
            Item::Use(item) => {
                let public = is_public(&item.vis);
                flatten(&item.tree, &mut Vec::new(), &mut |path, name| {
                    module.uses.push(Use { public, path, name });
                });
            }
            Item::Macro(item) => self.macro_item(item, directory, at),
            _ => {}
        }
    }

    fn macro_item(&mut self, item: syn::ItemMacro, directory: &Path, at: &ModulePath) {
        let name = item
            .mac
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default();
        // loom's stand-ins are not part of the API.
        if matches!(name.as_str(), "macro_rules" | "cfg_loom" | "compile_error") {
            return;
        }
        let tokens = item.mac.tokens;
        if name == "forward" || name == "hooks" {
            match Forwarded::parse.parse2(tokens) {
                Ok(forwarded) => self.item(Item::Impl(forwarded.0), directory, at),
                Err(_) => drop(self.unread.insert(name)),
            }
            return;
        }
        match wrapped_items.parse2(tokens) {
            Ok(items) => self.items(items, directory, at.clone()),
            Err(_) => drop(self.unread.insert(name)),
        }
    }
}

impl Module {
    fn add_type(&mut self, name: &syn::Ident, visibility: &Visibility, attributes: &[Attribute]) {
        let name = name.to_string();
        *self.types.entry(name.clone()).or_default() |= is_public(visibility);
        for attribute in attributes.iter().filter(|a| a.path().is_ident("derive")) {
            // A derive holds paths only; anything else would not compile.
            let _ = attribute.parse_nested_meta(|meta| {
                let derived = segments(&meta.path).pop();
                self.derives
                    .entry(name.clone())
                    .or_default()
                    .extend(derived);
                Ok(())
            });
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// `#[cfg(test)]` and loom's stand-ins are not part of the API.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|name| name == "test" || name == "loom")
    })
}

fn has_track_caller(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("track_caller"))
}

fn methods(item: &syn::ItemImpl) -> impl Iterator<Item = &syn::ImplItemFn> {
    item.items.iter().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    })
}

/// The body of a macro that wraps items: inner attributes first (`feature!`), or the two variants of
/// `cfg_metrics_variant!`.
fn wrapped_items(input: ParseStream) -> syn::Result<Vec<Item>> {
    wrapped(input)
}

fn wrapped<T: Parse>(input: ParseStream) -> syn::Result<Vec<T>> {
    input.call(Attribute::parse_inner)?;
    let mut items = Vec::new();
    while !input.is_empty() {
        if input.peek(syn::Ident) && input.peek2(syn::Token![:]) && !input.peek2(syn::Token![::]) {
            input.parse::<syn::Ident>()?;
            input.parse::<syn::Token![:]>()?;
            let variant;
            syn::braced!(variant in input);
            while !variant.is_empty() {
                items.push(variant.parse()?);
            }
            input.parse::<Option<syn::Token![,]>>()?;
        } else {
            items.push(input.parse()?);
        }
    }
    Ok(items)
}

/// Items of an `impl`, those inside wrapping macros included.
fn unwrapped(items: Vec<ImplItem>, unread: &mut BTreeSet<String>) -> Vec<ImplItem> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            ImplItem::Macro(item) => {
                let name = segments(&item.mac.path).join("::");
                match wrapped.parse2(item.mac.tokens) {
                    Ok(items) => flat.extend(unwrapped(items, unread)),
                    Err(_) => drop(unread.insert(name)),
                }
            }
            item => flat.push(item),
        }
    }
    flat
}

/// The body of our macros `forward!` and `hooks!`: heads of methods of `Builder`.
struct Forwarded(syn::ItemImpl);

impl Parse for Forwarded {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut item: syn::ItemImpl = syn::parse_quote! { impl Builder {} };
        while !input.is_empty() {
            let head: syn::TraitItemFn = input.parse()?;
            let (attributes, mut signature) = (head.attrs, head.sig);
            signature.inputs.insert(0, syn::parse_quote! { &mut self });
            signature.output = syn::parse_quote! { -> &mut Self };
            item.items.push(ImplItem::Fn(syn::ImplItemFn {
                attrs: attributes,
                vis: syn::parse_quote! { pub },
                defaultness: None,
                sig: signature,
                block: syn::parse_quote! { {} },
            }));
        }
        Ok(Forwarded(item))
    }
}

/// The paths in a type.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(segments(path));
        syn::visit::visit_path(self, path);
    }
}
