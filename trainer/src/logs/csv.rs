//! A table of numbers, a row a step.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use models::files::write_atomically;

use super::{LogError, LogStart, at};

/// A CSV file (RFC 4180): `step` and a column for each name. A number that was not measured is an empty field.
#[derive(Debug)]
pub struct CsvLog {
    path: PathBuf,
    columns: Vec<String>,
    file: File,
}

impl CsvLog {
    /// Opens the table in its folder, which exists. Going on, rows of later steps and a row that was cut short are
    /// removed, and the file is replaced as a whole so that being killed here loses nothing.
    ///
    /// # Errors
    /// [`LogError::Column`], [`LogError::Heading`], [`LogError::Row`], [`LogError::Io`]; nothing has been written in
    /// the first three.
    pub fn open(path: &Path, columns: &[&str], start: LogStart) -> Result<Self, LogError> {
        check(columns)?;
        let heading = [&["step"], columns].concat().join(",");
        let old = match start {
            LogStart::New => String::new(),
            LogStart::After(_) if !path.exists() => String::new(),
            LogStart::After(_) => fs::read_to_string(path).map_err(at(path))?,
        };
        let kept = kept(path, &old, &heading, start)?;
        write_atomically(path, kept.as_bytes()).map_err(at(path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(at(path))?;
        Ok(Self { path: path.to_owned(), columns: columns.iter().map(|&name| name.to_owned()).collect(), file })
    }

    /// Appends a row, in one piece.
    ///
    /// # Errors
    /// [`LogError::UnknownColumn`], [`LogError::Io`].
    pub fn write(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        if let Some((name, _)) = scalars.iter().find(|(name, _)| !self.columns.iter().any(|column| column == name)) {
            return Err(LogError::UnknownColumn { path: self.path.clone(), name: (*name).to_owned() });
        }
        let field = |column: &String| match scalars.iter().find(|(name, _)| name == column) {
            Some((_, value)) => format!(",{value}"),
            None => ",".to_owned(),
        };
        let fields: String = self.columns.iter().map(field).collect();
        self.file.write_all(format!("{step}{fields}\n").as_bytes()).map_err(at(&self.path))
    }
}

fn check(columns: &[&str]) -> Result<(), LogError> {
    for (index, &name) in columns.iter().enumerate() {
        let wrong = name.is_empty() || name == "step" || name.contains([',', '"', '\n', '\r']);
        if wrong || columns[..index].contains(&name) {
            return Err(LogError::Column { name: name.to_owned() });
        }
    }
    Ok(())
}

/// The heading, and the whole rows that are not later than the checkpoint.
fn kept(path: &Path, old: &str, heading: &str, start: LogStart) -> Result<String, LogError> {
    let mut kept = format!("{heading}\n");
    let whole = &old[..old.rfind('\n').map_or(0, |end| end + 1)];
    let mut lines = whole.lines();
    match lines.next() {
        Some(found) if found != heading => {
            let (found, expected) = (found.to_owned(), heading.to_owned());
            return Err(LogError::Heading { path: path.to_owned(), found, expected });
        }
        _ => {}
    }
    for (index, line) in lines.enumerate() {
        let step = line.split(',').next().and_then(|step| step.parse::<u64>().ok());
        let step = step.ok_or(LogError::Row { path: path.to_owned(), line: index + 2 })?;
        if matches!(start, LogStart::After(last) if step <= last) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 2] = ["loss", "top1"];

    fn written(rows: &[u64], start: LogStart, path: &Path) -> String {
        let mut log = CsvLog::open(path, &COLUMNS, start).unwrap();
        for &step in rows {
            log.write(step, &[("loss", 0.5 / step as f64)]).unwrap();
        }
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_row_has_a_field_for_each_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let mut log = CsvLog::open(&path, &COLUMNS, LogStart::New).unwrap();
        log.write(10, &[("top1", 0.875), ("loss", 0.1)]).unwrap();
        log.write(20, &[("loss", f64::NAN)]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "step,loss,top1\n10,0.1,0.875\n20,NaN,\n");
        let unknown = log.write(30, &[("top5", 1.0)]).unwrap_err();
        assert!(matches!(unknown, LogError::UnknownColumn { name, .. } if name == "top5"));
    }

    #[test]
    fn going_on_drops_later_rows_and_writes_the_heading_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        assert_eq!(written(&[1, 2, 4], LogStart::After(0), &path), "step,loss,top1\n1,0.5,\n2,0.25,\n4,0.125,\n");
        assert_eq!(written(&[5], LogStart::After(2), &path), "step,loss,top1\n1,0.5,\n2,0.25,\n5,0.1,\n");
        assert_eq!(written(&[], LogStart::New, &path), "step,loss,top1\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_row_that_was_cut_short_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        for torn in ["step,loss,top1\n1,0.5,\n2,0.2", "step,loss,top1\n1,0.5,\n2"] {
            fs::write(&path, torn).unwrap();
            assert_eq!(written(&[2], LogStart::After(9), &path), "step,loss,top1\n1,0.5,\n2,0.25,\n");
        }
        fs::write(&path, "step,lo").unwrap();
        assert_eq!(written(&[1], LogStart::After(9), &path), "step,loss,top1\n1,0.5,\n");
    }

    #[test]
    fn another_table_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        for (text, reason) in [("step,loss\n1,2\n", "(step,loss)"), ("step,loss,top1\n1,2,3\nx,1,2\n", "line 3")] {
            fs::write(&path, text).unwrap();
            let error = CsvLog::open(&path, &COLUMNS, LogStart::After(5)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        for columns in [["a", "a"], ["a", "step"], ["a", "b,c"]] {
            assert!(matches!(CsvLog::open(&path, &columns, LogStart::New), Err(LogError::Column { .. })));
        }
    }
}
