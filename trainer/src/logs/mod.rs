//! What a run measures, written where other programs look for it.

mod crc32c;
mod csv;
mod events;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use csv::CsvLog;
pub use events::EventLog;

/// A place that numbers are written to while a run goes on. [`Log::write`] hands each row to the operating system as a
/// whole, so a run that is killed loses none.
#[derive(Debug)]
pub enum Log {
    /// A table.
    Csv(CsvLog),
    /// Event files for TensorBoard.
    TensorBoard(EventLog),
}

/// Whether a log begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It begins; a table of the same name is replaced.
    New,
    /// It goes on from a checkpoint of this step: what was written of later steps never happened.
    After(u64),
}

/// Why a log cannot be written.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system says no.
    #[error("the log {} cannot be written", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A name that a table's heading cannot carry, or carries twice.
    #[error(
        "`{name}` cannot head a column; names are not empty, not `step`, differ, and have no comma, quote or line break"
    )]
    Column {
        /// The name.
        name: String,
    },
    /// A number without a column.
    #[error("the table {} has no column `{name}`", .path.display())]
    UnknownColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A table of something else.
    #[error("the table {} has other columns ({found}) than this run ({expected}); move it away or begin a new run", .path.display())]
    Heading {
        /// The file.
        path: PathBuf,
        /// The heading there.
        found: String,
        /// The heading of this run.
        expected: String,
    },
    /// Not a table of steps.
    #[error("line {line} of the table {} does not begin with a step; move the file away or begin a new run", .path.display())]
    Row {
        /// The file.
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
}

/// Names the file in an error of the file system.
fn at(path: &Path) -> impl FnOnce(std::io::Error) -> LogError {
    move |source| LogError::Io { path: path.to_owned(), source }
}
