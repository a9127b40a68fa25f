//! Builds a `profile.proto`: the tables of strings, functions, locations and mappings, and the samples.
//!
//! These rules are the same for every profile, because pprof depends on them:
//!
//! 1. Every location MUST belong to a mapping whose functions are marked as present. Otherwise pprof looks for the
//!    binary to symbolize it again, and complains if it finds none. The profile already has all symbols that the
//!    process has.
//! 2. A function's `system_name` MUST differ from its name, so it is empty. Otherwise pprof takes the name for C++ and
//!    removes text in angle brackets: `<TcpStream as AsyncRead>::poll_read` would become `::poll_read`.
//! 3. Locations MUST have distinct addresses, none of them 0. Otherwise pprof merges them when it adds or compares
//!    profiles.

use std::collections::HashMap;

use crate::profile::address_list::{AddressList, call_address};
use crate::profile::count::CountProfile;
use crate::profile::labels::borrowed;
use crate::profile::proto;
use crate::stack::{Frame, Location, Mapping};

/// The meaning of a value: the counted thing and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure<'a> {
    /// The counted thing (`goroutine`, `delay`).
    pub kind: &'a str,
    /// The unit (`count`, `nanoseconds`).
    pub unit: &'a str,
}

/// Collects samples and turns them into a profile.
///
/// ```
/// use runtime_dump::profile::address_list::AddressList;
/// use runtime_dump::profile::builder::{Measure, ProfileBuilder};
/// use runtime_dump::stack::Stack;
///
/// let contentions = Measure { kind: "contentions", unit: "count" };
/// let delay = Measure { kind: "delay", unit: "nanoseconds" };
/// let mut builder = ProfileBuilder::new(&[], &[contentions, delay]).period(contentions, 1);
/// builder.add(&AddressList::of(&Stack::default()), &[1, 250]);
/// builder.add(&AddressList::of(&Stack::default()), &[1, 750]);
/// assert_eq!(builder.build().sample[0].value, [2, 1000]);
/// ```
#[derive(Debug)]
pub struct ProfileBuilder<'t> {
    mappings: &'t [Mapping],
    profile: proto::Profile,
    strings: HashMap<String, i64>,
    /// The functions, by the indices of name and file.
    functions: HashMap<(i64, i64), u64>,
    /// The locations, by call address.
    locations: HashMap<u64, u64>,
    /// The index of each sample, by the ids of its locations and its labels.
    samples: HashMap<(Vec<u64>, Labels), usize>,
}

/// Labels as key, text and number. Keys and texts are indices of strings.
type Labels = Vec<(i64, i64, i64)>;

/// The value of a label of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelValue<'a> {
    /// A word, for `-tagfocus=key=word`.
    Text(&'a str),
    /// A number without a unit.
    Number(i64),
}

impl<'t> ProfileBuilder<'t> {
    /// Starts a profile without samples. Each sample will have one value for each measure.
    pub fn new(mappings: &'t [Mapping], measures: &[Measure<'_>]) -> Self {
        let mut builder = Self {
            mappings,
            profile: proto::Profile::default(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            samples: HashMap::new(),
        };
        builder.string("");
        builder.profile.sample_type = measures
            .iter()
            .map(|measure| builder.value_type(*measure))
            .collect();
        for mapping in mappings {
            builder.push_mapping(mapping);
        }
        if mappings.is_empty() {
            let unknown = Mapping {
                start: 0,
                limit: 0,
                offset: 0,
                file: String::new(),
                build_id: String::new(),
            };
            builder.push_mapping(&unknown);
        }
        builder
    }

    /// Sets the number of events that one sample stands for.
    #[must_use]
    pub fn period(mut self, measure: Measure<'_>, period: i64) -> Self {
        self.profile.period_type = Some(self.value_type(measure));
        self.profile.period = period;
        self
    }

    /// Sets the time of the profile, or of its start if it took a while, in nanoseconds since 1970.
    #[must_use]
    pub fn time_ns(mut self, time_ns: i64) -> Self {
        self.profile.time_nanos = time_ns;
        self
    }

    /// Sets the length of the collection. Only profiles of a span of time have one.
    #[must_use]
    pub fn duration_ns(mut self, duration_ns: i64) -> Self {
        self.profile.duration_nanos = duration_ns;
        self
    }

    /// Sets the kind of the measure that pprof shows first. The default is the last measure.
    #[must_use]
    pub fn default_kind(mut self, kind: &str) -> Self {
        self.profile.default_sample_type = self.string(kind);
        self
    }

    /// Adds a remark on the whole profile, which `go tool pprof -comments` shows.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        let text = self.string(text);
        self.profile.comment.push(text);
        self
    }

    /// Adds a sample. If a sample with the same addresses exists, the values are added to it. Surplus values are
    /// ignored, missing ones are 0.
    pub fn add(&mut self, list: &AddressList, values: &[i64]) {
        self.add_labeled(list, values, &[]);
    }

    /// Adds a sample with labels, by which pprof can filter and split (`-tagfocus`, `-tagroot`). Samples with different
    /// labels are kept apart.
    pub fn add_labeled(&mut self, list: &AddressList, values: &[i64], labels: &[(&str, &str)]) {
        let labels: Vec<(&str, LabelValue)> = labels
            .iter()
            .map(|(key, value)| (*key, LabelValue::Text(value)))
            .collect();
        self.add_with(list, values, &labels);
    }

    /// Adds a sample with labels whose values may be numbers.
    pub fn add_with(
        &mut self,
        list: &AddressList,
        values: &[i64],
        labels: &[(&str, LabelValue<'_>)],
    ) {
        let ids = self.locations(list);
        let labels = labels
            .iter()
            .map(|(key, value)| match value {
                LabelValue::Text(text) => (self.string(key), self.string(text), 0),
                LabelValue::Number(number) => (self.string(key), 0, *number),
            })
            .collect();
        let samples = &mut self.profile.sample;
        let index = *self
            .samples
            .entry((ids, labels))
            .or_insert_with_key(|(ids, labels)| {
                let value = vec![0; self.profile.sample_type.len()];
                samples.push(proto::Sample {
                    location_id: ids.clone(),
                    value,
                    label: labels
                        .iter()
                        .map(|(key, str, num)| proto::Label {
                            key: *key,
                            str: *str,
                            num: *num,
                            ..proto::Label::default()
                        })
                        .collect(),
                });
                samples.len() - 1
            });
        for (sum, value) in samples[index].value.iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
    }

    /// Returns the profile.
    pub fn build(self) -> proto::Profile {
        self.profile
    }

    fn push_mapping(&mut self, mapping: &Mapping) {
        let mapping = proto::Mapping {
            id: self.profile.mapping.len() as u64 + 1,
            memory_start: mapping.start,
            memory_limit: mapping.limit,
            file_offset: mapping.offset,
            filename: self.string(&mapping.file),
            build_id: self.string(&mapping.build_id),
            has_functions: true,
            ..proto::Mapping::default()
        };
        self.profile.mapping.push(mapping);
    }

    /// The ids of the locations of a list.
    pub(crate) fn locations(&mut self, list: &AddressList) -> Vec<u64> {
        list.locations()
            .iter()
            .map(|location| self.location(location))
            .collect()
    }

    fn location(&mut self, location: &Location) -> u64 {
        let address = call_address(location);
        if let Some(id) = self.locations.get(&address) {
            return *id;
        }
        let line: Vec<proto::Line> = location
            .frames
            .iter()
            .map(|frame| self.line(frame))
            .collect();
        let index = self.mapping_index(address);
        let mapping = &mut self.profile.mapping[index];
        mapping.has_filenames |= location.frames.iter().any(|frame| !frame.file.is_empty());
        mapping.has_line_numbers |= location.frames.iter().any(|frame| frame.line > 0);
        mapping.has_inline_frames |= line.len() > 1;
        let mapping_id = mapping.id;

        let id = self.profile.location.len() as u64 + 1;
        self.profile.location.push(proto::Location {
            id,
            mapping_id,
            address,
            line,
            is_folded: false,
        });
        self.locations.insert(address, id);
        id
    }

    /// The mapping of an address. The first mapping counts for addresses outside of all, which are mostly synthetic.
    fn mapping_index(&self, address: u64) -> usize {
        self.mappings
            .iter()
            .position(|mapping| (mapping.start..mapping.limit).contains(&address))
            .unwrap_or(0)
    }

    fn line(&mut self, frame: &Frame) -> proto::Line {
        let name = self.string(&frame.function);
        let filename = self.string(&frame.file);
        let functions = &mut self.profile.function;
        let function_id = *self.functions.entry((name, filename)).or_insert_with(|| {
            let id = functions.len() as u64 + 1;
            functions.push(proto::Function {
                id,
                name,
                filename,
                ..proto::Function::default()
            });
            id
        });
        proto::Line {
            function_id,
            line: frame.line.into(),
            column: 0,
        }
    }

    fn value_type(&mut self, measure: Measure<'_>) -> proto::ValueType {
        proto::ValueType {
            r#type: self.string(measure.kind),
            unit: self.string(measure.unit),
        }
    }

    /// The index of a string.
    pub(crate) fn string(&mut self, text: &str) -> i64 {
        if let Some(index) = self.strings.get(text) {
            return *index;
        }
        let index = self.profile.string_table.len() as i64;
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text.to_owned(), index);
        index
    }
}

impl CountProfile {
    /// Converts the profile to its binary form.
    pub fn to_profile(&self, mappings: &[Mapping], time_ns: i64) -> proto::Profile {
        let mut builder = self.builder(mappings).time_ns(time_ns);
        for group in self.stacks().groups() {
            let values = [signed(group.values)];
            builder.add_labeled(&group.list, &values, &borrowed(&group.key.1));
        }
        builder.build()
    }

    fn builder<'t>(&self, mappings: &'t [Mapping]) -> ProfileBuilder<'t> {
        let measure = Measure {
            kind: self.name(),
            unit: "count",
        };
        let builder = ProfileBuilder::new(mappings, &[measure]).period(measure, 1);
        self.stacks().remark(builder)
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
