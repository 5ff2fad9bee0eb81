//! Event files, which TensorBoard shows.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::crc32c::masked;
use super::{Histogram, LogError, LogStart, at};

/// An event file in a run's folder. TensorBoard shows all files of a folder as one run, so every start has its own.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Begins a file `events.out.tfevents.TIME.HOST.PROCESS.NUMBER` in the folder, which exists. Going on after a step,
    /// it tells TensorBoard to forget what earlier files say of later steps.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn create(folder: &Path, start: LogStart) -> Result<Self, LogError> {
        let (path, file) = unused(folder)?;
        let mut log = Self { path, file };
        log.append(&[Event::version(now())])?;
        if let LogStart::After(step) = start {
            log.append(&[Event::restart(now(), step.saturating_add(1))])?;
        }
        Ok(log)
    }

    /// Appends an event with these numbers, as f32.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn write(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), LogError> {
        self.append(&[Event::scalars(now(), step, scalars)])
    }

    /// Appends an event with these distributions.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn write_histograms(&mut self, step: u64, histograms: &[(String, Histogram)]) -> Result<(), LogError> {
        self.append(&[Event::histograms(now(), step, histograms)])
    }

    /// The event file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In one piece, so that no reader sees a part for long.
    fn append(&mut self, events: &[Event]) -> Result<(), LogError> {
        self.file.write_all(&records(events)).map_err(at(&self.path))
    }
}

/// The first number behind a name that no file has: two starts of a process may fall into one second.
fn unused(folder: &Path) -> Result<(PathBuf, File), LogError> {
    let system = rustix::system::uname();
    let (host, process) = (system.nodename().to_string_lossy(), std::process::id());
    let stem = format!("events.out.tfevents.{:010}.{host}.{process}", now() as u64);
    let mut number = 0;
    loop {
        let path = folder.join(format!("{stem}.{number}"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(at(&path)(error)),
        }
    }
}

/// Seconds since 1970. A clock that is set before that reads 0.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Events as `TFRecord`s: length, checksum of the length, message, checksum of the message, little endian.
fn records(events: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        let message = event.encode_to_vec();
        let length = (message.len() as u64).to_le_bytes();
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(&masked(&length).to_le_bytes());
        bytes.extend_from_slice(&message);
        bytes.extend_from_slice(&masked(&message).to_le_bytes());
    }
    bytes
}

/// `tensorboard/compat/proto/event.proto`, as far as it is written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    restart: Option<Restart>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Measured>,
}

/// `Summary.Value`.
#[derive(Clone, PartialEq, Message)]
struct Measured {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "5")]
    histo: Option<HistogramProto>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramProto {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    bucket: Vec<f64>,
}

/// The proto's `SessionLog`.
#[derive(Clone, PartialEq, Message)]
struct Restart {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// The value of `status` by which TensorBoard forgets later steps.
const START: i32 = 1;

impl Event {
    /// The first of every file.
    fn version(wall_time: f64) -> Self {
        Self { wall_time, file_version: Some("brain.Event:2".to_owned()), ..Self::default() }
    }

    /// A new start at a step: TensorBoard drops what it has of this and later steps.
    fn restart(wall_time: f64, step: u64) -> Self {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        Self { wall_time, step, restart: Some(Restart { status: START }), ..Self::default() }
    }

    fn scalars(wall_time: f64, step: u64, scalars: &[(&str, f64)]) -> Self {
        let scalar = |&(tag, value): &(&str, f64)| {
            let tag = tag.to_owned();
            Measured { tag, simple_value: Some(value as f32), histo: None }
        };
        Self::summary(wall_time, step, scalars.iter().map(scalar).collect())
    }

    fn histograms(wall_time: f64, step: u64, histograms: &[(String, Histogram)]) -> Self {
        let measured = |(tag, histogram): &(String, Histogram)| Measured {
            tag: tag.clone(),
            simple_value: None,
            histo: Some(histogram.clone().into()),
        };
        Self::summary(wall_time, step, histograms.iter().map(measured).collect())
    }

    fn summary(wall_time: f64, step: u64, value: Vec<Measured>) -> Self {
        let summary = Some(Summary { value });
        Self { wall_time, step: i64::try_from(step).unwrap_or(i64::MAX), summary, ..Self::default() }
    }
}

impl From<Histogram> for HistogramProto {
    fn from(histogram: Histogram) -> Self {
        let Histogram { min, max, count, sum, squares, limits, counts } = histogram;
        Self { min, max, num: count, sum, sum_squares: squares, bucket_limit: limits, bucket: counts }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_bytes_are_tensorboards() {
        // Written by `reference/events.py`.
        let expected = include_bytes!("../../tests/data/events.tfevents");
        let events = [
            Event::version(1_700_000_000.25),
            Event::restart(1_700_000_000.5, 5),
            Event::scalars(1_700_000_001.0, 5, &[("train/loss", 0.1), ("validation/top1", 0.0)]),
            Event::scalars(1_700_000_002.0, 1 << 40, &[("train/loss", -1e30)]),
            Event::scalars(1_700_000_003.0, 0, &[("Größe", f64::INFINITY)]),
            Event::histograms(1_700_000_004.0, 7, &weights()),
        ];
        assert_eq!(records(&events), expected);
    }

    /// The numbers of `reference/events.py`, whose thirty ranges have a width of an eighth.
    fn weights() -> [(String, Histogram); 1] {
        let numbers = [-1.0, -0.9375, 0.03125, 0.03125, 2.6875, 2.75];
        [("weights/conv1".to_owned(), Histogram::of(&numbers).unwrap())]
    }

    #[test]
    fn every_start_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let logs =
            [LogStart::New, LogStart::After(3), LogStart::After(3)].map(|start| EventLog::create(folder.path(), start));
        let names = logs.map(|log| log.unwrap().path().file_name().unwrap().to_string_lossy().into_owned());
        assert!(names.iter().all(|name| name.starts_with("events.out.tfevents.")), "{names:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn tensorboard_reads_a_run_that_was_resumed() {
        let Some(python) = fixtures::Library::TensorBoard.path() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut log = EventLog::create(folder.path(), LogStart::New).unwrap();
        for step in 1..=5 {
            log.write(step, &[("train/loss", 1.0 / step as f64), ("rate", 0.5)]).unwrap();
        }
        // What never happened leaves no histogram either.
        log.write_histograms(4, &[("weights/conv1".to_owned(), Histogram::of(&[5.0]).unwrap())]).unwrap();
        let mut log = EventLog::create(folder.path(), LogStart::After(3)).unwrap();
        log.write(4, &[("train/loss", 8.0), ("rate", 0.25)]).unwrap();
        log.write_histograms(4, &weights()).unwrap();

        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/read_events.py");
        let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let third = f64::from(1.0_f32 / 3.0);
        let expected = json!({
            "train/loss": [[1, 1.0], [2, 0.5], [3, third], [4, 8.0]],
            "rate": [[1, 0.5], [2, 0.5], [3, 0.5], [4, 0.25]],
        });
        assert_eq!(found["scalars"], expected);
        let (_, Histogram { min, max, count, sum, squares, limits, counts }) = &weights()[0];
        let histogram = json!([4, [min, max, count, sum, squares, limits, counts]]);
        assert_eq!(found["histograms"], json!({ "weights/conv1": [histogram] }));
    }
}
