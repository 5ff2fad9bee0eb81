//! How a client wants to be answered (RFC 7240).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

const PREFER: &str = "prefer";
/// The header that tells which preferences were followed.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The preferences that an operation which takes long may follow. Others, and what is no preference, are ignored, as the standard
/// has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `respond-async`: answer with a job instead of its outcome.
    pub respond_async: bool,
    /// `wait=N`: the seconds that the client waits for the outcome.
    pub wait: Option<Duration>,
}

impl Preferences {
    /// Those of a request. Of two of one name the first counts.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        let mut wait = None;
        let mut respond_async = false;
        for preference in values.flat_map(preferences) {
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "respond-async" => respond_async = true,
                "wait" => wait = wait.or(Some(seconds(value))),
                _ => {}
            }
        }
        Self { respond_async, wait: wait.flatten() }
    }

    /// How long the client waits, where an operation itself would wait for so long and never longer than the last.
    #[must_use]
    pub fn patience(&self, usual: Duration, longest: Duration) -> Duration {
        let asked = self.wait.unwrap_or(if self.respond_async { Duration::ZERO } else { usual });
        asked.min(longest)
    }

    /// What the answer says was followed, if anything was: with the job, or with its outcome.
    #[must_use]
    pub fn applied(&self, waited: Duration, answer: AnswerKind) -> Option<HeaderValue> {
        let wait = self.wait.map(|_| format!("wait={}", waited.as_secs()));
        let respond = (self.respond_async && answer == AnswerKind::Job).then(|| "respond-async".to_owned());
        let applied: Vec<String> = respond.into_iter().chain(wait).collect();
        (!applied.is_empty()).then(|| HeaderValue::try_from(applied.join(", ")).ok()).flatten()
    }
}

/// What a request for something that takes long is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// At once: the job, which will do it.
    Job,
    /// What came of it.
    Outcome,
}

/// The preferences of a header's value, without their parameters. Commas and semicolons in quotes are text.
fn preferences(value: &str) -> impl Iterator<Item = &str> {
    split_unquoted(value, ',').filter_map(|preference| split_unquoted(preference, ';').next())
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter: char| {
        let is_escaped = std::mem::take(&mut escaped);
        match letter {
            '"' if !is_escaped => quoted = !quoted,
            '\\' if quoted && !is_escaped => escaped = true,
            _ => {}
        }
        letter == separator && !quoted
    })
}

/// A whole number of seconds; `None` for anything else.
fn seconds(value: &str) -> Option<Duration> {
    value.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferences_of(values: &[&'static str]) -> (bool, Option<u64>) {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(PREFER, HeaderValue::from_static(value));
        }
        let Preferences { respond_async, wait } = Preferences::of(&map);
        (respond_async, wait.map(|wait| wait.as_secs()))
    }

    #[test]
    fn preferences_are_read_as_the_standard_has_them() {
        for (values, expected) in [
            (&[][..], (false, None)),
            (&["respond-async"], (true, None)),
            // The forms of RFC 7240, sections 2 and 4.
            (&["respond-async, wait=100"], (true, Some(100))),
            (&["respond-async", "wait=10"], (true, Some(10))),
            (&["Lenient; foo=\"a, respond-async\", RESPOND-ASYNC ; bar"], (true, None)),
            (&["foo=\"respond-async, wait=3\""], (false, None)),
            (&["foo=\"a \\\" , respond-async\""], (false, None)),
            (&["wait = \"20\" ; x=1"], (false, Some(20))),
            (&["wait=5, wait=90"], (false, Some(5))),
            (&["wait=-1"], (false, None)),
            (&["wait=soon, wait=7"], (false, None)),
            (&["wait"], (false, None)),
            (&["wait=0"], (false, Some(0))),
            (&["return=minimal, , ="], (false, None)),
        ] {
            assert_eq!(preferences_of(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_client_waits_as_long_as_it_says_up_to_the_longest() {
        let (usual, longest) = (Duration::from_secs(20), Duration::from_secs(120));
        let patience = |respond_async, wait: Option<u64>| {
            Preferences { respond_async, wait: wait.map(Duration::from_secs) }.patience(usual, longest).as_secs()
        };
        assert_eq!([patience(false, None), patience(false, Some(5)), patience(false, Some(900))], [20, 5, 120]);
        assert_eq!([patience(true, None), patience(true, Some(10))], [0, 10]);
    }

    #[test]
    fn the_answer_names_what_was_followed() {
        let applied = |respond_async, wait: Option<u64>, answer| {
            let preferences = Preferences { respond_async, wait: wait.map(Duration::from_secs) };
            let header = preferences.applied(Duration::from_secs(10), answer);
            header.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(applied(true, None, AnswerKind::Job).as_deref(), Some("respond-async"));
        assert_eq!(applied(true, Some(10), AnswerKind::Job).as_deref(), Some("respond-async, wait=10"));
        assert_eq!(applied(true, Some(900), AnswerKind::Outcome).as_deref(), Some("wait=10"));
        assert_eq!(applied(false, None, AnswerKind::Job), None);
    }
}
