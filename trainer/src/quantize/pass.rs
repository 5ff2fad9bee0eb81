//! How far the measurement of several models on the same images is.

use crate::events::{Event, Observer};

/// Hands the events of one pass over the images on, counted as a part of all passes.
pub(super) struct PassObserver<'a> {
    pub(super) inner: &'a mut dyn Observer,
    /// Which pass, from 0.
    pub(super) pass: usize,
    pub(super) passes: usize,
}

impl Observer for PassObserver<'_> {
    fn event(&mut self, event: Event) {
        let (pass, passes) = (self.pass as u64, self.passes as u64);
        self.inner.event(match event {
            Event::Progress { phase, done, total } => {
                Event::Progress { phase, done: pass * total + done, total: passes * total }
            }
            event => event,
        });
    }

    fn stopped(&self) -> bool {
        self.inner.stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Phase;

    #[derive(Default)]
    struct Record(Vec<Event>);

    impl Observer for Record {
        fn event(&mut self, event: Event) {
            self.0.push(event);
        }

        fn stopped(&self) -> bool {
            true
        }
    }

    #[test]
    fn three_passes_over_340_images_are_1020() {
        let mut record = Record::default();
        for pass in 0..3 {
            let mut observer = PassObserver { inner: &mut record, pass, passes: 3 };
            observer.event(Event::Progress { phase: Phase::Evaluation, done: 64, total: 340 });
            observer.event(Event::Note { message: "a note".to_owned() });
            assert!(observer.stopped());
        }
        let done = record.0.iter().filter_map(|event| match event {
            Event::Progress { done, total, .. } => Some((*done, *total)),
            _ => None,
        });
        assert_eq!(done.collect::<Vec<_>>(), [(64, 1020), (404, 1020), (744, 1020)]);
        assert_eq!(record.0.len(), 6);
    }
}
