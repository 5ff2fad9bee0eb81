//! A row of a table as it stands in the file.

use csv::StringRecord;

/// A row and the line that it begins on, counted from 1.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) record: StringRecord,
}
