//! One API key: its name, its roles, and the hash by which it is recognized.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::rustls::crypto::ring::default_provider;

const PREFIX: &str = "graft_";
const RANDOM_BYTES: usize = 32;
const LONGEST_NAME: usize = 64;

/// What the holder of a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Classify images.
    Infer,
    /// Start, follow and cancel fine-tunes; make, change and read data sets.
    Train,
    /// Everything.
    Admin,
}

impl Role {
    const ALL: [(&'static str, Role); 3] = [("infer", Role::Infer), ("train", Role::Train), ("admin", Role::Admin)];

    /// The role's word in files and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Role {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let entry = Self::ALL.iter().find(|(name, _)| *name == text);
        entry.map(|(_, role)| *role).ok_or_else(|| KeyError::Role(text.to_owned()))
    }
}

/// A key as the server knows it. Its text is nowhere: a key has 256 random bits, so one round of SHA-256 cannot be
/// inverted by trying; slow hashes are for passwords, which people choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Names the key in the log.
    pub name: String,
    /// What its holder may do.
    pub roles: Vec<Role>,
    pub(super) hash: [u8; 32],
}

/// A text is no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Parts are missing.
    #[error("a key is `NAME ROLES SHA256`, such as `camera infer 9f86…`; `graft key new` prints one")]
    Form,
    /// A name that would break a line of the log.
    #[error("the name of a key is 1 to 64 letters, digits, `.`, `_` or `-`")]
    Name,
    /// No such role.
    #[error("there is no role `{0}`; there are `infer`, `train` and `admin`")]
    Role(String),
    /// The last part is no SHA-256.
    #[error("the last part is the key's SHA-256 as 64 hexadecimal digits, not the key itself")]
    Hash,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl FromStr for Key {
    type Err = KeyError;

    /// Takes `NAME ROLES SHA256`, divided by blanks or colons, the roles by commas.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<&str> = text.split([' ', '\t', ':']).filter(|part| !part.is_empty()).collect();
        let [name, roles, hash] = parts[..] else { return Err(KeyError::Form) };
        Self::check_name(name)?;
        let roles = roles.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes).map_err(|_| KeyError::Hash)?;
        Ok(Self { name: name.to_owned(), roles, hash: bytes })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
        write!(f, "{} {} {}", self.name, roles.join(","), hex::encode(self.hash))
    }
}

impl Key {
    /// Whether its holder may do what the role is for.
    #[must_use]
    pub fn allows(&self, role: Role) -> bool {
        self.roles.contains(&role) || self.roles.contains(&Role::Admin)
    }

    pub(super) fn hash_of(secret: &str) -> [u8; 32] {
        Sha256::digest(secret.as_bytes()).into()
    }

    fn check_name(name: &str) -> Result<(), KeyError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let valid = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain);
        valid.then_some(()).ok_or(KeyError::Name)
    }
}

/// A fresh key, whose text is shown once.
pub struct NewKey {
    /// What a client sends.
    pub secret: String,
    /// What the server reads.
    pub key: Key,
}

impl NewKey {
    /// A key of 256 random bits.
    ///
    /// # Errors
    /// [`KeyError`] for a bad name, or without random numbers.
    pub fn generate(name: &str, roles: Vec<Role>) -> Result<Self, KeyError> {
        Key::check_name(name)?;
        let mut random = [0; RANDOM_BYTES];
        default_provider().secure_random.fill(&mut random).map_err(|_| KeyError::Random)?;
        let secret = format!("{PREFIX}{}", hex::encode(random));
        let hash = Key::hash_of(&secret);
        Ok(Self { secret, key: Key { name: name.to_owned(), roles, hash } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf graft_test | sha256sum`
    const HASH: &str = "4ceb54b9e0fe03a809ee3792ef7eecd62ee3b4f2ecbc08bb8471b8911d153cd6";

    #[test]
    fn a_key_is_a_name_its_roles_and_a_hash() {
        for text in [format!("camera infer,train {HASH}"), format!("camera:infer,train:{HASH}")] {
            let key: Key = text.parse().unwrap();
            assert_eq!((key.name.as_str(), &key.roles[..]), ("camera", &[Role::Infer, Role::Train][..]));
            assert_eq!(key.hash, Key::hash_of("graft_test"));
            assert!(key.allows(Role::Train) && !key.allows(Role::Admin));
            assert_eq!(key.to_string(), format!("camera infer,train {HASH}"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_part() {
        for (text, error) in [
            ("camera infer".to_owned(), KeyError::Form),
            (format!("a\u{1b}b infer {HASH}"), KeyError::Name),
            (format!("camera write {HASH}"), KeyError::Role("write".to_owned())),
            ("camera infer graft_test".to_owned(), KeyError::Hash),
        ] {
            assert_eq!(text.parse::<Key>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_new_key_is_recognized_by_its_line() {
        let new = NewKey::generate("ci", vec![Role::Admin]).unwrap();
        let read: Key = new.key.to_string().parse().unwrap();
        assert_eq!(read.hash, Key::hash_of(&new.secret));
        assert!(read.allows(Role::Infer) && read.allows(Role::Train));
        assert_ne!(NewKey::generate("ci", vec![Role::Admin]).unwrap().secret, new.secret);
    }
}
