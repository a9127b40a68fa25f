//! The messages of pprof's `profile.proto`.
//!
//! The messages are written by hand: eight small messages that have not changed in years do not justify a protobuf
//! compiler in every build. Strings are indices into [`Profile::string_table`]. Ids are chosen by the writer and are
//! never 0.

/// A profile: samples, and the tables that they point into.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Profile {
    /// The meanings of the values of each sample, in their order.
    #[prost(message, repeated, tag = "1")]
    pub sample_type: Vec<ValueType>,
    /// The samples.
    #[prost(message, repeated, tag = "2")]
    pub sample: Vec<Sample>,
    /// Mappings of the process, the main binary first.
    #[prost(message, repeated, tag = "3")]
    pub mapping: Vec<Mapping>,
    /// Locations that samples refer to.
    #[prost(message, repeated, tag = "4")]
    pub location: Vec<Location>,
    /// Functions that locations refer to.
    #[prost(message, repeated, tag = "5")]
    pub function: Vec<Function>,
    /// All strings; the first is empty.
    #[prost(string, repeated, tag = "6")]
    pub string_table: Vec<String>,
    /// A regular expression of frames to drop, with all frames that they call.
    #[prost(int64, tag = "7")]
    pub drop_frames: i64,
    /// A regular expression of frames to keep although `drop_frames` matches.
    #[prost(int64, tag = "8")]
    pub keep_frames: i64,
    /// The time of the profile, in nanoseconds since 1970.
    #[prost(int64, tag = "9")]
    pub time_nanos: i64,
    /// The length of the collection, in nanoseconds.
    #[prost(int64, tag = "10")]
    pub duration_nanos: i64,
    /// The thing that the period counts.
    #[prost(message, optional, tag = "11")]
    pub period_type: Option<ValueType>,
    /// The number of events that one sample stands for.
    #[prost(int64, tag = "12")]
    pub period: i64,
    /// Free text.
    #[prost(int64, repeated, tag = "13")]
    pub comment: Vec<i64>,
    /// The sample type that is shown first.
    #[prost(int64, tag = "14")]
    pub default_sample_type: i64,
    /// The URL of the profile's documentation.
    #[prost(int64, tag = "15")]
    pub doc_url: i64,
}

/// The meaning of a value.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ValueType {
    /// The counted thing (`goroutine`, `delay`).
    #[prost(int64, tag = "1")]
    pub r#type: i64,
    /// The unit (`count`, `nanoseconds`).
    #[prost(int64, tag = "2")]
    pub unit: i64,
}

/// The values of one stack.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sample {
    /// Ids of the locations, leaf first.
    #[prost(uint64, repeated, tag = "1")]
    pub location_id: Vec<u64>,
    /// One value for each sample type.
    #[prost(int64, repeated, tag = "2")]
    pub value: Vec<i64>,
    /// The labels that distinguish this sample from others of the same stack.
    #[prost(message, repeated, tag = "3")]
    pub label: Vec<Label>,
}

/// One label of a sample, a text or a number.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Label {
    /// The name of the label.
    #[prost(int64, tag = "1")]
    pub key: i64,
    /// The text.
    #[prost(int64, tag = "2")]
    pub str: i64,
    /// The number.
    #[prost(int64, tag = "3")]
    pub num: i64,
    /// The unit of the number.
    #[prost(int64, tag = "4")]
    pub num_unit: i64,
}

/// A part of a file that the process has mapped.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Mapping {
    /// A unique id, not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The first address.
    #[prost(uint64, tag = "2")]
    pub memory_start: u64,
    /// The first address after the mapping.
    #[prost(uint64, tag = "3")]
    pub memory_limit: u64,
    /// The offset of the first address in the file.
    #[prost(uint64, tag = "4")]
    pub file_offset: u64,
    /// The path of the file.
    #[prost(int64, tag = "5")]
    pub filename: i64,
    /// The build id of the file.
    #[prost(int64, tag = "6")]
    pub build_id: i64,
    /// Whether the mapping's locations have functions.
    #[prost(bool, tag = "7")]
    pub has_functions: bool,
    /// Whether the mapping's locations have files.
    #[prost(bool, tag = "8")]
    pub has_filenames: bool,
    /// Whether the mapping's locations have lines.
    #[prost(bool, tag = "9")]
    pub has_line_numbers: bool,
    /// Whether the mapping's locations have inlined functions.
    #[prost(bool, tag = "10")]
    pub has_inline_frames: bool,
}

/// One address.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Location {
    /// A unique id, not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The mapping that contains the location.
    #[prost(uint64, tag = "2")]
    pub mapping_id: u64,
    /// The address of the call.
    #[prost(uint64, tag = "3")]
    pub address: u64,
    /// Inlined functions innermost first, the physical function last.
    #[prost(message, repeated, tag = "4")]
    pub line: Vec<Line>,
    /// Whether several locations were folded into this one.
    #[prost(bool, tag = "5")]
    pub is_folded: bool,
}

/// One function at one source line.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Line {
    /// The function.
    #[prost(uint64, tag = "1")]
    pub function_id: u64,
    /// 1-based; 0 where unknown.
    #[prost(int64, tag = "2")]
    pub line: i64,
    /// 1-based; 0 where unknown.
    #[prost(int64, tag = "3")]
    pub column: i64,
}

/// One function.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Function {
    /// A unique id, not 0.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The readable name.
    #[prost(int64, tag = "2")]
    pub name: i64,
    /// The name in the symbol table.
    #[prost(int64, tag = "3")]
    pub system_name: i64,
    /// The path of the source file.
    #[prost(int64, tag = "4")]
    pub filename: i64,
    /// The line of the function's begin; 0 where unknown.
    #[prost(int64, tag = "5")]
    pub start_line: i64,
}

impl Profile {
    /// The string at an index of the table; empty if the index is out of range.
    pub fn string(&self, index: i64) -> &str {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.string_table.get(index))
            .map_or("", String::as_str)
    }
}
