//! Cells in columns.

use super::colour::{Paint, Palette};
use super::text::columns;

/// What a table is drawn for.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Sizes to the byte and times to the second.
    pub(super) exact: bool,
    pub(super) palette: Palette,
}

/// A cell: words, each with its paint.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell(Vec<(Paint, String)>);

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self::painted(Paint::Plain, text)
    }

    pub(super) fn painted(paint: Paint, text: impl Into<String>) -> Self {
        Self(vec![(paint, text.into())])
    }

    pub(super) fn and(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.0.push((paint, text.into()));
        self
    }

    fn columns(&self) -> usize {
        self.0.iter().map(|(_, text)| columns(text)).sum()
    }
}

/// A column: how many blanks are before it, and on which side its cells are aligned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) gap: usize,
    pub(super) right: bool,
}

impl Column {
    pub(super) fn left(gap: usize) -> Self {
        Self { gap, right: false }
    }

    pub(super) fn right(gap: usize) -> Self {
        Self { gap, right: true }
    }
}

/// The columns of the terminal that a grid takes. A row may be shorter than others; then its last cell may reach into the
/// next columns.
pub(super) fn width(grid: &[Column], rows: &[Vec<Cell>]) -> usize {
    widths(grid, rows).iter().zip(grid).map(|(width, column)| width + column.gap).sum()
}

fn widths(grid: &[Column], rows: &[Vec<Cell>]) -> Vec<usize> {
    let spills = |row: &Vec<Cell>, index: usize| index + 1 == row.len() && row.len() < grid.len();
    let cell =
        |row: &Vec<Cell>, index| row.get(index).filter(|_| !spills(row, index)).map_or(0, Cell::columns);
    (0..grid.len()).map(|index| rows.iter().map(|row| cell(row, index)).max().unwrap_or(0)).collect()
}

/// The rows as lines, without blanks at their ends.
pub(super) fn lines(grid: &[Column], rows: &[Vec<Cell>], palette: Palette) -> Vec<String> {
    let widths = widths(grid, rows);
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        let mut blanks = 0;
        for ((column, cell), width) in grid.iter().zip(row).zip(&widths) {
            let rest = width.saturating_sub(cell.columns());
            blanks += column.gap + if column.right { rest } else { 0 };
            for (paint, text) in cell.0.iter().filter(|(_, text)| !text.is_empty()) {
                line.push_str(&" ".repeat(std::mem::take(&mut blanks)));
                line.push_str(&palette.paint(*paint, text));
            }
            blanks += if column.right { 0 } else { rest };
        }
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_aligned_and_nothing_follows_them() {
        let grid = [Column::left(0), Column::right(2), Column::left(1)];
        let rows = [
            vec![Cell::new("name"), Cell::new("size"), Cell::new("on")],
            vec![Cell::new("日"), Cell::new("1"), Cell::new("x")],
            vec![Cell::new("a folder/")],
            vec![Cell::new("a").and(Paint::Red, "!"), Cell::new("10000"), Cell::new("")],
        ];
        let expected = ["name   size on", "日        1 x", "a folder/", "a!    10000"];
        assert_eq!(lines(&grid, &rows, Palette::OFF), expected);
        assert_eq!(width(&grid, &rows), 14);
        assert_eq!(lines(&grid, &rows, Palette::ON)[3], "a\x1b[1;31m!\x1b[0m    10000");
    }
}
