//! The heads of a table's columns.

use super::html::Html;

/// The head of a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    name: &'static str,
    class: Option<&'static str>,
    is_sortable: bool,
    is_descending: bool,
}

impl Column {
    /// A column of text.
    pub(super) const fn text(name: &'static str) -> Self {
        Self {
            name,
            class: None,
            is_sortable: true,
            is_descending: false,
        }
    }

    /// A column of numbers.
    pub(super) const fn number(name: &'static str) -> Self {
        Self {
            class: Some("number"),
            ..Self::text(name)
        }
    }

    /// The column that takes the room that the others leave.
    pub(super) const fn wide(self) -> Self {
        Self {
            class: Some("wide"),
            ..self
        }
    }

    /// The column is no order of the rows, also in a table that a script sorts.
    pub(super) const fn unsorted(self) -> Self {
        Self {
            is_sortable: false,
            ..self
        }
    }

    /// The rows are sorted by the column, the highest value first, if it `applies`.
    pub(super) const fn descending(self, applies: bool) -> Self {
        Self {
            is_descending: applies,
            ..self
        }
    }
}

/// The row of heads.
pub(super) fn heads(html: &mut Html, columns: impl IntoIterator<Item = Column>) {
    html.tag("thead").with(|html| {
        html.tag("tr").with(|html| {
            for column in columns {
                html.tag("th")
                    .attr("scope", "col")
                    .maybe("class", column.class)
                    .maybe("data-unsorted", (!column.is_sortable).then_some(""))
                    .maybe("aria-sort", column.is_descending.then_some("descending"))
                    .text(column.name);
            }
        });
    });
}
