//! What a run measures, written where other programs look for it.

mod crc32c;
mod csv;
mod events;
mod histogram;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use csv::CsvLog;
pub use events::EventLog;
pub use histogram::Histogram;

/// A place that numbers are written to while a run goes on. [`Log::write`] hands each row to the operating system as a
/// whole, so a run that is killed loses none.
#[derive(Debug)]
pub enum Log {
    /// A table, a row for each step that is measured.
    Csv(CsvLog),
    /// Event files for TensorBoard.
    TensorBoard(EventLog),
}

/// Whether a log starts anew or continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStart {
    /// It begins; a table of the same name is replaced.
    New,
    /// It goes on from a checkpoint of this step: what was written of later steps never happened.
    After(u64),
}

/// A log cannot be written.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system refuses.
    #[error("the log {} cannot be written", .path.display())]
    Io {
        /// The log's file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A name that a table's heading cannot carry, or carries twice.
    #[error(
        "`{name}` cannot head a column; names are not empty, not `step`, differ, and have no comma, quote or line break"
    )]
    Column {
        /// The heading that was asked for.
        name: String,
    },
    /// A number without a column.
    #[error("the table {} has no column `{name}`", .path.display())]
    UnknownColumn {
        /// The table's file.
        path: PathBuf,
        /// The column that was asked for.
        name: String,
    },
    /// A table of something else.
    #[error(
        "the table {} has other columns ({found}) than this run ({expected}); move it away or begin a new run",
        .path.display()
    )]
    Heading {
        /// The table's file.
        path: PathBuf,
        /// The heading there.
        found: String,
        /// The heading of this run.
        expected: String,
    },
    /// Not a table of steps.
    #[error(
        "line {line} of the table {} does not begin with a step; move the file away or begin a new run",
        .path.display()
    )]
    Row {
        /// The table's file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
    },
}

impl Log {
    /// Writes the numbers that were measured at a step, by name. Where a log cannot have a number it has none.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn write(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        match self {
            Log::Csv(log) => log.write(step, scalars),
            Log::TensorBoard(log) => log.write(step, scalars),
        }
    }

    /// Writes distributions of a step, by name. A table has none.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn write_histograms(&mut self, step: u64, histograms: &[(String, Histogram)]) -> Result<(), LogError> {
        match self {
            Log::Csv(_) => Ok(()),
            Log::TensorBoard(log) => log.write_histograms(step, histograms),
        }
    }
}

/// Names the file in an error of the file system.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    move |source| LogError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_take_the_same_rows() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("metrics.csv");
        let events = EventLog::create(folder.path(), LogStart::New).unwrap();
        let file = events.path().to_owned();
        let columns = ["train/loss", "rate"];
        let mut logs = [Log::Csv(CsvLog::open(&table, &columns, LogStart::New).unwrap()), Log::TensorBoard(events)];
        let before = std::fs::metadata(&file).unwrap().len();
        for log in &mut logs {
            log.write(7, &[("rate", 0.5), ("train/loss", 0.25)]).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&table).unwrap(), "step,train/loss,rate\n7,0.25,0.5\n");
        // Framing, time, step, the summary's head, and each scalar with its name.
        assert_eq!(std::fs::metadata(&file).unwrap().len() - before, 16 + 9 + 2 + 2 + (9 + 4) + (9 + 10));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let missing = Path::new("no/such/folder");
        let table = CsvLog::open(&missing.join("metrics.csv"), &["loss"], LogStart::New).unwrap_err();
        let events = EventLog::create(missing, LogStart::New).unwrap_err();
        for error in [table, events] {
            assert!(error.to_string().contains("no/such/folder"), "{error}");
        }
    }
}
