//! The facade has no uninstrumented way into the runtime.
//!
//! The list is tokio's own source: each public function that takes a future or a closure to run, that returns a type
//! which the facade shadows, or that the `Deref` of such a type does not reach, must have a counterpart of the same
//! name in the facade, or an exception with its reason below. This test fails with a new tokio that adds a way to
//! spawn.

mod surface;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use surface::{Callable, Crate, TypeName};
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{FnArg, GenericParam, Generics, ReturnType, Token, TypeParamBound, WherePredicate};

/// The types that the facade replaces by its own.
const SHADOWED: [&str; 24] = [
    "runtime::Builder",
    "runtime::Handle",
    "runtime::LocalRuntime",
    "runtime::Runtime",
    "sync::MappedMutexGuard",
    "sync::Mutex",
    "sync::MutexGuard",
    "sync::OnceCell",
    "sync::OwnedMappedMutexGuard",
    "sync::OwnedMutexGuard",
    "sync::OwnedRwLockMappedWriteGuard",
    "sync::OwnedRwLockReadGuard",
    "sync::OwnedRwLockWriteGuard",
    "sync::OwnedSemaphorePermit",
    "sync::RwLock",
    "sync::RwLockMappedWriteGuard",
    "sync::RwLockReadGuard",
    "sync::RwLockWriteGuard",
    "sync::Semaphore",
    "sync::SemaphorePermit",
    "task::Builder",
    "task::JoinSet",
    "task::LocalSet",
    "task::join_set::Builder",
];

/// The traits whose implementors are run.
const RUNNABLE: [&str; 8] = [
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
    "Fn",
    "FnMut",
    "FnOnce",
    "Future",
    "IntoFuture",
];

const IN_THE_CALLERS_TASK: &str =
    "polls the future in the caller's task, whose waker shows the wait";
const AT_ONCE: &str = "calls the closure before it returns, or in the caller's own poll";
const DUMPS: &str = "tokio's own task dump, which the probe never uses";

/// Functions that stay tokio's own.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("io::unix::AsyncFd::async_io", AT_ONCE),
    ("io::unix::AsyncFd::async_io_mut", AT_ONCE),
    ("io::unix::AsyncFd::try_io", AT_ONCE),
    ("io::unix::AsyncFd::try_io_mut", AT_ONCE),
    ("io::unix::AsyncFdReadyGuard::try_io", AT_ONCE),
    ("io::unix::AsyncFdReadyMutGuard::try_io", AT_ONCE),
    ("macros::support::maybe_done", IN_THE_CALLERS_TASK),
    ("net::TcpStream::async_io", AT_ONCE),
    ("net::TcpStream::try_io", AT_ONCE),
    ("net::UdpSocket::async_io", AT_ONCE),
    ("net::UdpSocket::try_io", AT_ONCE),
    ("net::UnixDatagram::async_io", AT_ONCE),
    ("net::UnixDatagram::try_io", AT_ONCE),
    ("net::UnixStream::async_io", AT_ONCE),
    ("net::UnixStream::try_io", AT_ONCE),
    ("net::unix::pipe::Receiver::try_io", AT_ONCE),
    ("net::unix::pipe::Sender::try_io", AT_ONCE),
    (
        "net::windows::named_pipe::NamedPipeClient::async_io",
        AT_ONCE,
    ),
    ("net::windows::named_pipe::NamedPipeClient::try_io", AT_ONCE),
    (
        "net::windows::named_pipe::NamedPipeServer::async_io",
        AT_ONCE,
    ),
    ("net::windows::named_pipe::NamedPipeServer::try_io", AT_ONCE),
    (
        "process::Command::pre_exec",
        "runs in the child process, between fork and exec",
    ),
    ("process::Command::spawn_with", AT_ONCE),
    (
        "runtime::Handle::is_tracing",
        "hidden; for tokio's own tests",
    ),
    ("runtime::Handle::dump", DUMPS),
    ("runtime::dump::Trace::capture", DUMPS),
    ("runtime::dump::Trace::root", DUMPS),
    ("runtime::dump::trace_with", DUMPS),
    ("sync::watch::Receiver::wait_for", AT_ONCE),
    ("sync::watch::Sender::send_if_modified", AT_ONCE),
    ("sync::watch::Sender::send_modify", AT_ONCE),
    ("task::LocalKey::scope", IN_THE_CALLERS_TASK),
    ("task::LocalKey::sync_scope", AT_ONCE),
    ("task::LocalKey::try_with", AT_ONCE),
    ("task::LocalKey::with", AT_ONCE),
    ("task::coop::cooperative", IN_THE_CALLERS_TASK),
    ("time::timeout", IN_THE_CALLERS_TASK),
    ("time::timeout_at", IN_THE_CALLERS_TASK),
];

/// Traits of a shadowed type that the facade's type need not implement.
const TRAIT_EXCEPTIONS: &[(&str, &str)] = &[
    ("Drop", "the tokio type inside is dropped"),
    ("RefUnwindSafe", "an auto trait, asserted below"),
    ("Send", "an auto trait, asserted below"),
    ("Sync", "an auto trait, asserted below"),
    ("UnwindSafe", "an auto trait, asserted below"),
];

/// Traits that a macro implements for the guards; asserted below, too.
const TRAITS_OF_GUARDS: [&str; 4] = ["Debug", "Deref", "DerefMut", "Display"];

/// Macros in item position whose bodies are not plain items. None of them makes a public function.
const UNREAD: &[(&str, &str)] = &[
    ("impl_traits", "trait impls of `io` types"),
    ("mod imp", "platform modules by `#[path]`, all private"),
    ("reader", "futures of `AsyncReadExt`"),
    ("reader8", "futures of `AsyncReadExt`"),
    ("tokio_thread_local", "private statics"),
    ("writer", "futures of `AsyncWriteExt`"),
    ("writer8", "futures of `AsyncWriteExt`"),
];

/// One test for several checks, because reading tokio's source takes seconds and the parsed source cannot move
/// between threads.
#[test]
fn the_facade_is_complete() {
    let (theirs, ours) = (tokio(), facade());
    let checks = [
        whatever_runs_something_is_shadowed_or_excepted,
        the_builder_has_every_method,
        shadows_are_called_as_their_originals,
        shadowed_types_have_the_traits_of_their_originals,
        nothing_of_tokio_goes_unread,
    ];
    let wrong: Vec<String> = checks
        .iter()
        .flat_map(|check| check(&theirs, &ours))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn whatever_runs_something_is_shadowed_or_excepted(theirs: &Crate, ours: &Crate) -> Vec<String> {
    let offered: BTreeSet<String> = ours.callables().into_iter().map(|c| c.path).collect();
    let shadowed = shadowed_types(theirs);
    let mut needed: BTreeMap<String, &str> = BTreeMap::new();
    for callable in theirs.callables() {
        if let Some(why) = must_be_shadowed(theirs, &shadowed, &callable) {
            needed.insert(callable.path, why);
        }
    }
    let excepted: BTreeMap<&str, &str> = EXCEPTIONS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, why) in &needed {
        match (offered.contains(path), excepted.contains_key(path.as_str())) {
            (false, false) => wrong.push(format!("{path}: {why}; neither shadowed nor excepted")),
            (true, true) => wrong.push(format!("{path}: both shadowed and excepted")),
            _ => {}
        }
    }
    for path in excepted.keys().filter(|path| !needed.contains_key(**path)) {
        wrong.push(format!("{path}: an exception that tokio no longer has"));
    }
    assert_eq!(
        excepted.len(),
        EXCEPTIONS.len(),
        "an exception stands twice"
    );
    assert!(
        needed.len() > 100,
        "only {} found: is tokio read?",
        needed.len()
    );
    wrong
}

fn the_builder_has_every_method(theirs: &Crate, ours: &Crate) -> Vec<String> {
    let methods = |all: &Crate| -> BTreeSet<String> {
        all.callables()
            .into_iter()
            .map(|callable| callable.path)
            .filter(|path| path.starts_with("runtime::Builder::"))
            .collect()
    };
    let (theirs, ours) = (methods(theirs), methods(ours));
    assert!(theirs.len() > 30, "only {} found", theirs.len());
    let differs = |path: &String| format!("{path}: not in both builders");
    theirs.symmetric_difference(&ours).map(differs).collect()
}

fn shadows_are_called_as_their_originals(theirs: &Crate, ours: &Crate) -> Vec<String> {
    let (theirs, ours) = (theirs.callables(), ours.callables());
    let originals: BTreeMap<&str, &Callable> =
        theirs.iter().map(|c| (c.path.as_str(), c)).collect();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for shadow in &ours {
        let Some(original) = originals.get(shadow.path.as_str()) else {
            continue;
        };
        compared += 1;
        let (mine, mut its) = (Shape::of(shadow), Shape::of(original));
        // Our constructors have `track_caller`, to note where a value is created.
        its.track_caller |= mine.track_caller;
        if mine != its {
            wrong.push(format!("{}: {mine:?}, tokio's is {its:?}", shadow.path));
        }
    }
    assert!(compared > 80, "only {compared} compared");
    wrong
}

fn shadowed_types_have_the_traits_of_their_originals(theirs: &Crate, ours: &Crate) -> Vec<String> {
    let mut missing = Vec::new();
    for path in SHADOWED {
        let traits =
            |all: &Crate| all.traits_of(&all.type_at(path).unwrap_or_else(|| panic!("{path}")));
        for name in traits(theirs).difference(&traits(ours)) {
            let excepted = TRAIT_EXCEPTIONS
                .iter()
                .any(|(excepted, _)| excepted == name);
            let of_guard = path.ends_with("Guard") && TRAITS_OF_GUARDS.contains(&name.as_str());
            if !excepted && !of_guard {
                missing.push(format!("impl {name} for {path}"));
            }
        }
    }
    missing
}

/// Auto traits, and bounds that a derive would add. The test is that this compiles.
#[test]
fn shadowed_types_have_the_auto_traits_of_their_originals() {
    use runtime_probe::runtime::{Builder, Handle, LocalRuntime, Runtime};
    use runtime_probe::sync::*;
    use runtime_probe::task::{JoinSet, LocalSet};
    use std::cell::Cell;
    use std::fmt::{Debug, Display};
    use std::ops::{Deref, DerefMut};
    use std::panic::{RefUnwindSafe, UnwindSafe};
    use std::sync::Arc;

    fn shared<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn movable<T: Send + Sync + Unpin>() {}
    fn reads<V, T: Deref<Target = V> + Debug + Display>() {}
    fn writes<V, T: DerefMut<Target = V> + Debug + Display>() {}
    fn value<T: Send + Sync>(_: T) {}
    fn sendable<T: Send>(_: T) {}
    fn calm<T: Unpin + UnwindSafe + RefUnwindSafe>() {}
    fn shown<T: std::fmt::Debug>() {}
    /// Implements no trait.
    struct Plain;

    shared::<Runtime>();
    shared::<Handle>();
    movable::<Mutex<Cell<u8>>>();
    movable::<MutexGuard<'_, u8>>();
    writes::<u8, MutexGuard<'_, u8>>();
    movable::<OwnedMutexGuard<u8>>();
    writes::<u8, OwnedMutexGuard<u8>>();
    movable::<MappedMutexGuard<'_, u8>>();
    writes::<u8, MappedMutexGuard<'_, u8>>();
    movable::<OwnedMappedMutexGuard<u8, i8>>();
    writes::<i8, OwnedMappedMutexGuard<u8, i8>>();
    movable::<RwLock<u8>>();
    movable::<RwLockReadGuard<'_, u8>>();
    reads::<u8, RwLockReadGuard<'_, u8>>();
    movable::<OwnedRwLockReadGuard<u8, i8>>();
    reads::<i8, OwnedRwLockReadGuard<u8, i8>>();
    movable::<RwLockWriteGuard<'_, u8>>();
    writes::<u8, RwLockWriteGuard<'_, u8>>();
    movable::<RwLockMappedWriteGuard<'_, u8>>();
    writes::<u8, RwLockMappedWriteGuard<'_, u8>>();
    movable::<OwnedRwLockWriteGuard<u8>>();
    writes::<u8, OwnedRwLockWriteGuard<u8>>();
    movable::<OwnedRwLockMappedWriteGuard<u8, i8>>();
    writes::<i8, OwnedRwLockMappedWriteGuard<u8, i8>>();
    let lock = Arc::new(RwLock::new(0));
    value(lock.read());
    value(lock.clone().read_owned());
    value(lock.write());
    value(lock.write_owned());
    let lock = Arc::new(Mutex::new(Cell::new(0)));
    sendable(lock.lock());
    sendable(lock.lock_owned());
    movable::<Builder>();
    movable::<JoinSet<Plain>>();
    let mut set = JoinSet::<Cell<u8>>::new();
    value(set.join_next());
    value(set.join_next_with_id());
    value(set.shutdown());
    calm::<LocalRuntime>();
    shown::<JoinSet<Plain>>();
    shown::<LocalSet>();
    drop(JoinSet::<Plain>::default());
}

fn nothing_of_tokio_goes_unread(theirs: &Crate, _: &Crate) -> Vec<String> {
    let known: BTreeSet<String> = UNREAD.iter().map(|(name, _)| (*name).to_owned()).collect();
    let differs =
        |name: &String| format!("{name}: a macro in item position, listed here or there only");
    theirs
        .unread
        .symmetric_difference(&known)
        .map(differs)
        .collect()
}

/// Why the facade must have this function; `None` if it need not.
fn must_be_shadowed(
    all: &Crate,
    shadowed: &[TypeName],
    callable: &Callable,
) -> Option<&'static str> {
    if takes_something_to_run(callable) {
        return Some("takes a future or a closure");
    }
    if let ReturnType::Type(_, output) = &callable.signature.output
        && shadowed
            .iter()
            .any(|name| all.mentions(callable, output, name))
    {
        return Some("hands out a shadowed type");
    }
    if !callable
        .owner
        .as_ref()
        .is_some_and(|owner| shadowed.contains(owner))
    {
        return None;
    }
    match callable.signature.receiver() {
        None => Some("is called by the type's name"),
        Some(receiver) if receiver.reference.is_none() => Some("takes a shadowed type by value"),
        // `JoinSet::len`, passed to `map`, is not reached by a `Deref`.
        Some(_) => Some("may be called by its path"),
    }
}

fn takes_something_to_run(callable: &Callable) -> bool {
    let mut runnable: BTreeSet<String> = RUNNABLE.iter().map(|name| (*name).to_owned()).collect();
    // Type parameters that are bounded by such a trait count as runnable.
    runnable.extend(bounded(&callable.outer));
    runnable.extend(bounded(&callable.signature.generics));
    callable
        .signature
        .inputs
        .iter()
        .any(|argument| match argument {
            FnArg::Receiver(_) => false,
            FnArg::Typed(argument) => {
                let mut names = Names::default();
                names.visit_type(&argument.ty);
                names.0.iter().any(|name| runnable.contains(name))
            }
        })
}

/// Type parameters that are bounded by a trait whose implementors run.
fn bounded(generics: &Generics) -> Vec<String> {
    let runs = |bounds: &Punctuated<TypeParamBound, Token![+]>| {
        bounds.iter().any(|bound| match bound {
            TypeParamBound::Trait(bound) => bound
                .path
                .segments
                .last()
                .is_some_and(|segment| RUNNABLE.iter().any(|name| segment.ident == name)),
            _ => false,
        })
    };
    let inline = generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) if runs(&parameter.bounds) => {
                Some(parameter.ident.to_string())
            }
            _ => None,
        });
    let predicates = generics
        .where_clause
        .iter()
        .flat_map(|clause| &clause.predicates);
    let listed = predicates.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) if runs(&predicate.bounds) => match &predicate.bounded_ty {
            syn::Type::Path(path) => path.path.get_ident().map(ToString::to_string),
            _ => None,
        },
        _ => None,
    });
    inline.chain(listed).collect()
}

/// The properties of a function that a caller's source depends on.
#[derive(Debug, PartialEq)]
struct Shape {
    asynchronous: bool,
    /// How many types a turbofish names.
    type_parameters: usize,
    arguments: usize,
    receiver: Option<(bool, bool)>,
    track_caller: bool,
}

impl Shape {
    fn of(callable: &Callable) -> Shape {
        let signature = &callable.signature;
        Shape {
            asynchronous: signature.asyncness.is_some() || gives_a_future(&signature.output),
            type_parameters: signature.generics.type_params().count(),
            arguments: signature.inputs.len(),
            receiver: signature.receiver().map(|receiver| {
                let by_value = receiver.reference.is_none();
                // `mut self` does not matter to a caller.
                (by_value, !by_value && receiver.mutability.is_some())
            }),
            // A const constructor of ours notes where a lock is created; that does not change its signature for
            // callers.
            track_caller: callable.track_caller || signature.constness.is_some(),
        }
    }
}

/// Whether its result is a future, as that of an async fn.
fn gives_a_future(output: &ReturnType) -> bool {
    let ReturnType::Type(_, output) = output else {
        return false;
    };
    let syn::Type::ImplTrait(output) = &**output else {
        return false;
    };
    output.bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == "Future"),
        _ => false,
    })
}

fn shadowed_types(all: &Crate) -> Vec<TypeName> {
    SHADOWED
        .iter()
        .map(|path| {
            all.type_at(path)
                .unwrap_or_else(|| panic!("tokio has no {path}"))
        })
        .collect()
}

fn facade() -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
}

/// The source of the tokio in the workspace's lock file.
fn tokio() -> Crate {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--format-version",
            "1",
            "--filter-platform",
        ])
        // Dependencies of other platforms may never have been downloaded.
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let mut tokios = packages.iter().filter(|package| package["name"] == "tokio");
    let tokio = tokios.next().expect("tokio is a dependency");
    assert!(tokios.next().is_none(), "more than one tokio in the graph");
    let manifest = PathBuf::from(tokio["manifest_path"].as_str().expect("a path"));
    Crate::read(&manifest.with_file_name("src").join("lib.rs"))
}

/// All identifiers in a type.
#[derive(Default)]
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_ident(&mut self, name: &'ast syn::Ident) {
        self.0.push(name.to_string());
    }
}
