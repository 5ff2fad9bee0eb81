//! The rows of a table, with the numbers of their lines.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::json;
use super::line::Line;
use crate::data::DatasetError;

/// Every row that is not empty, the header too.
pub(super) fn lines(table: &Path, bytes: &[u8]) -> Result<Vec<Line>, DatasetError> {
    if json::is_name(table) {
        return json::lines(table, bytes);
    }
    let refused =
        |line: u64, reason: &str| DatasetError::Table { path: table.to_owned(), line, reason: reason.to_owned() };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(refused(1, "the table is UTF-16; save it as CSV with UTF-8"));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter(bytes))
        .from_reader(bytes);
    let (mut counter, mut lines) = (LineCounter::new(bytes), Vec::new());
    for record in reader.byte_records() {
        let position = |position: Option<&csv::Position>| position.map_or(0, |at| at.byte() as usize);
        let record = record
            .map_err(|error| refused(counter.line(position(error.position())), "the line is not one of a CSV table"))?;
        let number = counter.line(position(record.position()));
        let record = StringRecord::from_byte_record(record)
            .map_err(|_| refused(number, "the line is not UTF-8 text; save the table as CSV with UTF-8"))?;
        if record.iter().any(|field| !field.is_empty()) {
            lines.push(Line { number, record });
        }
    }
    Ok(lines)
}

/// The separator of the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|separator| line.contains(separator)).unwrap_or(b',')
}

/// Counts lines up to positions that rise. A line ends in LF, CR LF, or CR alone.
struct LineCounter<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl<'b> LineCounter<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    /// The line of the first byte from this position on that ends no line: a record's position may be the end of the line
    /// before it.
    fn line(&mut self, position: usize) -> u64 {
        let ends = |at: usize| matches!(self.bytes.get(at), Some(b'\n' | b'\r'));
        let mut target = position.min(self.bytes.len());
        while ends(target) {
            target += 1;
        }
        while self.at < target {
            let next = self.bytes.get(self.at + 1);
            self.line += u64::from(match self.bytes[self.at] {
                b'\n' => true,
                b'\r' => next != Some(&b'\n'),
                _ => false,
            });
            self.at += 1;
        }
        self.line
    }
}
