//! The cost of sampling allocators, and of labels: against the same program with the inner allocator, or without
//! labels.

use crate::Error;
use crate::budget::Budget;
use crate::comparison::{self, Row, Runner};
use crate::contestant::{Absent, Field, Role};
use crate::options::Options;
use crate::workload::Workload;

/// The text above the table.
pub const EXPLANATION: &str = "\
Programs that differ in their global allocator: the system's, the probe's around it, dial9's around it (liveset on), jemalloc \
without and with its profiling (`lg_prof_sample:19`); each with a sample for each 512 KiB. Each process has had a second thread, and its blocks lie elsewhere \
in each run. `malloc` allocates and frees 64 bytes among 64 others, `json` parses, changes and writes small documents. `sample` \
allocates and frees 64 bytes twenty calls deep, with each allocation sampled. `label` polls a future, without labels and with two: each poll puts them in force and takes them out again.";

/// The system's allocator.
const BARE: &str = "heap-system";
const OURS: &str = "heap-probe";
const JEMALLOC: &str = "heap-jemalloc";

const WORKLOADS: [Workload; 3] = [
    Workload::one_cpu("malloc", 20_000_000, Some(Budget::MALLOC)),
    Workload::one_cpu("json", 200_000, Some(Budget::ALLOCATING)),
    Workload::one_cpu("sample", 200_000, Some(Budget::SAMPLE)),
];
const LABEL: Workload = Workload::one_cpu("label", 2_000_000, Some(Budget::LABEL));

/// The variable that switches labels on in the contestant.
const LABELS: &str = "CONTESTANT_LABELS";

/// Runs them in a changing order. An allocator that does not build is absent.
pub fn run(field: &Field, options: &Options) -> Result<(Vec<Row>, Vec<Absent>), Error> {
    let of_heap = |role| role == Role::Allocator;
    let built = || field.built.iter().filter(|one| of_heap(one.entry.role));
    let absent = field.absent.iter().filter(|one| of_heap(one.entry.role));
    let mut rows = Vec::new();
    for workload in &WORKLOADS {
        let sampled = workload.name == "sample";
        let runners: Vec<Runner<'_>> = built()
            .filter(|one| !sampled || [BARE, OURS].contains(&one.name()))
            .map(|one| Runner {
                name: one.name().to_owned(),
                program: &one.program,
                setting: None,
                against: match one.name() {
                    BARE | JEMALLOC => None,
                    "heap-jemalloc-prof" => Some(JEMALLOC.to_owned()),
                    _ => Some(BARE.to_owned()),
                },
                budget: workload.budget.filter(|_| one.name() == OURS),
            })
            .collect();
        rows.extend(comparison::in_turns(workload, &runners, options)?);
    }
    let ours = built().find(|one| one.name() == OURS).ok_or("no probe")?;
    let labels = |name: &str, against: Option<&str>| Runner {
        name: name.to_owned(),
        program: &ours.program,
        setting: against.map(|_| (LABELS, "1".to_owned())),
        against: against.map(str::to_owned),
        budget: LABEL.budget.filter(|_| against.is_some()),
    };
    let runners = [
        labels("without", None),
        labels("two labels", Some("without")),
    ];
    rows.extend(comparison::in_turns(&LABEL, &runners, options)?);
    Ok((rows, absent.cloned().collect()))
}
