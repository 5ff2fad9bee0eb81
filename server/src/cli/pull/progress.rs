//! Following a download: a bar on a terminal, plain lines otherwise.

use std::io::IsTerminal;

use hf_hub::api::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::output;

/// What a download shows. Small files show nothing.
pub(super) struct Download {
    bar: Option<ProgressBar>,
    name: String,
    total: usize,
    done: usize,
    /// Tenths of the file that a plain line has told of.
    told: usize,
}

/// Files below this are there before anybody has read a line, in bytes.
const SMALL: usize = 1 << 20;

impl Download {
    pub(super) fn new() -> Self {
        Self { bar: None, name: String::new(), total: 0, done: 0, told: 0 }
    }
}

impl Progress for Download {
    fn init(&mut self, size: usize, filename: &str) {
        (self.name, self.total, self.done) = (filename.to_owned(), size, 0);
        if size > SMALL && std::io::stderr().is_terminal() && self.bar.is_none() {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
            let bar = ProgressBar::new(size as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar = Some(bar.with_message(filename.to_owned()));
        }
    }

    fn update(&mut self, size: usize) {
        self.done += size;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done as u64);
        } else if self.total > SMALL && self.done * 10 / self.total > self.told {
            self.told = self.done * 10 / self.total;
            let [done, total] = [self.done, self.total].map(|bytes| bytes as f64 / 1e6);
            // The download goes on when nobody reads.
            drop(output::line(format_args!("{} {done:.1}/{total:.1} MB", self.name)));
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
