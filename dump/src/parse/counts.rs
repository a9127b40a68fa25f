//! Stacks with their counts, as of `debug=1`.

use std::collections::HashMap;
use std::sync::Arc;

use super::ParseError;
use super::unquoted::take_label;
use crate::stack::Frame;

/// A count profile.
#[derive(Clone, Debug)]
pub struct Counts {
    /// The name of the profile: `goroutine`, `threadcreate`, or any other.
    pub name: String,
    /// The number of records, from the first line.
    pub total: i64,
    /// Remarks on the whole profile, without their `# `.
    pub remarks: Vec<String>,
    /// The groups, in the order of the text.
    pub groups: Vec<CountGroup>,
}

/// One stack with its count.
#[derive(Clone, Debug)]
pub struct CountGroup {
    /// The number of records with this stack. Differences have negative numbers, too.
    pub count: i64,
    /// The return addresses of the text, leaf first.
    pub addresses: Vec<u64>,
    /// The labels that distinguish this group from others of the same stack.
    pub labels: Vec<(String, String)>,
    /// The frames from the comments, leaf first. An address without a comment becomes the name of its function.
    pub frames: Arc<[Frame]>,
}

/// Whether a line has the form `NAME profile: total N`.
pub(super) fn is_header(line: &str) -> bool {
    header(line).is_some()
}

fn header(line: &str) -> Option<(&str, i64)> {
    let (name, total) = line.split_once(" profile: total ")?;
    let named = !name.is_empty() && !name.contains(char::is_whitespace);
    Some((name, total.trim_end().parse().ok()?)).filter(|_| named)
}

/// Parses a count profile.
pub(super) fn parse(text: &str) -> Result<Counts, ParseError> {
    let mut lines = text.lines().zip(1_usize..).peekable();
    let (name, total) = lines
        .next()
        .and_then(|(line, _)| header(line))
        .ok_or_else(|| ParseError::NotADump(text.chars().take(60).collect()))?;
    if !text.ends_with('\n') {
        return Err(ParseError::Truncated(
            "the last line does not end".to_owned(),
        ));
    }
    let mut counts = Counts {
        name: name.to_owned(),
        total,
        remarks: Vec::new(),
        groups: Vec::new(),
    };
    let mut names: HashMap<&str, Arc<str>> = HashMap::new();
    while let Some((line, number)) = lines.next() {
        if let Some((count, addresses)) = sample(line) {
            let mut labels = Vec::new();
            let mut frames = Vec::new();
            while let Some((line, _)) = lines.next_if(|(line, _)| line.starts_with('#')) {
                if let Some(text) = line.strip_prefix("# labels: {") {
                    labels = parse_labels(text);
                } else if let Some(cells) = line.strip_prefix("#\t") {
                    frames.push(frame(cells, &mut names));
                }
            }
            if frames.is_empty() {
                frames.extend(addresses.iter().map(|address| unknown(*address)));
            }
            counts.groups.push(CountGroup {
                count,
                addresses,
                labels,
                frames: frames.into(),
            });
        } else if let Some(remark) = line.strip_prefix("# ") {
            counts.remarks.push(remark.to_owned());
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(ParseError::Truncated(format!(
                "line {number} is no stack: {:?}",
                line.chars().take(60).collect::<String>()
            )));
        }
    }
    let sum = counts
        .groups
        .iter()
        .fold(0_i64, |sum, group| sum.saturating_add(group.count));
    // The total of a difference is not the sum of the listed counts.
    let is_difference = counts.groups.iter().any(|group| group.count < 0);
    if sum != total && !is_difference {
        return Err(ParseError::Truncated(format!(
            "of {total} in the first line {sum} are there"
        )));
    }
    Ok(counts)
}

/// Parses `3 @ 0x10 0x20`.
fn sample(line: &str) -> Option<(i64, Vec<u64>)> {
    let (count, addresses) = line.split_once(" @")?;
    let address = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let addresses = addresses
        .split_whitespace()
        .map(address)
        .collect::<Option<_>>()?;
    Some((count.parse().ok()?, addresses))
}

/// Parses `0xADDR <TAB>.. FUNC+0xOFF <TAB>.. FILE:LINE`.
fn frame<'t>(cells: &'t str, names: &mut HashMap<&'t str, Arc<str>>) -> Frame {
    let mut cells = cells.split('\t').filter(|cell| !cell.is_empty());
    let address = cells.next().unwrap_or_default();
    let function = cells.next().unwrap_or(address);
    let function = match function.rsplit_once("+0x") {
        Some((function, offset)) if offset.bytes().all(|byte| byte.is_ascii_hexdigit()) => function,
        _ => function,
    };
    let position = cells.next().unwrap_or_default();
    let (file, line) = position.rsplit_once(':').unwrap_or((position, ""));
    let file = if file == "??" { "" } else { file };
    let mut text = |text: &'t str| names.entry(text).or_insert_with(|| text.into()).clone();
    Frame {
        function: text(function),
        file: text(file),
        line: line.parse().unwrap_or(0),
    }
}

fn unknown(address: u64) -> Frame {
    Frame {
        function: format!("{:#x}", address.saturating_sub(1)).into(),
        file: "".into(),
        line: 0,
    }
}

/// Parses `"k":"v", "k2":"v2"}`.
fn parse_labels(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((key, behind)) = take_label(rest) {
        let Some((value, behind)) = behind.strip_prefix(':').and_then(take_label) else {
            break;
        };
        labels.push((key, value));
        let Some(behind) = behind.strip_prefix(", ") else {
            break;
        };
        rest = behind;
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "goroutine profile: total 4\n# deadlock: two tasks\n3 @ 0x11 0x21\n# labels: {\"k\":\"v\", \"k 2\":\"x\"}\n\
        #\t0x10\tapp::wait+0x2f\t\tsrc/main.rs:7\n#\t0x20\t<A+0xB as C>::f\t\t??:0\n\n1 @ 0x31\n#\t0x30\n\n";

    #[test]
    fn stacks_and_labels_are_read() {
        let remarks = |text: &str| parse(text).unwrap();
        let counts = remarks(TEXT);
        assert_eq!(
            (&*counts.name, counts.total, counts.groups.len()),
            ("goroutine", 4, 2)
        );
        assert_eq!(counts.remarks, ["deadlock: two tasks"]);
        let group = &counts.groups[0];
        assert_eq!((group.count, &*group.addresses), (3, &[0x11, 0x21][..]));
        assert_eq!(group.labels[1], ("k 2".to_owned(), "x".to_owned()));
        assert_eq!(
            (&*group.frames[0].function, group.frames[0].line),
            ("app::wait", 7)
        );
        assert_eq!(
            (&*group.frames[1].function, &*group.frames[1].file),
            ("<A+0xB as C>::f", "")
        );
        assert_eq!(&*counts.groups[1].frames[0].function, "0x30");
    }

    #[test]
    fn a_part_of_it_is_truncated() {
        let cut = TEXT.find("1 @").unwrap();
        assert_eq!(
            parse(&TEXT[..cut]).unwrap_err().to_string(),
            "it is truncated: of 4 in the first line 3 are there"
        );
        assert!(matches!(
            parse(&TEXT[..cut + 2]),
            Err(ParseError::Truncated(_))
        ));
    }
}
