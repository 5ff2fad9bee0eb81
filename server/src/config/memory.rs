//! How much memory models may take.

use std::time::Duration;

use clap::Args;

/// How much memory models may take.
#[derive(Debug, Clone, Args)]
pub struct MemoryArgs {
    /// The memory that the process may fill with models, such as 800M or 1G: models are loaded when a request asks for them,
    /// and those that were used the longest ago are unloaded to make room [default: all models stay loaded]
    #[arg(long, env = "GRAFT_MEMORY_BUDGET", value_name = "BYTES", value_parser = bytes)]
    memory_budget: Option<u64>,

    /// How long a request waits for its model to be loaded, in milliseconds; later it is answered 503
    #[arg(long, env = "GRAFT_MAX_LOAD_MS", default_value_t = 10_000, value_name = "MS")]
    max_load_ms: u64,

    /// The memory for answers that are kept, such as 64M: an image that a model has answered is answered again without being
    /// decoded or run [default: none are kept]
    #[arg(long, env = "GRAFT_ANSWER_CACHE", value_name = "BYTES", value_parser = bytes)]
    answer_cache: Option<u64>,
}

/// How much memory models may take, as plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryConfig {
    /// The memory of the process that models may fill, in bytes; `None` for all models.
    pub budget: Option<u64>,
    /// How long a request waits for its model to be loaded.
    pub load_wait: Duration,
    /// The bytes for answers that are kept; `None` keeps none.
    pub answers: Option<u64>,
}

impl MemoryArgs {
    /// The flags as plain values.
    #[must_use]
    pub fn resolve(&self) -> MemoryConfig {
        let load_wait = Duration::from_millis(self.max_load_ms);
        MemoryConfig { budget: self.memory_budget, load_wait, answers: self.answer_cache }
    }
}

/// A number of bytes; K, M, G and T are powers of 1024, as for container runtimes.
fn bytes(text: &str) -> Result<u64, String> {
    let refused = || "give a number of bytes, such as 800M or 1G".to_owned();
    let text = text.trim().trim_end_matches(['b', 'B']).trim_end_matches('i');
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(refused()),
    };
    let number: u64 = digits.trim_end().parse().map_err(|_| refused())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_container_runtimes_write_them() {
        for (text, expected) in [
            ("1000000", 1_000_000),
            ("800M", 838_860_800),
            ("1G", 1_073_741_824),
            ("1g", 1_073_741_824),
            ("512MiB", 536_870_912),
            ("2 GB", 2_147_483_648),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "0", "1.5G", "-1", "1X", "99999999T"] {
            assert_eq!(bytes(text).unwrap_err(), "give a number of bytes, such as 800M or 1G", "{text}");
        }
    }
}
