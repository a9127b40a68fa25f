//! Dumps from arbitrary bytes: valid input for the encoders.

use std::sync::Arc;

use dump::goroutine::{Goroutine, State, Tables};
use dump::profile::contention::{Contention, ContentionProfile, Kind};
use dump::profile::count::CountProfile;
use dump::stack::{Branch, BranchKind, Frame, Location, Mapping, Site, Stack};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// A row that owns its texts.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: u64,
    pub parent: Option<u64>,
    pub state: State,
    pub reason: String,
    pub since_ns: u64,
    pub polls: u64,
    pub busy_ns: u64,
    pub name: Option<String>,
    pub notes: Vec<String>,
    pub stack: u32,
    pub site: Option<u32>,
}

impl Row {
    /// The row as an encoder takes it, with `notes` of [`Row::notes`].
    pub fn goroutine<'a>(&'a self, notes: &'a [&'a str]) -> Goroutine<'a> {
        Goroutine {
            id: self.id,
            parent: self.parent,
            state: self.state,
            reason: &self.reason,
            since_ns: self.since_ns,
            polls: self.polls,
            busy_ns: self.busy_ns,
            name: self.name.as_deref(),
            labels: &[],
            notes,
            joins: &[],
            stack: self.stack,
            site: self.site,
        }
    }

    pub fn notes(&self) -> Vec<&str> {
        self.notes.iter().map(String::as_str).collect()
    }

    pub fn arbitrary(u: &mut Unstructured) -> Result<Row> {
        Ok(Row {
            id: u.arbitrary()?,
            parent: u.arbitrary()?,
            state: *u.choose(&[State::Running, State::Runnable, State::Waiting])?,
            reason: reason(u)?,
            since_ns: number(u)?,
            polls: number(u)?,
            busy_ns: number(u)?,
            name: u.arbitrary()?,
            notes: several(u, 2, Unstructured::arbitrary)?,
            stack: u.int_in_range(0..=5)?,
            site: optional(u, |u| u.int_in_range(0..=3))?,
        })
    }
}

pub fn tables(u: &mut Unstructured) -> Result<Tables> {
    Ok(Tables {
        stacks: several(u, 4, stack)?,
        sites: several(u, 2, site)?,
        mappings: several(u, 2, mapping)?,
        time_ns: u.arbitrary()?,
    })
}

/// The stacks, with counts.
pub fn counts(u: &mut Unstructured, tables: &Tables) -> Result<CountProfile> {
    let mut records = Vec::new();
    for stack in &tables.stacks {
        records.push((stack, u64::from(u.arbitrary::<u16>()?)));
    }
    let mut profile = CountProfile::new("goroutine", records);
    for remark in several(u, 2, Unstructured::arbitrary::<String>)? {
        profile.comment(remark);
    }
    Ok(profile)
}

/// The rows, as if each had waited.
pub fn contention(
    u: &mut Unstructured,
    tables: &Tables,
    rows: &[Row],
) -> Result<ContentionProfile> {
    let mut events = Vec::new();
    for row in rows {
        if let Some(stack) = tables.stacks.get(row.stack as usize) {
            let (count, delay_ns) = u.arbitrary()?;
            events.push(Contention {
                stack,
                reason: &row.reason,
                labels: &[],
                count,
                delay_ns,
            });
        }
    }
    Ok(ContentionProfile::new(Kind::Block, events))
}

/// As many items as the bytes ask for, up to `most`.
pub fn several<'u, T>(
    u: &mut Unstructured<'u>,
    most: usize,
    one: impl Fn(&mut Unstructured<'u>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=most)?;
    (0..count).map(|_| one(u)).collect()
}

fn optional<'u, T>(
    u: &mut Unstructured<'u>,
    one: impl Fn(&mut Unstructured<'u>) -> Result<T>,
) -> Result<Option<T>> {
    u.arbitrary::<bool>()?.then(|| one(u)).transpose()
}

/// A number of any size: half of all 64-bit numbers are larger than any time.
fn number(u: &mut Unstructured) -> Result<u64> {
    Ok(u.arbitrary::<u64>()? >> u.int_in_range(0..=63)?)
}

/// A reason never ends in the text that the header appends.
fn reason(u: &mut Unstructured) -> Result<String> {
    let mut reason: String = u.arbitrary()?;
    if reason.ends_with(" minutes") || reason.ends_with(", locked to thread") {
        reason.push('.');
    }
    Ok(reason)
}

fn stack(u: &mut Unstructured) -> Result<Stack> {
    Ok(Stack {
        branches: several(u, 3, branch)?,
        trunk: several(u, 4, location)?,
        elided: u.arbitrary()?,
        missing: u.arbitrary::<Option<String>>()?.map(Arc::from),
    })
}

fn branch(u: &mut Unstructured) -> Result<Branch> {
    Ok(Branch {
        kind: *u.choose(&[BranchKind::Waiting, BranchKind::AlsoRegistered])?,
        locations: several(u, 3, location)?,
    })
}

fn location(u: &mut Unstructured) -> Result<Arc<Location>> {
    Ok(Arc::new(Location {
        return_address: number(u)?.max(1),
        function_offset: u.arbitrary()?,
        frames: several(u, 2, frame)?,
        hidden: u.arbitrary()?,
    }))
}

fn frame(u: &mut Unstructured) -> Result<Frame> {
    Ok(Frame {
        function: u.arbitrary::<String>()?.into(),
        file: u.arbitrary::<String>()?.into(),
        line: u.arbitrary()?,
    })
}

fn site(u: &mut Unstructured) -> Result<Site> {
    Ok(Site {
        function: u.arbitrary::<Option<String>>()?.map(Arc::from),
        file: u.arbitrary::<String>()?.into(),
        line: u.arbitrary()?,
        column: u.arbitrary()?,
        function_offset: u.arbitrary()?,
    })
}

fn mapping(u: &mut Unstructured) -> Result<Mapping> {
    Ok(Mapping {
        start: u.arbitrary()?,
        limit: u.arbitrary()?,
        offset: u.arbitrary()?,
        file: u.arbitrary()?,
        build_id: u.arbitrary()?,
    })
}
