//! The signature of a message.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use thiserror::Error;

/// What secrets begin with.
const PREFIX: &str = "whsec_";
/// The bytes that a secret may have, by the specification.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What messages are signed with, and receivers check them with.
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

/// A text is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a webhook secret is `whsec_` and 24 to 64 bytes in base64; make one with `echo whsec_$(openssl rand -base64 32)`"
)]
pub struct SecretError;

impl WebhookSecret {
    /// The header `webhook-signature` of a message with this id, sent at this time in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

impl FromStr for WebhookSecret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| SecretError)?;
        if !BYTES.contains(&bytes.len()) {
            return Err(SecretError);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_signed_as_the_specification_signs_its_example() {
        // The example of the Standard Webhooks libraries' own tests.
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_have_24_to_64_bytes_and_are_not_printed() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes])).parse::<WebhookSecret>();
        assert_eq!([23, 24, 64, 65].map(|bytes| of(bytes).is_ok()), [false, true, true, false]);
        let error = "whsec_not base64!".parse::<WebhookSecret>().unwrap_err().to_string();
        assert!(error.starts_with("a webhook secret is `whsec_` and 24 to 64 bytes in base64; "), "{error}");
        assert_eq!(format!("{:?}", of(32).unwrap()), "WebhookSecret(…)");
    }
}
