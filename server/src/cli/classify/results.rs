//! Where answers go, and which are there already.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use server::failure::chain;

use super::format::{Answers, Format};
use crate::cli::output;

/// Standard output, or a file that answers are added to.
pub(super) struct Results<'a> {
    answers: &'a Answers<'a>,
    file: Option<ResultFile>,
    /// The images that the file has answers for.
    answered: HashSet<String>,
}

/// A file with its name, for errors.
struct ResultFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl<'a> Results<'a> {
    /// Opens the file and reads which images are answered in it; an answer that was not written to its end is taken away.
    pub(super) fn open(path: Option<&Path>, answers: &'a Answers<'a>) -> Result<Self> {
        let Some(path) = path else {
            if let Some(heading) = answers.heading() {
                output::line(format_args!("{heading}"))?;
            }
            return Ok(Self { answers, file: None, answered: HashSet::new() });
        };
        if answers.format == Format::Text {
            bail!("--out writes tables and JSON; say which with `--format csv` or `--format json`");
        }
        let shown = || path.display().to_string();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.with_context(shown)?;
        // A device or a pipe has no earlier answers, and reading it may never end.
        if !file.metadata().with_context(shown)?.is_file() {
            let mut file = ResultFile::new(path, file);
            answers.heading().map_or(Ok(()), |heading| file.add(&heading))?;
            return Ok(Self { answers, file: Some(file), answered: HashSet::new() });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(shown)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let answered = answered(&text[..whole], answers).with_context(shown)?;
        file.set_len(whole as u64).with_context(shown)?;
        file.seek(SeekFrom::End(0)).with_context(shown)?;
        let mut file = ResultFile::new(path, file);
        if whole == 0
            && let Some(heading) = answers.heading()
        {
            file.add(&heading)?;
        }
        Ok(Self { answers, file: Some(file), answered })
    }

    /// Whether this image is answered already.
    pub(super) fn has(&self, image: &Path) -> bool {
        self.answered.contains(&image.display().to_string())
    }

    /// Adds what is said to an image.
    pub(super) fn add(&mut self, image: &Path, logits: &Result<Vec<f32>>) -> Result<()> {
        match (self.answers.answer(image, logits), &mut self.file) {
            (Some(answer), Some(file)) => file.add(&answer),
            (Some(answer), None) => Ok(output::line(format_args!("{answer}"))?),
            (None, _) => {
                if let Err(error) = logits {
                    output::error(&anyhow!("{}: {}", image.display(), chain(error.as_ref())));
                }
                Ok(())
            }
        }
    }

    /// Hands what was added to the operating system, so that a process that is killed loses no more than one chunk.
    ///
    /// # Errors
    /// The operating system's, such as that the disk is full.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.writer.flush().with_context(|| file.path.display().to_string()))
    }
}

impl ResultFile {
    fn new(path: &Path, file: File) -> Self {
        Self { path: path.to_owned(), writer: BufWriter::new(file) }
    }

    fn add(&mut self, line: &str) -> Result<()> {
        writeln!(self.writer, "{line}").with_context(|| self.path.display().to_string())
    }
}

/// The images that a file of earlier results has answers for. Answers of another model do not go with new ones.
fn answered(text: &str, answers: &Answers<'_>) -> Result<HashSet<String>> {
    let own = answers.model();
    let mut images = HashSet::new();
    for answer in if answers.format == Format::Csv { of_table(text, answers)? } else { of_objects(text)? } {
        let [file, model, version] = answer;
        if (&model, &version) != (&own.0, &own.1) {
            bail!(
                "it has answers of `{model}` version {version}, and these are of `{}` version {}; name another file",
                own.0,
                own.1
            );
        }
        images.insert(file);
    }
    Ok(images)
}

fn of_objects(text: &str) -> Result<Vec<[String; 3]>> {
    let answer = |(number, line): (usize, &str)| {
        let damaged =
            || format!("line {}: it is no answer of `graft classify --format json`; name another file", number + 1);
        let object: Value = serde_json::from_str(line).with_context(damaged)?;
        let version = object["version"].as_u64().map_or(String::new(), |version| version.to_string());
        let field = |name: &str| object[name].as_str().map(str::to_owned).with_context(damaged);
        Ok([field("file")?, field("model")?, version])
    };
    text.lines().enumerate().map(answer).collect()
}

fn of_table(text: &str, answers: &Answers<'_>) -> Result<Vec<[String; 3]>> {
    let other = || anyhow!("it is no table of `graft classify` with the same `--top-k`; name another file");
    let heading = answers.heading().unwrap_or_default();
    let Some((first, rows)) = text.split_once('\n') else { return Ok(vec![]) };
    if first != heading {
        return Err(other());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(rows.as_bytes());
    let row = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.map_err(|_| other())?;
        let cell = |number: usize| row.get(number).map(str::to_owned).ok_or_else(other);
        Ok([cell(0)?, cell(1)?, cell(2)?])
    };
    reader.records().map(row).collect()
}
