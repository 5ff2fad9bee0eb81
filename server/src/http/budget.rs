//! What the bodies of all requests may cost together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of bodies that the process may hold in memory.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicUsize,
    limit: usize,
}

impl ByteBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Account { used: AtomicUsize::new(0), limit }))
    }

    /// Bytes in memory now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    #[cfg(test)]
    pub(crate) fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.charge(bytes).then(|| Reservation { budget: self.clone(), bytes })
    }

    /// Adds bytes, if they are within the budget.
    pub(crate) fn charge(&self, bytes: usize) -> bool {
        let within = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.0.limit);
        self.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that a test holds.
#[cfg(test)]
pub(crate) struct Reservation {
    budget: ByteBudget,
    bytes: usize,
}

#[cfg(test)]
impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_charged_up_to_its_limit_and_given_back() {
        let budget = ByteBudget::new(100);
        assert!(budget.charge(60) && !budget.charge(41) && budget.charge(40));
        assert_eq!(budget.used(), 100);
        budget.release(60);
        assert_eq!(budget.used(), 40);
    }
}
