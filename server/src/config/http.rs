//! What one client may cost the server: the table of limits in `docs/serving.md`, as flags.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use models::preprocess::Limits;

use super::LimitArgs;

/// The limits of connections, requests and images.
#[derive(Debug, Clone, Args)]
pub struct HttpLimitArgs {
    /// The most connections at a time; the open-file limit lowers it. Some more are kept for health checks
    #[arg(long, env = "GRAFT_MAX_CONNECTIONS", default_value_t = 2048, value_name = "N")]
    max_connections: usize,

    /// How long the head of a request may take to arrive, in seconds
    #[arg(long, env = "GRAFT_HEADER_TIMEOUT_SECONDS", default_value_t = 10, value_name = "S", value_parser = seconds())]
    header_timeout_seconds: u64,

    /// How long a body may take to arrive, in seconds; each 16 KiB that have arrived add one
    #[arg(long, env = "GRAFT_BODY_TIMEOUT_SECONDS", default_value_t = 20, value_name = "S", value_parser = seconds())]
    body_timeout_seconds: u64,

    /// How long a connection may be idle between requests, in seconds
    #[arg(long, env = "GRAFT_IDLE_TIMEOUT_SECONDS", default_value_t = 60, value_name = "S", value_parser = seconds())]
    idle_timeout_seconds: u64,

    /// How long a request may take from its head to its answer, in seconds
    #[arg(long, env = "GRAFT_REQUEST_TIMEOUT_SECONDS", default_value_t = 120, value_name = "S", value_parser = seconds())]
    request_timeout_seconds: u64,

    /// The largest request body, in megabytes
    #[arg(long, env = "GRAFT_MAX_BODY_MB", default_value_t = 32, value_name = "MB")]
    max_body_mb: usize,

    /// The largest JSON body, in kilobytes
    #[arg(long, env = "GRAFT_MAX_JSON_KB", default_value_t = 256, value_name = "KB")]
    max_json_kb: usize,

    /// The most bytes of bodies in memory at a time, of all requests together, in megabytes
    #[arg(long, env = "GRAFT_MAX_INFLIGHT_MB", default_value_t = 256, value_name = "MB")]
    max_inflight_mb: usize,

    /// The most clients that follow jobs by server-sent events at a time
    #[arg(long, env = "GRAFT_MAX_EVENT_STREAMS", default_value_t = 256, value_name = "N")]
    max_event_streams: usize,

    /// The most images in one form
    #[arg(long, env = "GRAFT_MAX_IMAGES", default_value_t = NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN), value_name = "N")]
    max_images: NonZeroUsize,

    #[command(flatten)]
    image: LimitArgs,

    /// The most pixels being decoded at a time, of all requests together, in megapixels; no larger image is taken [default: 64,
    /// or --max-megapixels if that is more]
    #[arg(long, env = "GRAFT_MAX_INFLIGHT_MEGAPIXELS", value_name = "MP")]
    max_inflight_megapixels: Option<u64>,

    /// The most images that wait for one model; more are answered 429
    #[arg(long, env = "GRAFT_QUEUE", default_value_t = NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN), value_name = "N")]
    queue: NonZeroUsize,

    /// The longest predicted wait for a model, in milliseconds; a request that would wait longer is answered 429
    #[arg(long, env = "GRAFT_MAX_QUEUE_MS", default_value_t = 1000, value_name = "MS")]
    max_queue_ms: u64,
}

/// The pixels being decoded at a time unless said otherwise, in megapixels.
const INFLIGHT_MEGAPIXELS: u64 = 64;

fn seconds() -> clap::builder::RangedU64ValueParser {
    clap::builder::RangedU64ValueParser::new().range(1..=86_400)
}

/// The limits as plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// The most connections at a time.
    pub connections: usize,
    /// From the start of a connection, or the first byte of a later request, to the end of the head.
    pub header_timeout: Duration,
    /// For a body, before the allowance for its size.
    pub body_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// From the head of a request to its answer.
    pub request_timeout: Duration,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The largest JSON body, in bytes.
    pub json_bytes: usize,
    /// The bodies of all requests together, in bytes.
    pub inflight_bytes: usize,
    /// Clients that follow jobs at a time.
    pub event_streams: usize,
    /// Images in one form.
    pub images: usize,
    /// The largest image.
    pub image: Limits,
    /// Images being decoded, of all requests together, in pixels.
    pub inflight_pixels: u64,
    /// Images that wait for one model.
    pub queue: usize,
    /// The longest predicted wait for a model.
    pub queue_wait: Duration,
}

impl HttpLimitArgs {
    /// The flags as plain values. No image may be larger than all images together, and no body than all bodies.
    #[must_use]
    pub fn resolve(&self) -> HttpLimits {
        let inflight_bytes = self.max_inflight_mb.saturating_mul(1 << 20);
        let image = self.image.limits();
        let inflight = self.max_inflight_megapixels.unwrap_or(INFLIGHT_MEGAPIXELS.max(self.image.max_megapixels));
        let inflight_pixels = inflight.saturating_mul(1_000_000);
        HttpLimits {
            connections: self.max_connections.max(1),
            header_timeout: Duration::from_secs(self.header_timeout_seconds),
            body_timeout: Duration::from_secs(self.body_timeout_seconds),
            idle_timeout: Duration::from_secs(self.idle_timeout_seconds),
            request_timeout: Duration::from_secs(self.request_timeout_seconds),
            body_bytes: self.max_body_mb.saturating_mul(1 << 20).min(inflight_bytes),
            json_bytes: self.max_json_kb.saturating_mul(1 << 10),
            inflight_bytes,
            event_streams: self.max_event_streams,
            images: self.max_images.get(),
            image: Limits { max_pixels: image.max_pixels.min(inflight_pixels), ..image },
            inflight_pixels,
            queue: self.queue.get(),
            queue_wait: Duration::from_millis(self.max_queue_ms),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use clap::Parser;

    use super::{HttpLimitArgs, HttpLimits};

    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        limits: HttpLimitArgs,
    }

    /// The limits that a server has without flags.
    pub(crate) fn defaults() -> HttpLimits {
        with(&[])
    }

    /// The limits that a server has with these flags.
    pub(crate) fn with(flags: &[&str]) -> HttpLimits {
        Defaults::parse_from([&["graft"], flags].concat()).limits.resolve()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::with;

    #[test]
    fn a_larger_image_makes_room_for_itself_and_a_smaller_budget_is_the_limit_of_images() {
        for (flags, image, inflight, side) in [
            (&[][..], 50, 64, 16_384),
            (&["--max-megapixels", "108"], 108, 108, 65_535),
            (&["--max-inflight-megapixels", "20"], 20, 20, 16_384),
            (&["--max-megapixels", "108", "--max-inflight-megapixels", "400"], 108, 400, 65_535),
        ] {
            let limits = with(flags);
            let found =
                (limits.image.max_pixels / 1_000_000, limits.inflight_pixels / 1_000_000, limits.image.max_width);
            assert_eq!(found, (image, inflight, side), "{flags:?}");
        }
    }
}
