//! Text in columns.

use super::style::Style;

/// A table. The last column is not padded.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table. A header that begins with `>` is of a column of numbers, which is aligned to the right.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The table with its first rows only.
    pub(crate) fn first(mut self, rows: usize) -> Self {
        self.rows.truncate(rows);
        self
    }

    pub(crate) fn text(&self, style: Style) -> String {
        let names: Vec<&str> = self
            .header
            .iter()
            .map(|name| name.trim_start_matches('>'))
            .collect();
        let width_of = |column: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.chain([names[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..names.len()).map(width_of).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((column, cell), width) in cells.enumerate().zip(&widths) {
                if column > 0 {
                    line.push_str("  ");
                }
                let room = width.saturating_sub(cell.chars().count());
                let is_number = self.header[column].starts_with('>');
                if is_number {
                    line.extend(std::iter::repeat_n(' ', room));
                }
                line.push_str(cell);
                if !is_number && column + 1 < widths.len() {
                    line.extend(std::iter::repeat_n(' ', room));
                }
            }
            line
        };
        let mut text = style.strong(line(&mut names.iter().copied()).trim_end());
        text.push('\n');
        for row in &self.rows {
            text.push_str(line(&mut row.iter().map(String::as_str)).trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_below_each_other() {
        let mut table = Table::new(&["ID", ">SINCE", "WHERE"]);
        table.push(vec!["7".into(), "2s".into(), "app::f".into()]);
        table.push(vec!["1000".into(), "1.25ms".into(), "g".into()]);
        assert_eq!(
            table.text(Style::NONE),
            "ID     SINCE  WHERE\n7         2s  app::f\n1000  1.25ms  g\n"
        );
    }
}
