//! Errors and panics as text, for every crate and the program.

use std::any::Any;
use std::error::Error;

/// An error with its causes in one line, no text twice: errors that are also shown alone include their cause.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (**cause).source()).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What a thread panicked with; `without a message` if that was no text.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("models: {0}")]
    struct Inner(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the models")]
    struct Outer(#[from] Inner);

    #[test]
    fn causes_are_named_once() {
        let inner = Inner(io::Error::other("disk on fire"));
        assert_eq!(chain(&inner), "models: disk on fire");
        assert_eq!(chain(&Outer(inner)), "cannot open the models: models: disk on fire");
    }

    #[test]
    fn a_panic_says_its_message_whether_it_was_put_together_or_not() {
        let message = |panic: fn()| {
            let panic = std::panic::catch_unwind(panic).expect_err("a panic");
            panic_message(&*panic).to_owned()
        };
        assert_eq!(message(|| std::panic::resume_unwind(Box::new("as written"))), "as written");
        assert_eq!(message(|| std::panic::resume_unwind(Box::new(format!("put {}", "together")))), "put together");
        assert_eq!(message(|| std::panic::resume_unwind(Box::new(5))), "without a message");
    }
}
