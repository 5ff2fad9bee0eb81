//! The keys in force, and how often each is used.

use std::collections::HashSet;
use std::fs;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use subtle::ConstantTimeEq;

use super::AccessError;
use super::key::{Key, Role};
use crate::config::AccessArgs;

/// All keys. Without any, everybody may do everything.
pub struct Keys {
    holders: Vec<Holder>,
    /// What all callers share where there are no keys.
    anyone: Option<DefaultDirectRateLimiter>,
}

struct Holder {
    key: Key,
    limiter: Option<DefaultDirectRateLimiter>,
}

/// Who sends a request.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    key: Option<&'a Key>,
    limiter: Option<&'a DefaultDirectRateLimiter>,
}

/// A caller sends more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimited {
    /// When the next request will be accepted.
    pub retry_after: Duration,
}

impl Keys {
    /// The keys of the file and of the arguments.
    ///
    /// # Errors
    /// [`AccessError`] when the file cannot be read, or what it holds is no key.
    pub fn read(args: &AccessArgs) -> Result<Self, AccessError> {
        let mut keys: Vec<Key> = Vec::new();
        if let Some(path) = &args.keys {
            let text =
                fs::read_to_string(path).map_err(|source| AccessError::Unreadable { path: path.clone(), source })?;
            for (index, line) in text.lines().enumerate() {
                let line = line.split('#').next().unwrap_or_default().trim();
                if !line.is_empty() {
                    let wrong = |source| AccessError::Line { path: path.clone(), line: index + 1, source };
                    keys.push(line.parse().map_err(wrong)?);
                }
            }
        }
        for (index, text) in args.key.iter().filter(|text| !text.is_empty()).enumerate() {
            let wrong = |source| AccessError::Argument { number: index + 1, source };
            keys.push(text.parse().map_err(wrong)?);
        }
        let mut names = HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !names.insert(key.name.clone())) {
            return Err(AccessError::Twice(twice.name.clone()));
        }
        let limiter = |rate: NonZeroU32| RateLimiter::direct(Quota::per_second(rate));
        let holder = |key| Holder { key, limiter: args.rate_limit.map(limiter) };
        Ok(Self { holders: keys.into_iter().map(holder).collect(), anyone: args.rate_limit.map(limiter) })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.holders.len()
    }

    /// Who holds this secret; `None` for a stranger. The time that it takes tells nothing: every hash is compared, each
    /// in constant time.
    #[must_use]
    pub fn caller(&self, secret: Option<&str>) -> Option<Caller<'_>> {
        if self.is_empty() {
            return Some(Caller { key: None, limiter: self.anyone.as_ref() });
        }
        let hash = Key::hash_of(secret?);
        let mut caller = None;
        for holder in &self.holders {
            if bool::from(holder.key.hash.ct_eq(&hash)) {
                caller = Some(Caller { key: Some(&holder.key), limiter: holder.limiter.as_ref() });
            }
        }
        caller
    }
}

impl<'a> Caller<'a> {
    /// The name of its key.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        self.key.map(|key| key.name.as_str())
    }

    /// Whether it may do what the role is for.
    #[must_use]
    pub fn allows(&self, role: Role) -> bool {
        self.key.is_none_or(|key| key.allows(role))
    }

    /// Takes one request into account.
    ///
    /// # Errors
    /// [`RateLimited`] when there were too many lately.
    pub fn spend(&self) -> Result<(), RateLimited> {
        let Some(limiter) = self.limiter else { return Ok(()) };
        limiter
            .check()
            .map_err(|early| RateLimited { retry_after: early.wait_time_from(DefaultClock::default().now()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::key::NewKey;

    #[test]
    fn a_caller_is_known_by_its_secret_and_a_stranger_is_nobody() {
        let [infer, admin] = [("camera", Role::Infer), ("boss", Role::Admin)]
            .map(|(name, role)| NewKey::generate(name, vec![role]).unwrap());
        let args = AccessArgs { key: vec![infer.key.to_string(), admin.key.to_string()], ..AccessArgs::default() };
        let keys = Keys::read(&args).unwrap();
        let camera = keys.caller(Some(&infer.secret)).unwrap();
        assert_eq!(
            (camera.name(), camera.allows(Role::Infer), camera.allows(Role::Train)),
            (Some("camera"), true, false)
        );
        assert!(keys.caller(Some(&admin.secret)).unwrap().allows(Role::Train));
        assert!(keys.caller(Some("graft_0")).is_none() && keys.caller(None).is_none());
        assert!(keys.caller(Some(&infer.key.to_string())).is_none(), "the hash is not the key");
    }

    #[test]
    fn a_key_may_send_its_rate_at_once_and_is_then_told_to_wait() {
        let args = AccessArgs { rate_limit: NonZeroU32::new(2), ..AccessArgs::default() };
        let keys = Keys::read(&args).unwrap();
        let anyone = keys.caller(None).unwrap();
        assert_eq!((anyone.spend(), anyone.spend()), (Ok(()), Ok(())));
        let RateLimited { retry_after } = anyone.spend().unwrap_err();
        assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_millis(500), "{retry_after:?}");
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        fs::write(&file, "# for the cameras\n\ncamera infer nonsense\n").unwrap();
        let args = AccessArgs { keys: Some(file), ..AccessArgs::default() };
        let Err(AccessError::Line { line: 3, source, .. }) = Keys::read(&args) else { panic!() };
        assert_eq!(source, crate::access::KeyError::Hash);
    }
}
