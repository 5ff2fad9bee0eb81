//! The ranges that tensors have on images.

use crate::engine::Outputs;

/// The least and the greatest number of each tensor that will be quantized, over all images that were observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges(Vec<Option<[f32; 2]>>);

impl Ranges {
    pub(super) fn new(tensors: usize) -> Self {
        Self(vec![None; tensors])
    }

    /// Takes what a calibration file answers to a batch of images.
    pub fn observe(&mut self, outputs: &Outputs) {
        for (index, range) in self.0.iter_mut().enumerate() {
            let (Some(lows), Some(highs)) = (outputs.get(&minimum(index)), outputs.get(&maximum(index))) else {
                continue;
            };
            for (&low, &high) in lows.data().iter().zip(highs.data()) {
                let [least, greatest] = range.unwrap_or([low, high]);
                *range = Some([either(least, low, f32::min), either(greatest, high, f32::max)]);
            }
        }
    }

    /// The range of a tensor; `None` if it was not observed.
    pub(super) fn get(&self, index: usize) -> Option<[f32; 2]> {
        self.0[index]
    }
}

/// One of two numbers. `min` and `max` pass over a NaN, and a range with one must be refused.
fn either(a: f32, b: f32, choose: fn(f32, f32) -> f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { choose(a, b) }
}

/// The output of a calibration file that holds a tensor's least number.
pub(super) fn minimum(index: usize) -> String {
    format!("graft.calibration.{index}.min")
}

/// The same of its greatest.
pub(super) fn maximum(index: usize) -> String {
    format!("graft.calibration.{index}.max")
}
