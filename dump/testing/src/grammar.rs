//! Parsers of the two texts, written from their grammar and independent of the encoders. They also parse Go's own texts
//! (see `go_grammar.rs`), so they accept Go's real format.

/// A parsed block of a goroutine dump.
#[derive(Debug, Default)]
pub struct Block {
    pub id: u64,
    /// The first part of the brackets, with Go's addition in parentheses.
    pub state: String,
    pub minutes: Option<u64>,
    pub locked_to_thread: bool,
    pub frames: Vec<FrameText>,
    /// The index of the frame after the gap, and the number of frames left out.
    pub elided: Option<(usize, u64)>,
    pub created_by: Option<CreatedBy>,
    /// The lines above the header.
    pub remarks: Vec<String>,
}

#[derive(Debug)]
pub struct FrameText {
    pub function: String,
    pub arguments: String,
    pub position: Position,
}

#[derive(Debug)]
pub struct CreatedBy {
    pub function: String,
    pub parent: Option<u64>,
    pub position: Position,
}

#[derive(Debug)]
pub struct Position {
    pub file: String,
    pub line: u64,
    pub offset: Option<u64>,
}

/// A parsed count profile.
#[derive(Debug)]
pub struct Counts {
    pub name: String,
    pub total: u64,
    pub groups: Vec<CountGroup>,
}

#[derive(Debug)]
pub struct CountGroup {
    pub count: u64,
    /// The return addresses, as in the text.
    pub addresses: Vec<u64>,
    /// The cells of the comments after `#`.
    pub comments: Vec<Vec<String>>,
}

/// Parses a goroutine dump: `block { "\n" block }`. A dump without blocks may have lines that begin with `# `.
pub fn read_goroutines(text: &str) -> Result<Vec<Block>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let text = text
        .strip_suffix('\n')
        .ok_or("the last line does not end")?;
    if text.split('\n').all(|line| line.starts_with("# ")) {
        return Ok(Vec::new());
    }
    text.split("\n\n")
        .map(|block| read_block(block).map_err(|error| format!("{error} in block:\n{block}")))
        .collect()
}

/// Parses a count profile, as strictly as pprof's parser.
pub fn read_counts(text: &str) -> Result<Counts, String> {
    let text = text
        .strip_suffix('\n')
        .ok_or("the last line does not end")?;
    if let Some(line) = text.split('\n').find(|line| line.len() > 64 << 10) {
        return Err(format!("a line of {} bytes", line.len()));
    }
    let (header, mut groups) = text.split_once('\n').unwrap_or((text, ""));
    // Remarks on the whole profile begin with `# `. The frames of a group begin with `#` and a tab.
    while groups.starts_with("# ") {
        groups = groups.split_once('\n').unwrap_or_default().1;
    }
    let (name, total) = header
        .split_once(" profile: total ")
        .ok_or_else(|| format!("header {header:?}"))?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("name {name:?}"));
    }
    let groups: Result<Vec<CountGroup>, String> = groups
        .split_terminator("\n\n")
        .map(|group| read_group(group.trim_end_matches('\n')))
        .collect();
    let groups = groups?;
    let order = |group: &CountGroup| {
        let key: Vec<String> = group
            .addresses
            .iter()
            .map(|address| format!("{address:#x}"))
            .collect();
        (std::cmp::Reverse(group.count), key.join(" "))
    };
    if !groups.is_sorted_by_key(order) {
        return Err("groups are not in order".to_owned());
    }
    Ok(Counts {
        name: name.to_owned(),
        total: decimal(total)?,
        groups,
    })
}

fn read_block(text: &str) -> Result<Block, String> {
    let mut block = Block::default();
    let mut lines = text.split('\n').peekable();
    while let Some(remark) = lines.next_if(|line| line.starts_with("# ")) {
        block.remarks.push(remark.to_owned());
    }
    read_header(lines.next().ok_or("no header")?, &mut block)?;
    if lines
        .next_if_eq(&"\tgoroutine running on other thread; stack unavailable")
        .is_some()
    {
        // Go appends this word to a goroutine that it did not stop.
    }
    while let Some(line) = lines.next() {
        if let Some((function, arguments)) = as_frame(line) {
            let position = read_position(lines.next())?;
            block.frames.push(FrameText {
                function: function.to_owned(),
                arguments: arguments.to_owned(),
                position,
            });
        } else if let Some(number) = between(line, "...", " frames elided...") {
            if block
                .elided
                .replace((block.frames.len(), decimal(number)?))
                .is_some()
            {
                return Err("two gaps".to_owned());
            }
        } else if let Some(created) = line.strip_prefix("created by ") {
            let (function, parent) = match created.rsplit_once(" in goroutine ") {
                Some((function, parent)) => (function, Some(decimal(parent)?)),
                None => (created, None),
            };
            not_empty(function)?;
            let position = read_position(lines.next())?;
            block.created_by = Some(CreatedBy {
                function: function.to_owned(),
                parent,
                position,
            });
            if let Some(line) = lines.next() {
                return Err(format!("line {line:?} below `created by`"));
            }
        } else {
            return Err(format!("line {line:?}"));
        }
    }
    Ok(block)
}

fn read_header(line: &str, block: &mut Block) -> Result<(), String> {
    let error = || format!("header {line:?}");
    let (id, rest) = line
        .strip_prefix("goroutine ")
        .and_then(|rest| rest.split_once(" ["))
        .ok_or_else(error)?;
    block.id = decimal(id)?;
    let (brackets, labels) = rest
        .strip_suffix(':')
        .and_then(|rest| rest.split_once(']'))
        .ok_or_else(error)?;
    if !(labels.is_empty() || between(labels, " {", "}").is_some()) {
        return Err(error());
    }
    let (mut state, mut locked, mut minutes) = (brackets, false, None);
    if let Some(rest) = state.strip_suffix(", locked to thread") {
        (state, locked) = (rest, true);
    }
    if let Some((rest, number)) = state
        .strip_suffix(" minutes")
        .and_then(|rest| rest.rsplit_once(", "))
    {
        (state, minutes) = (rest, Some(decimal(number)?));
    }
    if state.is_empty() || minutes == Some(0) {
        return Err(error());
    }
    (block.state, block.locked_to_thread, block.minutes) = (state.to_owned(), locked, minutes);
    Ok(())
}

/// Parses `FUNC "(" args ")"`. Go's names contain parentheses (`main.(*Server).run`), its arguments do not.
fn as_frame(line: &str) -> Option<(&str, &str)> {
    let (function, arguments) = line.strip_suffix(')')?.rsplit_once('(')?;
    let argument = |c: char| c.is_ascii_hexdigit() || "x{}_.,? ".contains(c);
    (!function.is_empty() && arguments.chars().all(argument)).then_some((function, arguments))
}

/// Parses `TAB FILE ":" LINE [" +0x" HEXOFF]`.
fn read_position(line: Option<&str>) -> Result<Position, String> {
    let line = line.ok_or("a frame without a position")?;
    let rest = line
        .strip_prefix('\t')
        .ok_or_else(|| format!("position {line:?}"))?;
    // A file's name may contain ` +`. An offset is hexadecimal up to the end of the line.
    let (rest, offset) = match rest.rsplit_once(" +") {
        Some((rest, offset)) if hex(offset).is_ok() => (rest, Some(hex(offset)?)),
        _ => (rest, None),
    };
    let (file, number) = rest
        .rsplit_once(':')
        .ok_or_else(|| format!("position {line:?}"))?;
    not_empty(file)?;
    if file.contains('\t') {
        return Err(format!("position {line:?}"));
    }
    Ok(Position {
        file: file.to_owned(),
        line: decimal(number)?,
        offset,
    })
}

fn read_group(text: &str) -> Result<CountGroup, String> {
    let mut lines = text.split('\n');
    let sample = lines.next().unwrap_or_default();
    let (count, addresses) = sample
        .split_once(" @ ")
        .ok_or_else(|| format!("sample {sample:?}"))?;
    let addresses: Result<Vec<u64>, String> = addresses.split(' ').map(hex).collect();
    let comments: Vec<&str> = lines
        .filter(|line| !line.starts_with("# labels: {"))
        .collect();
    for line in &comments {
        if !line.starts_with("#\t0x") {
            return Err(format!("comment {line:?}"));
        }
    }
    let columns: Vec<Vec<(usize, &str)>> = comments.iter().map(|line| columns(line)).collect();
    for pair in columns.windows(2) {
        // A cell starts in the same column as the one above, if both lines have a column before it that a tab ends.
        for (above, below) in pair[0].iter().zip(&pair[1]) {
            if above.0 != below.0 {
                return Err(format!("cells {above:?} and {below:?} are not aligned"));
            }
        }
    }
    let cells = |line: &Vec<(usize, &str)>| {
        line.iter()
            .skip(1)
            .map(|(_, cell)| (*cell).to_owned())
            .collect()
    };
    Ok(CountGroup {
        count: decimal(count)?,
        addresses: addresses?,
        comments: columns.iter().map(cells).collect(),
    })
}

/// The cells of a line, and the terminal columns in which they start.
fn columns(line: &str) -> Vec<(usize, &str)> {
    let mut cells = Vec::new();
    let mut column = 0;
    for part in line.split_inclusive('\t') {
        let cell = part.trim_end_matches('\t');
        if !cell.is_empty() {
            cells.push((column, cell));
        }
        column += cell.chars().count();
        if part.ends_with('\t') {
            column = (column / 8 + 1) * 8;
        }
    }
    cells
}

fn between<'t>(text: &'t str, prefix: &str, suffix: &str) -> Option<&'t str> {
    text.strip_prefix(prefix)?.strip_suffix(suffix)
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("an empty name".to_owned())
    } else {
        Ok(())
    }
}

fn decimal(text: &str) -> Result<u64, String> {
    let number = text.parse().map_err(|_| format!("number {text:?}"))?;
    if text == format!("{number}") {
        Ok(number)
    } else {
        Err(format!("number {text:?}"))
    }
}

fn hex(text: &str) -> Result<u64, String> {
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| format!("number {text:?}"))?;
    let number = u64::from_str_radix(digits, 16).map_err(|_| format!("number {text:?}"))?;
    if text == format!("{number:#x}") {
        Ok(number)
    } else {
        Err(format!("number {text:?}"))
    }
}
