//! What loaded models may take together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::ModelName;

/// What a model takes beside twice its file: the working memory of its runs.
const WORKING_MEMORY: u64 = 32 << 20;

/// What the program takes beside models once it answers: threads, and what the allocator's pools hold for reuse.
const RESERVE: u64 = 64 << 20;

/// How much memory models may take.
#[derive(Clone)]
pub struct MemoryOptions {
    /// The memory of the process that loaded models may fill, in bytes; `None` loads all models and unloads none.
    pub budget: Option<u64>,
    /// The longest that a request waits for its model to be loaded.
    pub load_wait: Duration,
    /// Reads the resident memory of the process, in bytes.
    pub resident: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// The budget, and what models were measured to take.
pub(super) struct MemoryBudget {
    /// The bytes for models.
    limit: u64,
    /// The whole budget, as the user gave it.
    budget: u64,
    /// The last version that was loaded of each model, and its bytes.
    measured: Mutex<BTreeMap<ModelName, (u32, u64)>>,
}

impl MemoryBudget {
    /// `None` without a budget. What the process takes before any model is loaded is part of the budget.
    pub(super) fn new(options: &MemoryOptions) -> Option<Self> {
        let budget = options.budget?;
        let program = (options.resident)().saturating_add(RESERVE);
        Some(Self { limit: budget.saturating_sub(program), budget, measured: Mutex::default() })
    }

    /// The bytes for models.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Remembers what a version was measured to take.
    pub(super) fn note(&self, name: &ModelName, version: u32, bytes: u64) {
        self.lock().insert(name.clone(), (version, bytes));
    }

    /// What a version was measured to take, or what it is expected to by its file and by the version before it.
    pub(super) fn expected(&self, name: &ModelName, version: u32, file: u64) -> u64 {
        let by_file = file.saturating_mul(2).saturating_add(WORKING_MEMORY);
        let expected = match self.lock().get(name) {
            Some(&(measured, bytes)) if measured == version => bytes,
            Some(&(_, bytes)) => bytes.max(by_file),
            None => by_file,
        };
        // It may still fit alone.
        expected.min(self.limit)
    }

    /// Refuses a version that the whole budget could not hold. A model takes at least what its file does.
    pub(super) fn check(&self, name: &ModelName, version: u32, file: u64) -> Result<(), String> {
        let measured = self.lock().get(name).filter(|(measured, _)| *measured == version).map(|(_, bytes)| *bytes);
        let needed = measured.unwrap_or(file);
        if needed <= self.limit {
            return Ok(());
        }
        let [needed, limit, budget] = [needed.div_ceil(1 << 20), self.limit >> 20, self.budget >> 20];
        Err(format!(
            "it takes at least {needed} MB, and the memory budget of {budget} MB leaves {limit} MB for models; raise \
             --memory-budget"
        ))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ModelName, (u32, u64)>> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn budget() -> MemoryBudget {
        let resident = Arc::new(|| 40 * MB);
        let options = MemoryOptions { budget: Some(304 * MB), load_wait: Duration::ZERO, resident };
        MemoryBudget::new(&options).unwrap()
    }

    #[test]
    fn what_the_process_takes_itself_is_part_of_the_budget() {
        assert_eq!(budget().limit(), 200 * MB);
    }

    #[test]
    fn a_version_counts_by_its_file_until_it_has_been_measured() {
        let (budget, name) = (budget(), "flowers".parse().unwrap());
        assert_eq!(budget.expected(&name, 1, 5 * MB), 42 * MB);
        budget.note(&name, 1, 60 * MB);
        assert_eq!(budget.expected(&name, 1, 5 * MB), 60 * MB);
        assert_eq!(budget.expected(&name, 2, 5 * MB), 60 * MB, "as the version before it");
        assert_eq!(budget.expected(&name, 2, 15 * MB), 62 * MB);
        assert_eq!(budget.expected(&name, 2, 150 * MB), 200 * MB);
    }

    #[test]
    fn a_model_that_no_budget_of_this_size_could_hold_is_refused_with_the_numbers() {
        let (budget, name) = (budget(), "large".parse().unwrap());
        assert_eq!(budget.check(&name, 1, 200 * MB), Ok(()));
        let refused = budget.check(&name, 1, 200 * MB + 1).unwrap_err();
        let expected = "it takes at least 201 MB, and the memory budget of 304 MB leaves 200 MB for models; raise \
                        --memory-budget";
        assert_eq!(refused, expected);
        budget.note(&name, 2, 300 * MB);
        // It was measured to be too large.
        assert_eq!(
            budget.check(&name, 2, 100 * MB).unwrap_err(),
            "it takes at least 300 MB, and the memory budget of 304 MB leaves 200 MB for models; raise --memory-budget"
        );
    }
}
