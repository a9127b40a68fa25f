//! Aligned columns, by the rule of Go's `text/tabwriter` with the parameters of Go's profiles: minimal width 1, tab
//! width 8, padding 1, padded with tabs.
//!
//! A cell belongs to a column if a tab ends the cell, so the last cell of a line belongs to no column. A column
//! consists of consecutive lines that have it. Its width is its longest cell plus one, rounded up to a multiple of 8.

/// The distance of tab stops.
const TAB_WIDTH: usize = 8;

/// Appends the lines, with tabs between their cells.
pub(crate) fn push_aligned(out: &mut Vec<u8>, lines: &[Vec<String>]) {
    let widths = widths(lines);
    for (line, widths) in lines.iter().zip(&widths) {
        for (column, cell) in line.iter().enumerate() {
            out.extend_from_slice(cell.as_bytes());
            if let Some(width) = widths.get(column) {
                let tabs = (width - cell.chars().count()).div_ceil(TAB_WIDTH);
                out.resize(out.len() + tabs, b'\t');
            }
        }
        out.push(b'\n');
    }
}

/// The widths of the columns of each line.
fn widths(lines: &[Vec<String>]) -> Vec<Vec<usize>> {
    let columns = |line: &Vec<String>| line.len().saturating_sub(1);
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; columns(line)]).collect();
    for column in 0..lines.iter().map(columns).max().unwrap_or(0) {
        let mut start = 0;
        for run in lines.chunk_by(|a, b| (columns(a) > column) == (columns(b) > column)) {
            let longest = run
                .iter()
                .filter(|line| columns(line) > column)
                .map(|line| line[column].chars().count())
                .max();
            if let Some(longest) = longest {
                let width = (longest + 1).next_multiple_of(TAB_WIDTH);
                widths[start..start + run.len()]
                    .iter_mut()
                    .for_each(|line| line[column] = width);
            }
            start += run.len();
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(lines: &[&[&str]]) -> String {
        let lines: Vec<Vec<String>> = lines
            .iter()
            .map(|line| line.iter().map(|cell| (*cell).to_owned()).collect())
            .collect();
        let mut out = Vec::new();
        push_aligned(&mut out, &lines);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        assert_eq!(
            aligned(&[
                &["#", "0x1", "a", "x.rs:1"],
                &["#", "0x1234567", "eightcol", "y.rs:2"]
            ]),
            "#\t0x1\t\ta\t\tx.rs:1\n#\t0x1234567\teightcol\ty.rs:2\n"
        );
    }

    #[test]
    fn a_line_without_the_column_ends_it() {
        assert_eq!(
            aligned(&[
                &["#", "0x1", "a", "x"],
                &["#", "0x2"],
                &["#", "0x12345678", "b", "y"]
            ]),
            "#\t0x1\ta\tx\n#\t0x2\n#\t0x12345678\tb\ty\n"
        );
    }

    #[test]
    fn width_counts_characters() {
        assert_eq!(
            aligned(&[&["éééééé", "x"], &["1234567", "y"]]),
            "éééééé\tx\n1234567\ty\n"
        );
    }
}
