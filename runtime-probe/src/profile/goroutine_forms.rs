//! The forms of a goroutine dump, and their remarks on what is left out.

use super::address_names;
use super::condensed;
use super::conditions::Condition;
use super::diagnosis::{local_sets, no_tasks, unlisted};
use super::doing::Does;
use super::goroutine::{self, Goroutines, Pairs};
use super::leaks;
use super::selection::{Leaks, grouped};
use crate::ask::settle::Settling;
use crate::labels::LabelSet;
use crate::snapshot::tasks::{Flags, Row};
use runtime_dump::goroutine::json::JsonWriter;
use runtime_dump::goroutine::notes::Notes;
use runtime_dump::goroutine::samples::SampleWriter;
use runtime_dump::goroutine::text::{TextOptions, TextWriter};
use runtime_dump::goroutine::{Goroutine, Group, Join, Tables};
use runtime_dump::profile::count::CountProfile;
use runtime_dump::profile::count_delta::CountDelta;
use runtime_dump::profile::proto;
use runtime_dump::stack::Site;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

/// How many of a group's tasks are listed with their times: enough to see whether one stands out.
const LONGEST: usize = 3;

/// The lines of `debug=2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Go's lines, and ours, which begin with `#`.
    All,
    /// Only Go's lines.
    Plain,
}

impl Goroutines {
    /// Go's `debug=2`: a block per task, those that are polled very often first, then running ones, then those that have waited longest.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_text(&self, mut out: impl Write, lines: Lines) -> io::Result<()> {
        if lines == Lines::All {
            self.write_remarks(&mut out, self.remark_on_tasks())?;
        }
        let plain = lines == Lines::Plain;
        let tables = match plain {
            true => Cow::Borrowed(&self.tables),
            false => self.text_tables(),
        };
        let mut writer = TextWriter::new(out, &tables, TextOptions { plain });
        let mut notes = Notes::default();
        for row in self.shown() {
            self.write_task(&mut writer, &mut notes, row)?;
        }
        writer.finish()
    }

    fn write_remarks(&self, out: &mut impl Write, remark: Option<String>) -> io::Result<()> {
        let mut remarks = self.conditions().chain(remark);
        remarks.try_for_each(|remark| writeln!(out, "# {remark}"))
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = String> {
        let unlisted = unlisted(self.unlisted, self.all);
        let covers = (self.selection.leaks != Leaks::Among).then(|| self.remark_on_leaks());
        let conditions = self.conditions.iter().map(Condition::text);
        #[cfg(feature = "decode")]
        let conditions = conditions.chain(self.decoded.remark.clone());
        let local_sets = local_sets(self.tasks.local_sets.len()).map(str::to_owned);
        let permits = self.unknown_permits();
        let conditions = conditions.chain(permits);
        conditions.chain(unlisted).chain(local_sets).chain(covers)
    }

    fn remark_on_leaks(&self) -> String {
        format!(
            "{} tasks can never go on; {}",
            grouped(self.leaked.count() as u64),
            leaks::COVERS
        )
    }

    /// The name of the profile, as in Go.
    pub(crate) fn name(&self) -> &'static str {
        match self.selection.leaks {
            Leaks::Among => goroutine::NAME,
            Leaks::Marked | Leaks::Only => leaks::NAME,
        }
    }

    fn write_task(
        &self,
        writer: &mut TextWriter<'_, impl Write>,
        notes: &mut Notes,
        row: &Row,
    ) -> io::Result<()> {
        notes.clear();
        self.add_notes(notes, row);
        notes.with(|notes| writer.write(&self.goroutine(row, &self.labels(row), notes)))
    }

    /// `debug=2` with one block for all tasks that have the same stack, labels, spawn site and flags.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_groups(&self, out: impl Write) -> io::Result<()> {
        self.write_these(self.groups(), out)
    }

    /// The same, with the largest groups first.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_largest_groups(&self, out: impl Write) -> io::Result<()> {
        let mut groups = self.groups();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        self.write_these(groups, out)
    }

    fn write_these(&self, groups: Vec<Tasks<'_>>, mut out: impl Write) -> io::Result<()> {
        let most = self.selection.limit.unwrap_or(usize::MAX).min(groups.len());
        let (shown, left_out) = groups.split_at(most);
        let tasks = left_out.iter().map(|group| group.count).sum();
        let remark = self.remark(&self.stacks_left_out(left_out.len(), tasks));
        self.write_remarks(&mut out, remark)?;
        let tables = self.text_tables();
        let mut writer = TextWriter::new(out, &tables, TextOptions::default());
        let mut notes = Notes::default();
        for group in shown {
            if group.count == 1 {
                self.write_task(&mut writer, &mut notes, group.first)?;
                continue;
            }
            let notes: Vec<&str> = group.notes.iter().map(String::as_str).collect();
            writer.write_group(&Group {
                example: self.goroutine(group.first, &self.labels(group.first), &notes),
                count: group.count,
                longest: &group.longest,
            })?;
        }
        writer.finish()
    }

    /// Go's `debug=1`: equal stacks once, by count.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_count_text(&self, out: impl Write) -> io::Result<()> {
        let counts = self.counts();
        address_names::remember(counts.locations());
        counts.write_text(out)
    }

    /// `debug=3`: `profile.proto` with a sample for each task, in the order of [`Goroutines::write_text`].
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_samples(&self, out: impl Write) -> io::Result<()> {
        let remarks = self.conditions().chain(self.remark_on_tasks());
        let remarks: Vec<String> = remarks.collect();
        let mut writer = SampleWriter::new(out, goroutine::NAME, &self.tables, &remarks);
        for row in self.shown() {
            writer.write(&self.goroutine(row, &self.labels(row), &[]))?;
        }
        writer.finish()
    }

    /// An object of JSON for each task, in the order of [`Goroutines::write_text`].
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_json(&self, out: impl Write) -> io::Result<()> {
        let remarks: Vec<String> = self.conditions().chain(self.remark_on_tasks()).collect();
        let mut writer = JsonWriter::new(out, &self.tables, &remarks);
        let mut notes = Notes::default();
        for row in self.shown() {
            notes.clear();
            self.add_notes(&mut notes, row);
            let joins = self.joins(row);
            notes.with(|notes| {
                writer.write(&Goroutine {
                    joins: &joins,
                    ..self.goroutine(row, &self.labels(row), notes)
                })
            })?;
        }
        writer.finish()
    }

    fn joins(&self, row: &Row) -> Vec<Join> {
        let doing = &self.doings[row.stack_key as usize];
        self.awaited.joins(row, doing)
    }

    /// Go's `debug=0`.
    pub(crate) fn profile(&self) -> proto::Profile {
        self.counts()
            .to_profile(&self.tables.mappings, self.tables.time_ns)
    }

    /// The same without scaffolding.
    pub(crate) fn shown_profile(&self) -> proto::Profile {
        self.counts()
            .shown()
            .to_profile(&self.tables.mappings, self.tables.time_ns)
    }

    /// The number of tasks of each stack: the largest counts, up to the limit.
    pub(crate) fn counts(&self) -> CountProfile {
        let mut counts: HashMap<(u32, LabelSet), u64> = HashMap::new();
        for row in &self.tasks.rows {
            let labels = self.tasks.labels_of(row.id);
            *counts.entry((row.stack_key, labels)).or_default() += 1;
        }
        let mut labels: HashMap<LabelSet, Pairs> = HashMap::new();
        for (_, set) in counts.keys() {
            labels.entry(*set).or_insert_with(|| set.pairs());
        }
        let records = counts.iter().map(|((stack, set), count)| {
            let stack = &self.tables.stacks[*stack as usize];
            (stack, &*labels[set], *count)
        });
        let mut counts = CountProfile::labeled(self.name(), records);
        for condition in self.conditions() {
            counts.comment(condition);
        }
        let (stacks, tasks) = counts.truncate(self.selection.limit.unwrap_or(usize::MAX));
        if let Some(remark) = self.remark(&self.stacks_left_out(stacks, tasks)) {
            counts.comment(remark);
        }
        counts
    }

    /// The change since `before`, `span` ago: the stacks that more tasks have now, and those that fewer have.
    pub(crate) fn since(&self, before: &CountProfile, span: Duration) -> CountDelta {
        let span_ns = i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        let mut delta = self.counts().since(before, span_ns);
        if delta.is_empty() {
            delta.comment(format!(
                "no stack has more or fewer tasks than {span:.1?} before"
            ));
        }
        delta
    }

    /// The binary form of a change up to now.
    pub(crate) fn change_profile(&self, delta: &CountDelta) -> proto::Profile {
        delta.to_profile(&self.tables.mappings, self.tables.time_ns)
    }

    /// Writes the change as the text of `debug=1`.
    ///
    /// # Errors
    /// The errors of `out`.
    pub(crate) fn write_change(delta: &CountDelta, out: impl Write) -> io::Result<()> {
        address_names::remember(delta.locations());
        delta.write_text(out)
    }

    /// The tables with the layers of servers folded, unless all frames are asked for.
    fn text_tables(&self) -> Cow<'_, Tables> {
        if self.selection.all_frames {
            return Cow::Borrowed(&self.tables);
        }
        Cow::Owned(Tables {
            stacks: self.tables.stacks.iter().map(condensed::folded).collect(),
            sites: self.tables.sites.clone(),
            ..Tables::default()
        })
    }

    /// The tasks, up to the limit.
    fn shown(&self) -> &[Row] {
        let most = self.selection.limit.unwrap_or(usize::MAX);
        &self.tasks.rows[..most.min(self.tasks.rows.len())]
    }

    fn remark_on_tasks(&self) -> Option<String> {
        let left_out = self.tasks.rows.len() - self.shown().len();
        self.remark(&match left_out {
            0 => String::new(),
            _ => format!("limit leaves out {} of them", grouped(left_out as u64)),
        })
    }

    fn stacks_left_out(&self, stacks: usize, tasks: u64) -> String {
        match stacks {
            0 => String::new(),
            _ => format!(
                "limit leaves out {} stacks of {} tasks",
                grouped(stacks as u64),
                grouped(tasks)
            ),
        }
    }

    /// The remark on the selection: why the dump is empty, how many tasks match the filters, how many the limit leaves
    /// out, how many were woken. `None` for a dump of all tasks.
    fn remark(&self, left_out: &str) -> Option<String> {
        let told = self.remark_on_selection(left_out);
        let Settling { woken, open } = self.settling;
        let settled = match (woken, open) {
            (0, _) => return told,
            (woken, 0) => format!("fresh=1 woke {} of the tasks", grouped(woken as u64)),
            (woken, open) => format!(
                "fresh=1 woke {} of the tasks, {} of which were not polled in time",
                grouped(woken as u64),
                grouped(open as u64)
            ),
        };
        Some(match told {
            Some(told) => format!("{told}; {settled}"),
            None => settled,
        })
    }

    fn remark_on_selection(&self, left_out: &str) -> Option<String> {
        let (all, wanted) = (grouped(self.all as u64), self.tasks.rows.len());
        let remark = match self.selection.filters() {
            _ if self.all == 0 && self.unlisted > 0 => return None,
            _ if self.all == 0 => return Some(no_tasks().to_owned()),
            Some(filters) if wanted == 0 => {
                return Some(format!("no task matches {filters}: {all} tasks, 0 match"));
            }
            Some(filters) => format!("{} of {all} tasks match {filters}", grouped(wanted as u64)),
            None if left_out.is_empty() => return None,
            None => format!("{all} tasks"),
        };
        Some(match left_out {
            "" => remark,
            left_out => format!("{remark}; {left_out}"),
        })
    }

    fn groups(&self) -> Vec<Tasks<'_>> {
        let mut groups: Vec<Tasks> = Vec::new();
        let mut known: HashMap<Key, usize> = HashMap::new();
        // Stacks and sites are distinct by address; some of them have equal texts. A spawn in a loop that the compiler unrolled
        // has several addresses, and one line.
        let sites = self.tables.sites.iter().map(|site| Site {
            function_offset: None,
            ..site.clone()
        });
        let (stacks, sites) = (
            first_equal(&self.tables.stacks),
            first_equal(&sites.collect::<Vec<_>>()),
        );
        let mut notes = Notes::default();
        for row in &self.tasks.rows {
            let does = self.doings[row.stack_key as usize].does;
            let key = Key {
                stack: stacks[row.stack_key as usize],
                labels: self.tasks.labels_of(row.id),
                site: sites.get(row.site as usize).copied(),
                does,
                flags: row.flags,
                stands_still: self.stands_still(row),
            };
            let index = *known.entry(key).or_insert_with(|| {
                groups.push(Tasks {
                    first: row,
                    count: 0,
                    longest: Vec::new(),
                    notes: self.notes(row),
                });
                groups.len() - 1
            });
            let group = &mut groups[index];
            if group.count > 0 && !group.notes.is_empty() {
                notes.clear();
                self.add_notes(&mut notes, row);
                group
                    .notes
                    .retain(|note| notes.iter().any(|other| other == note));
            }
            group.count += 1;
            if group.longest.len() < LONGEST {
                group.longest.push((row.id, row.since_ns));
            }
        }
        groups
    }
}

/// Tasks whose blocks are equal.
struct Tasks<'r> {
    /// The task that has been longest in its state: rows are in that order.
    first: &'r Row,
    count: u64,
    longest: Vec<(u64, u64)>,
    /// The notes that all of them share.
    notes: Vec<String>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    stack: usize,
    labels: LabelSet,
    site: Option<usize>,
    does: Does,
    flags: Flags,
    stands_still: bool,
}

/// For each element, the index of the first equal one.
pub(super) fn first_equal<T: Eq + std::hash::Hash>(all: &[T]) -> Vec<usize> {
    let mut first = HashMap::new();
    let indices = all.iter().enumerate();
    indices
        .map(|(index, one)| *first.entry(one).or_insert(index))
        .collect()
}
