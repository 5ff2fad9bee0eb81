//! What is to be made, what is being made and what is ready.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::LoaderError;

/// What became of one sample: its numbers, nothing, or an error.
pub(super) type Loaded = Result<Option<Vec<f32>>, LoaderError>;

/// The work of one epoch. Positions are handed out in order, one at a time, so that all threads work on the batch that is
/// wanted first; none is handed out beyond so many batches ahead of the consumer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Told when there may be more to hand out, or an end.
    room: Condvar,
    /// Told when a batch is complete, or no more will be.
    ready: Condvar,
    positions: usize,
    batch: usize,
    ahead: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The next position to hand out.
    next: usize,
    /// How many batches the consumer has taken.
    taken: usize,
    /// Batches that were begun, with an empty place for each sample that is not done.
    begun: BTreeMap<usize, Vec<Option<Loaded>>>,
    /// Set by the consumer when it goes.
    stopped: bool,
    /// Threads that still work.
    threads: usize,
}

impl Queue {
    /// For so many positions in batches of so many, and so many batches ahead.
    pub(super) fn new(positions: usize, batch: usize, ahead: usize, threads: usize) -> Self {
        let state = Mutex::new(State { threads, ..State::default() });
        Self { state, room: Condvar::new(), ready: Condvar::new(), positions, batch, ahead }
    }

    /// The next position to work on, once there is room for its batch; `None` when there is nothing more to do.
    pub(super) fn next(&self) -> Option<usize> {
        let mut state = self.lock();
        while !state.stopped && state.next < self.positions && state.next / self.batch >= state.taken + self.ahead {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped || state.next >= self.positions {
            return None;
        }
        let position = state.next;
        state.next += 1;
        let batch = position / self.batch;
        let samples = self.batch.min(self.positions - batch * self.batch);
        state.begun.entry(batch).or_insert_with(|| (0..samples).map(|_| None).collect());
        Some(position)
    }

    /// Puts what became of a position in its place.
    pub(super) fn put(&self, position: usize, loaded: Loaded) {
        let mut state = self.lock();
        let taken = state.taken;
        let Some(places) = state.begun.get_mut(&(position / self.batch)) else { return };
        places[position % self.batch] = Some(loaded);
        let complete = position / self.batch == taken && places.iter().all(Option::is_some);
        drop(state);
        if complete {
            self.ready.notify_one();
        }
    }

    /// The next batch in order, once all of it is done; `None` after the last one, or when the threads have gone.
    pub(super) fn take(&self) -> Option<VecDeque<Loaded>> {
        let mut state = self.lock();
        loop {
            let batch = state.taken;
            let complete = state.begun.get(&batch).is_some_and(|places| places.iter().all(Option::is_some));
            if complete {
                state.taken += 1;
                let places = state.begun.remove(&batch).unwrap_or_default();
                drop(state);
                self.room.notify_all();
                return Some(places.into_iter().flatten().collect());
            }
            if batch * self.batch >= self.positions || state.threads == 0 {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more is wanted.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.room.notify_all();
    }

    /// A thread has gone, for whatever reason.
    pub(super) fn leave(&self) {
        self.lock().threads -= 1;
        self.ready.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
