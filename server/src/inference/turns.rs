//! Whose turn it is: models take turns in decoding and in running, so that many images of one do not hold up another's.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::store::ModelName;

/// So many turns at a time, handed from model to model.
#[derive(Debug, Clone)]
pub(super) struct ModelTurns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// Free ones and taken ones.
    all: usize,
    /// Models that wait, the next one first, and each model's requests in order.
    waiting: VecDeque<(ModelName, VecDeque<oneshot::Sender<ModelTurn>>)>,
}

/// One turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct ModelTurn(Option<ModelTurns>);

impl ModelTurns {
    pub(super) fn new(turns: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: turns, all: turns, waiting: VecDeque::new() })))
    }

    /// Waits for the model's turn. Dropping the future gives the turn to the next.
    pub(super) async fn acquire(&self, model: &ModelName) -> Option<ModelTurn> {
        let turn = {
            let mut turns = self.lock();
            if turns.free > 0 {
                turns.free -= 1;
                return Some(ModelTurn(Some(self.clone())));
            }
            let (sender, turn) = oneshot::channel();
            match turns.waiting.iter_mut().find(|(name, _)| name == model) {
                Some((_, images)) => images.push_back(sender),
                None => turns.waiting.push_back((model.clone(), VecDeque::from([sender]))),
            }
            turn
        };
        turn.await.ok()
    }

    /// How many turns are taken.
    pub(super) fn taken(&self) -> usize {
        let state = self.lock();
        state.all - state.free
    }

    /// Hands a turn to the model that is next, or keeps it free.
    fn release(&self) {
        let mut turns = self.lock();
        while let Some((model, mut images)) = turns.waiting.pop_front() {
            let next = images.pop_front();
            if !images.is_empty() {
                turns.waiting.push_back((model, images));
            }
            let Some(granted) = next else { continue };
            match granted.send(ModelTurn(Some(self.clone()))) {
                Ok(()) => return,
                // Whoever waited has gone. The turn stays ours; its own end would wait for the lock that we hold.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
        turns.free += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ModelTurn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.release();
        }
    }
}

/// The pixels that may be decoded at a time. A thread that finds no room waits for it; it holds no other pixels then, so
/// the others go on.
#[derive(Debug)]
pub(super) struct PixelBudget {
    used: Mutex<u64>,
    release: Condvar,
    limit: u64,
}

/// Pixels that are being decoded.
#[derive(Debug)]
pub(super) struct PixelCharge<'a> {
    budget: &'a PixelBudget,
    pixels: u64,
}

impl PixelBudget {
    pub(super) fn new(limit: u64) -> Self {
        Self { used: Mutex::new(0), release: Condvar::new(), limit }
    }

    /// Waits until so many pixels fit. An image larger than the budget is decoded alone.
    pub(super) fn charge(&self, pixels: u64) -> PixelCharge<'_> {
        let pixels = pixels.min(self.limit);
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |used: &mut u64| *used + pixels > self.limit;
        let mut used = self.release.wait_while(used, full).unwrap_or_else(PoisonError::into_inner);
        *used += pixels;
        PixelCharge { budget: self, pixels }
    }

    pub(super) fn used(&self) -> u64 {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }
}

impl Drop for PixelCharge<'_> {
    fn drop(&mut self) {
        *self.budget.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.pixels;
        self.budget.release.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    #[test]
    fn models_take_turns_however_many_images_one_has() {
        let turns = ModelTurns::new(1);
        let mut cx = Context::from_waker(Waker::noop());
        let (large, small) = (name("large"), name("small"));
        let mut queue: Vec<_> =
            [&large, &large, &large, &small].map(|model| Box::pin(turns.acquire(model))).into_iter().collect();
        let mut slots: Vec<Option<ModelTurn>> = queue
            .iter_mut()
            .map(|turn| match turn.as_mut().poll(&mut cx) {
                Poll::Ready(turn) => turn,
                Poll::Pending => None,
            })
            .collect();
        assert!(slots[0].is_some() && slots[1..].iter().all(Option::is_none));
        // The order in which the turn goes round: the second image of `large`, then `small`, then the third of `large`.
        let mut holder = 0;
        for next in [1, 3, 2] {
            slots[holder] = None;
            let Poll::Ready(turn) = queue[next].as_mut().poll(&mut cx) else { panic!("not {next}") };
            slots[next] = turn;
            holder = next;
        }
    }

    #[test]
    fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
        let turns = ModelTurns::new(1);
        let mut cx = Context::from_waker(Waker::noop());
        let model = name("colors");
        let mut first = Box::pin(turns.acquire(&model));
        let Poll::Ready(turn) = first.as_mut().poll(&mut cx) else { panic!() };
        let mut gone = Box::pin(turns.acquire(&model));
        let mut next = Box::pin(turns.acquire(&model));
        assert!(gone.as_mut().poll(&mut cx).is_pending() && next.as_mut().poll(&mut cx).is_pending());
        drop(gone);
        drop(turn);
        let Poll::Ready(Some(turn)) = next.as_mut().poll(&mut cx) else { panic!() };
        drop(turn);
        assert_eq!(turns.lock().free, 1);
    }

    #[test]
    fn pixels_are_charged_until_their_image_is_decoded() {
        let budget = PixelBudget::new(100);
        let most = budget.charge(80);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(budget.charge(30)));
            assert_eq!(budget.used(), 80);
            drop(most);
            waiting.join().unwrap();
        });
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.charge(1000).pixels, 100, "a larger image is decoded alone");
    }
}
